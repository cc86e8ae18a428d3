"""The process that `revision.matching` starts: one question on stdin, the answer as exit status.

It imports nothing of the project, so that it starts fast and needs no path to it. It limits itself
too, for the case that whoever started it is no longer there to stop it.
"""

import json
import sys

import jsonschema_rs

FITS, BREAKS = 10, 11
CPU_S = 3
MEMORY_BYTES = 1 << 30
BACKTRACKS = 100_000


def main() -> int:
    """Return the exit status; whatever is raised ends in another one."""
    question = json.load(sys.stdin)
    validator = jsonschema_rs.validator_for(
        question["schema"],
        offline=True,  # a reference from outside is never followed, to the network or to a file
        validate_formats=True,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS),
    )
    return FITS if validator.is_valid(json.loads(question["text"])) else BREAKS


def limit() -> None:
    """Bound time and memory, and leave no core file, which would hold health text."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  # is not there on Windows

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    if sys.platform == "linux":  # elsewhere the system may not know this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    limit()
    sys.exit(main())
