"""Loaded by schemathesis in its own environment: names that exist instead of random ones.

A random model id is a 404 and nothing behind it is reached, so most requests get one that there
is, and the paths that end in an id likewise. Which one depends on the random one, to stay the
same under one seed.
"""

import zlib

import schemathesis

NAME = "clinic-model"
MODELS = (NAME, f"{NAME}-fast", f"{NAME}-thorough", f"{NAME}-draft", NAME, "no-such-model")
IDS = {
    "model_id": MODELS,
    "principle_id": ("safe-and-direct", "medicine-doses", "no-such-principle"),
}


def instead(names: tuple[str, ...], whole: object) -> str:
    return names[zlib.crc32(repr(whole).encode(errors="replace")) % len(names)]


@schemathesis.hook
def before_call(ctx, case, kwargs):
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = instead(MODELS, case.body)
    for name, names in IDS.items():
        if isinstance(value := (case.path_parameters or {}).get(name), str):
            case.path_parameters[name] = instead(names, value)
