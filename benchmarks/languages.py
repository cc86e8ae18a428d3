"""What a question in another language loses in the search.

    python -m benchmarks.languages DEV_FILE --restated F

The bundled embedder knows English only, so the gateway searches for one English line that the model
makes. Held-out questions in other languages are searched for as they are, and by that line; English
questions of the test part, judged by the same readers, stand beside them.

F holds the lines, an object from question id to line. What is missing in it is asked of the model
server `--upstream`, of the demo engine without one, and written there; F is private, as the
questions are.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.devset import Question, read_questions
from benchmarks.labels import read_coverage, read_parts, read_relevance
from benchmarks.measures import interval, ndcg, recall
from benchmarks.retrieval import K, bundled, chosen, points_covered
from benchmarks.scenario_model import chat_model
from benchmarks.systems import Ranking, searched_for
from models.messages import Message
from models.openai_chat import OpenAIChatModel
from retrieval.retriever import Retriever
from revision.calls import Calls
from revision.case import Case
from revision.conversation import AnswerOptions, Conversation
from revision.policy import policy_for
from revision.restate import restate

CALL_S = 120.0


async def line_for(question: Question, model: OpenAIChatModel) -> str | None:
    """Return the line as the gateway makes it; None where the model makes none that can serve."""
    deadline = asyncio.get_running_loop().time() + CALL_S
    turns = tuple(Message(role=role, content=text) for role, text in question.turns)
    return await restate(
        Case(
            conversation=Conversation(messages=turns),
            options=AnswerOptions(),
            policy=policy_for("standard"),
            calls=Calls(writer=model, judge=model, deadline=deadline),
        )
    )


def search(
    retriever: Retriever, questions: Sequence[Question], line: Callable[[Question], str | None]
) -> list[Ranking]:
    """Return the shipped ranking of each question, searched for by that line if there is one."""
    everything = len(retriever.library)
    return [searched_for(retriever, one, everything, line(one)) for one in questions]


def row(name: str, questions: Sequence[Question], rankings: Sequence[Ranking]) -> list[float]:
    """Print a row; return nDCG question by question."""
    grades, coverage = read_relevance(), read_coverage()
    pairs = list(zip(questions, rankings, strict=True))
    gains = [ndcg(ranking, grades[one.id], K) for one, ranking in pairs]
    cells = (
        np.mean([recall(ranking, grades[one.id], K) for one, ranking in pairs]),
        np.mean(gains),
        np.mean([points_covered(one, frozenset(ranking[:K]), coverage) for one, ranking in pairs]),
    )
    print(f"| {name} | {len(pairs)} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    return gains


def main() -> None:
    """Ask for the lines that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dev_file", type=Path)
    parser.add_argument("--restated", type=Path, required=True)
    parser.add_argument("--upstream")
    parser.add_argument("--model")
    arguments = parser.parse_args()
    questions, parts = read_questions(arguments.dev_file), read_parts()
    foreign, english = chosen(questions, parts["languages"]), chosen(questions, parts["test"])
    file = arguments.restated
    lines: dict[str, str | None] = json.loads(file.read_text()) if file.is_file() else {}

    async def ask() -> None:
        async with chat_model(arguments.upstream, arguments.model) as model:
            for question in missing:
                lines[question.id] = await line_for(question, model)

    if missing := [one for one in foreign if one.id not in lines]:
        try:
            asyncio.run(ask())
        finally:
            file.write_text(json.dumps(lines, ensure_ascii=False, indent=1), encoding="utf-8")
    usable = sum(lines[one.id] is not None for one in foreign)
    sys.stdout.write(f"lines that can serve: {usable} of {len(foreign)}\n\n")
    retriever = bundled()
    print(f"| | questions | recall@{K} | nDCG@{K} | rubric points covered |\n|---|--:|--:|--:|--:|")
    row("English", english, search(retriever, english, lambda _: None))
    as_is = row("other languages, as they are", foreign, search(retriever, foreign, lambda _: None))
    by_line = search(retriever, foreign, lambda one: lines[one.id])
    restated = row("other languages, by the line", foreign, by_line)
    mean, low, high = interval([b - a for a, b in zip(as_is, restated, strict=True)])
    print(f"\nthe line adds to nDCG@{K}: {mean:+.3f} ({low:+.3f} to {high:+.3f})")


if __name__ == "__main__":
    main()
