"""A question in another language is searched for in English, and never lost to that step."""

import pytest

from models.errors import ModelUnavailable
from models.messages import Completion
from tests.revision.world import FixedRetriever, World, criterion, principle

A = criterion("A")
LINE = "Mother of a two-year-old with a fever since yesterday asks what to do"


async def searched(*replies: object, foreign: bool = True, mode: str = "fast") -> list[str | None]:
    retriever = FixedRetriever([principle(A)], foreign=foreign)
    script = {"draft": ["[A]"], "restate": list(replies)}
    review = await World(script, [A], mode=mode, retriever=retriever).review()
    assert review.status in {"clean", "off"}
    return retriever.searched


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (LINE, LINE),
        (f"\n  **{LINE}**\nSecond line", LINE),
        (f'"{LINE}"', LINE),
        ("", None),
        ("\n \n", None),
        ("Mi hijo tiene fiebre desde ayer y no sé qué hacer", None),
        (ModelUnavailable("down"), None),
        (Completion(text=LINE, finish_reason="length"), LINE),
    ],
)
async def test_the_line_serves_the_search_or_the_words_do(reply, line):
    assert await searched(reply) == [line]


async def test_a_line_without_end_is_cut():
    (line,) = await searched("what helps with a headache " * 100)
    assert line is not None
    assert len(line) == 500


async def test_english_costs_no_call():
    assert await searched(foreign=False) == [None]


async def test_draft_mode_restates_nothing():
    assert await searched(mode="draft") == []
