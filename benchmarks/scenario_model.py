"""Scenario by a language model, beside the shipped classifier, and both together.

    python -m benchmarks.scenario_model DEV_FILE [--upstream URL --model NAME] [--cache FILE]

The model is asked one question a head, whose answer is one token: the letter of a value. Its
probabilities are read as judgements are. Four ways are compared on the physicians' labels, five
folds, five times: the letter the model likes best; a regression over its letters' log-probabilities
(which mends a liking for "A"); the embedding alone, as shipped; embedding and letters together.
Without `--upstream` the demo engine is asked, which is the model that everybody has.
"""

import argparse
import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from benchmarks.scenario import Floats, Ints, Items, _scores, measure, read, regression, row
from models import embedded
from models.embedded import EmbeddedEngine
from models.messages import Call, Message
from models.openai_chat import OpenAIChatModel
from models.openai_http import OpenAIServer
from models.yes_no import TOP_LOGPROBS
from retrieval.dimensions import HEADS

CALL_S = 120.0
LEAST = math.log(1e-6)
"""What a letter is given that is not among the likeliest tokens."""

# head -> the question, then what each label stands for, in the order of `HEADS`.
ASKED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "urgency": (
        "How urgent is it?",
        (
            "an emergency: help is needed now",
            "an emergency only if some facts that were not told are so",
            "no emergency",
        ),
    ),
    "uncertainty": (
        "How certain can an answer be?",
        (
            "certain: the facts are settled",
            "uncertain, and no further question would change that",
            "uncertain, and more facts from the user would make it certain",
        ),
    ),
    "context": (
        "Has enough been told for a good answer?",
        ("enough", "not enough: decisive facts are missing"),
    ),
    "expertise": ("Who writes?", ("a health professional", "a layperson")),
    "question": (
        "What answer does it call for?",
        ("a simple, short one", "a detailed one"),
    ),
    "data-info": (
        "Can the task be done with the data given?",
        ("yes, all that is needed is there", "no, needed data are missing"),
    ),
    "data-task": (
        "Is it a task on health data or a document, such as a note or a letter?",
        ("yes", "no"),
    ),
    "setting": (
        "Does the country or the place change the answer?",
        ("yes, and the place is clear", "yes, but the place is not clear", "no"),
    ),
}
LETTERS = "ABC"


def prompt(text: str, head: str) -> str:
    """Return the question of a head about a query."""
    question, values = ASKED[head]
    listed = "\n".join(f"{letter}. {value}" for letter, value in zip(LETTERS, values, strict=False))
    return (
        f"A user wrote to a health assistant:\n<<<\n{text}\n>>>\n\n"
        f"{question}\n{listed}\nReply with one letter."
    )


def letters(first_token: Mapping[str, float], count: int) -> list[float]:
    """Return the log-probabilities of the first letters, renormalised over them."""
    found = np.full(count, LEAST)
    for token, logprob in first_token.items():
        letter = token.strip(" .\n\"'(*")
        if len(letter) == 1 and letter in LETTERS[:count]:
            place = LETTERS.index(letter)
            found[place] = np.logaddexp(found[place], min(logprob, 0.0))
    return [float(one) for one in found - np.logaddexp.reduce(found)]


@asynccontextmanager
async def chat_model(upstream: str | None, name: str | None) -> AsyncIterator[OpenAIChatModel]:
    """Open the model server that was named, or the demo engine."""
    if upstream is not None:
        async with OpenAIServer([upstream]) as server:
            yield OpenAIChatModel(server=server, name=name or "")
        return
    async with (
        EmbeddedEngine() as engine,
        OpenAIServer([engine.url], api_key=engine.api_key) as server,
    ):
        yield OpenAIChatModel(server=server, name=embedded.MODEL_NAME)


async def ask_all(
    items: Items, model: OpenAIChatModel, cache: dict[str, list[float]], at_once: int
) -> None:
    """Fill the cache with each labelled item's letters, by head and item."""
    gate = asyncio.Semaphore(at_once)

    async def one(head: str, item: int) -> None:
        key = f"{head}:{item}"
        if key in cache:
            return
        async with gate:
            reply = await model.complete(
                Call(
                    step="scenario",
                    messages=(Message(role="user", content=prompt(items.texts[item], head)),),
                    max_tokens=1,
                    temperature=0.0,
                    top_logprobs=TOP_LOGPROBS,
                    deadline=asyncio.get_running_loop().time() + CALL_S,
                )
            )
        cache[key] = letters(reply.first_token, len(HEADS[head][1]))

    async with asyncio.TaskGroup() as group:
        for head in HEADS:
            for item in items.labelled(head)[0]:
                group.create_task(one(head, int(item)))


def compare(head: str, items: Items, cache: Mapping[str, list[float]]) -> None:
    """Print the four rows of one head."""
    rows, labels = items.labelled(head)
    asked: Floats = np.array([cache[f"{head}:{item}"] for item in rows])
    x: Floats = items.vectors[rows]
    row(head, "letter liked best", *_argmax(asked, labels))
    row(head, "regression over letters", *measure(regression, asked, labels))
    row(head, "embedding (shipped)", *measure(regression, x, labels))
    both = np.concatenate([x, asked - asked.mean(axis=0)], axis=1)
    row(head, "embedding and letters", *measure(regression, both, labels))


def _argmax(asked: Floats, labels: Ints) -> tuple[float, Floats]:
    return _scores(labels, asked.argmax(axis=1))


def main() -> None:
    """Ask what is not in the cache, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--upstream")
    parser.add_argument("--model")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="replies of an earlier run, kept for the next")
    arguments = parser.parse_args()
    items = read(arguments.path)
    kept = arguments.cache
    cache = json.loads(kept.read_text()) if kept is not None and kept.is_file() else {}

    async def ask() -> None:
        async with chat_model(arguments.upstream, arguments.model) as model:
            print(f"model: {model.name}")
            await ask_all(items, model, cache, arguments.at_once)

    asyncio.run(ask())
    if kept is not None:
        kept.write_text(json.dumps(cache), encoding="utf-8")
    print("| head | method | macro-F1 | recall |\n|---|---|---|---|")
    for head in HEADS:
        compare(head, items, cache)


if __name__ == "__main__":
    main()
