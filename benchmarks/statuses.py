"""How reviews end and how long they take beside a plain draft, through a running gateway.

    python -m benchmarks.statuses QUESTIONS.jsonl [--count 25] [--base-url URL] [--mode standard]

The file has one JSON object a line with the field `Question` (as K-QA does) or `messages`. Each
question is asked in both modes, one right after the other, so that a machine whose speed drifts
slows both alike. No question and no answer is printed.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path

import openai

Turns = list[dict[str, str]]


def questions(path: Path, count: int) -> list[Turns]:
    """Return the first conversations of the file."""
    lines = path.read_text(encoding="utf-8").splitlines()[:count]
    return [_turns(json.loads(line)) for line in lines]


def _turns(line: dict[str, object]) -> Turns:
    if "Question" in line:
        return [{"role": "user", "content": str(line["Question"])}]
    return [{"role": turn["role"], "content": turn["content"]} for turn in line["messages"]]  # type: ignore[attr-defined]


def ask(client: openai.OpenAI, model: str, mode: str, turns: Turns) -> tuple[str, float, int]:
    """Return the status, or the error's class, the seconds and the tokens of one answer."""
    started = time.perf_counter()
    try:
        answer = client.chat.completions.create(
            model=model,
            messages=turns,  # type: ignore[arg-type]
            extra_body={"revision": {"mode": mode, "deadline_ms": 300_000}},
        )
    except openai.OpenAIError as error:
        return f"failed:{type(error).__name__}", time.perf_counter() - started, 0
    seconds = time.perf_counter() - started
    review = (answer.model_extra or {})["revision"]
    tokens = answer.usage.total_tokens if answer.usage else 0
    return f"{review['status']}/{review['stop_reason']}", seconds, tokens


def main() -> None:
    """Run the measurement and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", type=Path)
    parser.add_argument("--count", type=int, default=25)
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--mode", default="standard")
    args = parser.parse_args()
    client = openai.OpenAI(base_url=args.base_url, api_key="none", max_retries=0, timeout=600)
    model = client.models.list().data[0].id

    results: dict[str, list[tuple[str, float, int]]] = {"draft": [], args.mode: []}
    for turns in questions(args.questions, args.count):
        for mode, found in results.items():
            found.append(ask(client, model, mode, turns))

    for mode, found in results.items():
        seconds = sorted(one[1] for one in found)
        tenth = statistics.quantiles(seconds, n=10)[-1] if len(seconds) > 1 else seconds[0]
        print(f"{mode}: {len(found)} questions, model {model}")
        print(f"  seconds: median {statistics.median(seconds):.1f}, 90th percentile {tenth:.1f}")
        print(f"  tokens:  median {statistics.median(one[2] for one in found):.0f}")
        for status, count in sorted(Counter(one[0] for one in found).items()):
            print(f"  {count:3d} {status}")
    pairs = zip(results[args.mode], results["draft"], strict=True)
    ratio = statistics.median(reviewed[1] / plain[1] for reviewed, plain in pairs)
    print(f"median ratio {args.mode}/draft, pair by pair: {ratio:.1f} in time")


if __name__ == "__main__":
    main()
