"""What a loop costs in tokens: drafts of 500, ten criteria, a scripted model that can do all.

    python -m benchmarks.cost

The real loop and its real prompts; only the model is played, so what it says is of a length that
was chosen: a worded criterion 90 characters, a problem 60, what mends a criterion 140. Tokens are
characters / 4. "None passing": every draft lacks so many criteria; "half": every other one none.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from itertools import islice

from models.messages import Call, Completion
from models.scripted import ScriptedModel
from revision.policy import Mode
from tests.revision.world import World, criterion, verdict

CRITERIA = 10
KEPT = 4
NOUNS = ("rest", "fluids", "sleep", "food", "fever", "pain", "work", "travel", "walks", "visits")
SENTENCE = (
    "Sentence {n} of this answer says about {noun} what a careful reader would need to know here."
)
MENDS = (
    "[K{n}] This is the sentence or two that answers the point on {noun}, with what to do, when to "
    "do it, and whom to ask if unsure."
)
PADDED = "Says K{n}, a demand on {noun} worded with the facts of this very case for the reader"
PROBLEM = "Nothing is said of {noun}, nor of whom to ask about it."


def tokens(text: str) -> float:
    """Return about how many tokens a text has."""
    return len(text) / 4


def draft(lacking: int) -> str:
    """Return an answer of 500 tokens that meets all but so many criteria."""
    said = [f"[K{n}]" for n in range(CRITERIA - lacking)]
    sentences = [SENTENCE.format(n=n, noun=NOUNS[n % 10]) for n in range(40)]
    paragraphs = [" ".join(islice(iter(sentences[n:]), 5)) for n in range(0, 40, 5)]
    return (" ".join(said) + " " + "\n\n".join(paragraphs))[:1999].rstrip() + "."


def mended(lacking: int) -> list[str]:
    """Return what mends each criterion that is lacking."""
    return [MENDS.format(n=n, noun=NOUNS[n]) for n in range(CRITERIA - lacking, CRITERIA)]


def world(mode: Mode, lacking: int) -> World:
    """Return a loop in which the draft lacks so many criteria and the first revision none."""

    def judge(call: Call) -> Completion:
        asked = re.findall(r"K\d+", call.messages[-1].text)[-1]
        return verdict(0.99 if f"[{asked}]" in call.messages[-2].text else 0.01)

    def critique(call: Call) -> str:
        numbers = range(1, lacking + 1)
        both = '"remedy"' in call.messages[-1].text
        return json.dumps(
            {
                "findings": [
                    {"number": n, "problem": PROBLEM.format(noun=NOUNS[-n])}
                    | ({"remedy": PROBLEM.format(noun=NOUNS[-n])} if both else {})
                    for n in numbers
                ]
            },
            separators=(",", ":"),
        )

    def edit(_: Call) -> str:
        them = [
            {"insert_after": f"S{2 * n + 1}", "for": [n + 1], "text": text}
            for n, text in enumerate(mended(lacking))
        ]
        return json.dumps({"edits": them}, separators=(",", ":"))

    def rubric(_: Call) -> str:
        new = [f"5 {PADDED.format(n=n, noun=NOUNS[n])}" for n in range(KEPT, CRITERIA)]
        keep = [f"c{n + 1}" for n in range(KEPT)]
        return json.dumps({"keep": keep, "new": new}, separators=(",", ":"))

    script = {
        "draft": [draft(lacking)],
        "judge": judge,
        "critique": critique,
        "edit": edit,
        "rubric": rubric,
        "revise": lambda _: f"{draft(lacking)}\n\n" + " ".join(mended(lacking)),
    }
    return World(script, [criterion(f"K{n}") for n in range(CRITERIA)], mode=mode)


def spent(made: World, replies: Mapping[int, str]) -> tuple[float, float]:
    """Return the prompt and the generated tokens of all calls."""
    prompts = sum(tokens(t.text) for call in made.model.calls for t in call.messages)
    return prompts, sum(max(1.0, tokens(text)) for text in replies.values())


async def cost(mode: Mode, lacking: int) -> tuple[float, float]:
    """Run one loop to its end and return its prompt and generated tokens.

    Raises:
        RuntimeError: it did not end as the script has it.

    """
    made = world(mode, lacking)
    replies: dict[int, str] = {}
    real: ScriptedModel = made.model
    complete = real.complete

    async def kept(call: Call) -> Completion:
        reply = await complete(call)
        replies[len(replies)] = reply.text
        return reply

    real.complete = kept  # type: ignore[method-assign]  # to see what is said
    review = await made.review()
    if (review.status, review.stop_reason) != ("revised" if lacking else "clean", "all_met"):
        raise RuntimeError(f"the loop ended as {review.status}, {review.stop_reason}")
    return spent(made, replies)


async def table() -> None:
    """Print the cost of each mode by what the drafts lack, beside one plain answer's."""
    answer = tokens(draft(0))
    print("| mode | lacking | generated, none passing | half passing | prompt tokens |")
    print("|---|--:|--:|--:|--:|")
    modes: tuple[Mode, ...] = ("fast", "standard")
    for mode in modes:
        _, clean = await cost(mode, 0)
        for lacking in (1, 3, 5, 10):
            prompts, generated = await cost(mode, lacking)
            half = (generated + clean) / 2
            print(
                f"| {mode} | {lacking} of {CRITERIA} | {generated / answer:.2f} | "
                f"{half / answer:.2f} | {prompts:.0f} |"
            )


if __name__ == "__main__":
    asyncio.run(table())
