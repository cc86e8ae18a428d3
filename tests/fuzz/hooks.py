"""Loaded by schemathesis in its own environment: helps requests past the door.

A random model id is a 404, and random turns hardly ever follow each other as turns must, so that
nothing behind would be reached. Most requests therefore name a model that there is, and half get
a sound conversation and none of the fields that make no sense alone; the rest of the body stays
as random as it is. What is done depends on the body alone, so one seed stays one run.
"""

import zlib

import schemathesis

NAME = "clinic-model"
MODELS = (NAME, f"{NAME}-fast", f"{NAME}-thorough", f"{NAME}-draft", NAME, "no-such-model")
IDS = {
    "model_id": MODELS,
    "principle_id": ("safe-and-direct", "medicine-doses", "no-such-principle"),
}
QUESTION = "I have had a headache since this morning, what helps?"
SOUND = {
    "messages": [{"role": "user", "content": QUESTION}],
    "input": QUESTION,
    "prompt": QUESTION,
}
NOT_ALONE = ("tool_choice", "parallel_tool_calls", "top_logprobs", "stream_options")


STRUCTURED = {
    *("messages", "input", "prompt", "revision", "metadata", "logit_bias", "stop", "tools"),
    *("response_format", "text", "reasoning", "include", "modalities", "stop_token_ids"),
}


def is_strange(name, held):
    """Say whether the gateway would refuse the field because it does not know it."""
    return name not in STRUCTURED and isinstance(held, dict | list)


@schemathesis.hook
def before_call(ctx, case, kwargs):
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        number = zlib.crc32(repr(case.body).encode(errors="replace"))
        case.body["model"] = MODELS[number // 2 % len(MODELS)]
        if number % 2:
            for name in SOUND.keys() & case.body.keys():
                case.body[name] = SOUND[name]
            for name in NOT_ALONE:
                case.body.pop(name, None)
            for name in [name for name, held in case.body.items() if is_strange(name, held)]:
                del case.body[name]
    for name, names in IDS.items():
        if isinstance(value := (case.path_parameters or {}).get(name), str):
            number = zlib.crc32(value.encode(errors="replace"))
            case.path_parameters[name] = names[number % len(names)]
