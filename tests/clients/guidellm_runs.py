"""Runs of GuideLLM's command, as a user starts it, and what its report says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from checks import BASE_URL, asking

GUIDELLM = str(Path(sys.executable).with_name("guidellm"))


def benchmark(
    *,
    count: int,
    what: str = "plain",
    of: str | None = None,
    length: int | None = None,
    profile: dict[str, Any] | None = None,
    **backend: Any,
) -> dict[str, Any]:
    """Run one benchmark of so many requests and return its report; `length` is in tokens."""
    questions = Path("questions.jsonl")
    wished = {} if length is None else {"output_tokens_count": length}
    lines = [json.dumps({"prompt": asking(what, of), **wished}) for _ in range(count)]
    questions.write_text("\n".join(lines) + "\n")
    report = Path("report.json")
    report.unlink(missing_ok=True)
    words = [
        *("run", "--disable-console-interactive"),
        *("--backend", json.dumps({"kind": "openai_http", "target": BASE_URL, **backend})),
        *("--profile", json.dumps(profile or {"kind": "synchronous"})),
        *("--constraint", f"kind=max_requests,count={count}"),
        *("--data", f"kind=json_file,path={questions}"),
        *("--output", f"kind=json,path={report}"),
    ]
    ended = subprocess.run(
        [GUIDELLM, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return json.loads(report.read_text())["benchmarks"][0]


def totals(report: dict[str, Any]) -> dict[str, int]:
    """Return how many requests ended how."""
    return report["metrics"]["request_totals"]


def texts(report: dict[str, Any]) -> set[str]:
    """Return the answers of the requests that succeeded."""
    return {one["output"] for one in report["requests"]["successful"]}
