"""Edits applied: exactly what was asked, in the form of the place, and never a broken answer."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from revision.apply import apply
from revision.edits import Edit
from revision.errors import Unparsable
from revision.segments import ATOMIC, segmented
from tests.revision.test_segments import SENTENCES, markdown


def insert(first, text):
    return Edit(op="insert_after", first=first, last=first, text=text)


def put(first, text, last=None):
    return Edit(op="replace", first=first, last=last or first, text=text)


def delete(first, last=None):
    return Edit(op="delete", first=first, last=last or first)


def move(first, after, last=None):
    return Edit(op="move", first=first, last=last or first, after=after)


def edited(draft, *edits):
    return apply(segmented(draft), edits).text


PROSE = (
    "Rest today at home. Take 500 mg at night. Drink enough water.\n\nSee a doctor if it stays.\n"
)
LIST = (
    "Do this:\n\n1. Rest at home today\n2. Drink enough water\n3. Sleep well tonight\n\n"
    "That is all."
)
BULLETS = "Watch for these:\n- a stiff neck\n- a high fever\n\nThat is all of it."
TABLE = "Doses by weight:\n\n| kg | mg |\n|---|---|\n| 10 | 150 |\n\nNot more than that."
CODE = "Run this first:\n\n```sh\necho 1\n```\n\nThen read the rest."


@pytest.mark.parametrize(
    ("draft", "edits", "expected"),
    [
        pytest.param(
            PROSE,
            [insert(0, "**Call 112 now if you faint.**")],
            "**Call 112 now if you faint.**\n\n" + PROSE,
            id="urgent advice at the top",
        ),
        pytest.param(
            PROSE,
            [insert(1, "Do not drive for a day.")],
            PROSE.replace("home. ", "home. Do not drive for a day. "),
            id="a sentence between sentences",
        ),
        pytest.param(
            PROSE,
            [insert(3, "\n\nAsk your pharmacist about it.")],
            PROSE.replace("water.\n", "water.\n\nAsk your pharmacist about it.\n"),
            id="a paragraph that was asked for",
        ),
        pytest.param(
            PROSE,
            [insert(3, "Ask your pharmacist about it. Bring a list of your medicines.")],
            PROSE.replace(
                "water.\n",
                "water.\n\nAsk your pharmacist about it. Bring a list of your medicines.\n",
            ),
            id="several sentences at a paragraph's end are a paragraph",
        ),
        pytest.param(
            PROSE,
            [insert(4, "- a stiff neck\n- a high fever")],
            PROSE.rstrip() + "\n\n- a stiff neck\n- a high fever\n",
            id="a list at the end",
        ),
        pytest.param(
            PROSE,
            [put(2, "Take 250 mg at night.")],
            PROSE.replace("500", "250"),
            id="a sentence replaced",
        ),
        pytest.param(
            PROSE, [delete(2)], PROSE.replace("Take 500 mg at night. ", ""), id="a sentence deleted"
        ),
        pytest.param(
            PROSE,
            [put(1, "All of it is new now.", last=3)],
            "All of it is new now.\n\nSee a doctor if it stays.\n",
            id="a paragraph replaced",
        ),
        pytest.param(
            PROSE,
            [move(4, 0)],
            "See a doctor if it stays.\n\nRest today at home. Take 500 mg at night. "
            "Drink enough water.\n",
            id="the last paragraph moved to the top",
        ),
        pytest.param(
            PROSE,
            [insert(0, "Take 500 mg at night."), delete(2)],
            "Take 500 mg at night.\n\nRest today at home. Drink enough water.\n\n"
            "See a doctor if it stays.\n",
            id="said elsewhere first and deleted after it: moved, not lost",
        ),
        pytest.param(
            LIST,
            [insert(3, "Avoid alcohol for a week")],
            LIST.replace("water\n3.", "water\n3. Avoid alcohol for a week\n4."),
            id="a numbered item; the others are counted on",
        ),
        pytest.param(
            LIST,
            [insert(3, "7) Avoid alcohol for a week\n8) Avoid driving as well")],
            LIST.replace(
                "water\n3.",
                "water\n3. Avoid alcohol for a week\n4. Avoid driving as well\n5.",
            ),
            id="items with other numbers take the list's",
        ),
        pytest.param(
            LIST,
            [delete(2)],
            "Do this:\n\n1. Drink enough water\n2. Sleep well tonight\n\nThat is all.",
            id="an item deleted",
        ),
        pytest.param(
            LIST,
            [move(4, 1)],
            "Do this:\n\n1. Sleep well tonight\n2. Rest at home today\n3. Drink enough water\n\n"
            "That is all.",
            id="an item moved to the list's top",
        ),
        pytest.param(
            BULLETS,
            [insert(3, "* a rash that spreads")],
            BULLETS.replace("fever\n", "fever\n- a rash that spreads\n"),
            id="a bullet takes the list's mark",
        ),
        pytest.param(
            BULLETS,
            [put(2, "a neck that cannot bend")],
            BULLETS.replace("a stiff neck", "a neck that cannot bend"),
            id="an item replaced keeps its mark",
        ),
        pytest.param(
            TABLE,
            [insert(2, "Weigh the child first.")],
            TABLE.replace("150 |\n\n", "150 |\n\nWeigh the child first.\n\n"),
            id="a note after a table",
        ),
        pytest.param(
            TABLE,
            [put(2, "| kg | mg |\n|---|---|\n| 10 | 100 |")],
            TABLE.replace("150", "100"),
            id="a table replaced by one",
        ),
        pytest.param(
            CODE,
            [insert(1, "It is safe to run.")],
            CODE.replace("first:\n", "first: It is safe to run.\n"),
            id="before code",
        ),
        pytest.param(
            "## What to do\n\nRest at home.",
            [put(1, "When to call for help")],
            "## When to call for help\n\nRest at home.",
            id="a heading stays one",
        ),
        pytest.param(
            "如果发烧，请休息。每次500毫克，每天两次。",
            [insert(1, "多喝水，注意保暖。")],
            "如果发烧，请休息。多喝水，注意保暖。每次500毫克，每天两次。",
            id="Chinese, without blanks",
        ),
        pytest.param(
            "เชิญพักผ่อนให้เพียงพอ\n\nหากมีไข้สูงให้ไปพบแพทย์",
            [insert(0, "โทร 1669 ทันทีหากหายใจลำบาก")],
            "โทร 1669 ทันทีหากหายใจลำบาก\n\nเชิญพักผ่อนให้เพียงพอ\n\nหากมีไข้สูงให้ไปพบแพทย์",
            id="Thai",
        ),
        pytest.param(
            "خذ قسطا من الراحة. هل لديك حمى عالية؟",
            [insert(1, "اشرب الماء بكثرة.")],
            "خذ قسطا من الراحة. اشرب الماء بكثرة. هل لديك حمى عالية؟",
            id="Arabic",
        ),
        pytest.param(
            "घर पर आराम करें।\n\n- पानी पिएँ\n- दवा लें",
            [insert(2, "तेज बुखार में डॉक्टर को बुलाएँ")],
            "घर पर आराम करें।\n\n- पानी पिएँ\n- तेज बुखार में डॉक्टर को बुलाएँ\n- दवा लें",
            id="Hindi",
        ),
        pytest.param(
            "Rest at home today.\r\n\r\nSee a doctor.\r\n",
            [insert(1, "\n\nDrink enough water.")],
            "Rest at home today.\r\n\r\nDrink enough water.\r\n\r\nSee a doctor.\r\n",
            id="line ends of another kind",
        ),
        pytest.param(
            "**Dose:** 500 mg\n**Interval:** 6 hours\nAsk if unsure.",
            [insert(1, "Never take more than 4 g a day."), delete(2)],
            "**Dose:** 500 mg Never take more than 4 g a day.\nAsk if unsure.",
            id="lines stay lines",
        ),
        pytest.param(
            "• warm compress\n• saline drops",
            [insert(1, "an ointment at night")],
            "• warm compress\n• an ointment at night\n• saline drops",
            id="bullets without Markdown",
        ),
    ],
)
def test_edits_do_what_they_say_in_the_form_of_their_place(draft, edits, expected):
    assert edited(draft, *edits) == expected


@pytest.mark.parametrize(
    ("edits", "dropped"),
    [
        ([insert(9, "Unknown place.")], ["unknown segment"]),
        ([delete(0)], ["unknown segment"]),
        ([delete(3, 2)], ["unknown segment"]),
        ([move(1, 44)], ["unknown segment"]),
        ([put(2, "One way."), put(2, "Another way.")], [None, "overlaps"]),
        ([delete(1, 3), put(2, "Another way.")], [None, "overlaps"]),
        ([move(1, 4), move(4, 1)], [None, "overlaps"]),
        ([move(1, 2, 3)], ["overlaps"]),
        ([insert(1, "```\nan open fence")], ["breaks a block"]),
        ([insert(1, "| half | a table |")], ["breaks a block"]),
        ([insert(4, "take 500 MG at night")], ["stands already"]),
        (
            [insert(1, "Drive slowly now."), insert(2, "Drive slowly now.")],
            [None, "stands already"],
        ),
        ([insert(1, "  ")], ["stands already"]),
    ],
)
def test_an_edit_that_cannot_be_applied_is_dropped_with_its_reason(edits, dropped):
    found = apply(segmented(PROSE), edits)
    assert [one.dropped for one in found.changes] == dropped
    if all(dropped):
        assert found.text == PROSE


def test_a_text_that_repeats_its_neighbour_says_only_what_is_new():
    found = apply(segmented(PROSE), [insert(2, "Take 500 mg at night. Take it with food.")])
    assert found.text.count("500 mg") == 1
    assert "Take it with food." in found.text


def test_an_id_that_was_copied_is_not_shown():
    assert "S2" not in edited(PROSE, insert(2, "S2: Take it with food."))


@pytest.mark.parametrize("block", [TABLE, CODE])
def test_what_would_swallow_a_whole_block_is_no_answer(block):
    with pytest.raises(Unparsable):
        edited(block, insert(1, "\n\n<!-- a comment that never ends"))


def test_deleting_all_is_no_answer():
    with pytest.raises(Unparsable):
        edited(PROSE, delete(1, 4))


def test_a_change_says_what_stood_there_and_what_stands_there_now():
    (change,) = apply(segmented(PROSE), [put(1, "Rest tomorrow as well.", 2)]).changes
    assert change.before == "Rest today at home. Take 500 mg at night."
    assert change.text == "Rest tomorrow as well."


texts = st.one_of(
    st.sampled_from(SENTENCES),
    st.sampled_from(
        ["- item", "1. one\n2. two", "\n\nA paragraph. Two.", "| a |", "```\nx", "# H"]
    ),
    markdown,
)
places = st.integers(0, 12)
some_edits = st.lists(
    st.builds(
        Edit,
        op=st.sampled_from(["insert_after", "replace", "delete", "move"]),
        first=places,
        last=places,
        after=places,
        text=texts,
    ),
    max_size=6,
)


@settings(max_examples=500, deadline=None)
@given(markdown, some_edits)
def test_whatever_the_edits_what_no_edit_takes_away_stands_once_and_as_it_was(draft, edits):
    before = segmented(draft)
    assume(before.segments)
    try:
        found = apply(before, edits)
    except Unparsable:
        return
    gone = {
        number
        for one in found.changes
        if one.dropped is None and one.edit.op in {"replace", "delete"}
        for number in range(one.edit.first, one.edit.last + 1)
    }
    kept = [one for one in before.segments if one.number not in gone]
    for one in kept:
        said = re.sub(r"\A[ \t]*\d{1,9}[.)]", "", one.text)  # a list may be counted anew
        assert said in found.text
    if not any(one.dropped is None for one in found.changes):
        assert found.text == draft
    whole = [one.text for one in segmented(found.text).segments if one.kind in ATOMIC]
    assert all(one.text in whole for one in kept if one.kind in ATOMIC)
