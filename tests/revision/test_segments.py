"""A text in segments: nothing lost, nothing parted that belongs together."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revision.segments import segmented
from revision.sentences import sentences

SCRIPTS = {
    "English": ["Rest well.", "Take 2.5 mg e.g. at night!", "Is it worse?", "Dr. Lee says so."],
    "Thai": ["พักผ่อนให้เพียงพอ", "รับประทานครั้งละ 500 มก. ทุก 6 ชั่วโมง", "หากมีไข้สูง ให้รีบไปพบแพทย์ทันที"],
    "Chinese": ["请好好休息。", "每次500毫克，每天两次。", "发烧了吗？", "马上就医！"],
    "Arabic": ["خذ قسطا من الراحة.", "هل لديك حمى؟", "تناول 500 ملغ كل 6 ساعات۔"],
    "Hindi": ["आराम करें।", "क्या बुखार है?", "हर 6 घंटे में 500 मि.ग्रा. लें।"],
    "Japanese": ["安静にしてください。", "熱はありますか？", "「すぐ受診」してください。"],
    "Russian": ["Отдыхайте.", "Принимайте 2,5 мг, т. е. одну таблетку.", "Есть жар?"],
}
SENTENCES = [one for texts in SCRIPTS.values() for one in texts]
CONSTRUCTS = [
    "# Title",
    "Title\n=====",
    "- item\n- other\n  - deeper",
    "1. first\n2. second\n\n   inside",
    "* [ ] to do",
    "| a | b |\n|---|---|\n| 500 mg | 1 |",
    "```python\nx = 1\n\ny = 2\n```",
    "~~~\nopen",
    "    indented",
    "> quoted\n> twice",
    '{"dose": [5, 10],\n "unit": "mg"}',
    "---",
    "<div>\n**x**\n</div>",
    "[ref]: http://example.org",
    "**bold. Still bold.** After.",
    "• bullet\n• other",
    "\t\x0b\u2028\x85 odd blanks",
    "$$a. B$$",
    "`code. More`",
]
prose = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=4).flatmap(
    lambda texts: st.sampled_from([" ", "", "\n", "  \n"]).map(lambda gap: gap.join(texts))
)
markdown = st.lists(
    st.tuples(
        st.one_of(prose, st.sampled_from(CONSTRUCTS), st.text(max_size=20)),
        st.sampled_from(["\n\n", "\n", "\r\n\r\n", "\r", "\n \t\n", " "]),
    ),
    max_size=8,
).map(lambda parts: "".join(text + gap for text, gap in parts))


@settings(max_examples=400, deadline=None)
@given(st.one_of(markdown, st.text(max_size=200)), st.booleans())
def test_the_segments_of_a_text_join_to_it_byte_for_byte(text, sentence_by_sentence):
    found = segmented(text, sentence_by_sentence=sentence_by_sentence)
    assert found.text == text
    assert [one.number for one in found.segments] == list(range(1, len(found.segments) + 1))
    assert all(one.text.strip() for one in found.segments)
    assert not found.lead.strip()
    assert not any(one.gap.strip() for one in found.segments)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("gap", [" ", "\n\n", "\n", "\n- "])
def test_a_paragraph_of_any_script_is_taken_apart_by_sentences_and_never_within_one(script, gap):
    text = gap.join(SCRIPTS[script])
    found = [one.text.removeprefix("- ") for one in segmented(text).segments]
    whole = {
        gap.join(SCRIPTS[script][first:last]).removeprefix("- ")
        for first in range(len(SCRIPTS[script]))
        for last in range(first + 1, len(SCRIPTS[script]) + 1)
    }
    assert set(found) <= whole
    if script != "Thai" or "\n" in gap:  # Thai has no full stop; a line may well be one segment
        assert len(found) > 1


@pytest.mark.parametrize(
    "text",
    [
        "Take 2.5 mg of it twice a day.",
        "Take it e.g. Monday and i.e. Tuesday evening.",
        "Ask Dr. Smith or Prof. Jones about it.",
        "See Fig. 3 and No. 5 of the leaflet.",
        "Nehmen Sie z. B. Ibuprofen oder ca. 500 mg Paracetamol.",
        "**Do not stop. Do not wait.**",
        "Call (see p. 3. And 4.) the clinic.",
        "Use `a. B` as it is.",
        "1. Rest in bed.",
        "Give it q.i.d. With food.",
        "Mix 1.5 l. of water",
        "每次服用2.5毫克",
        "รับประทานครั้งละ 500 มก. ทุก 6 ชั่วโมง",
        "Версия 2.5 и т. д.",
    ],
)
def test_one_sentence_is_one_segment(text):
    assert sentences(text) == [(0, len(text))]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Take 500 mg at night. Then rest for a day.", 2),
        ("Is it worse today? Call the clinic! Do not wait.", 3),
        ('He said "wait here." Then he went away.', 2),
        ("It is **urgent today.** Call them at once.", 2),
        ("如果发烧，请休息。每天两次，每次500毫克。若无好转，马上就医！", 3),
        ("Please wait here… Then call the clinic.", 2),
        ("¿Tiene fiebre alta hoy? ¡Llame ahora mismo!", 2),
        ("Yes. It is safe to take it with food.", 1),
        ("आराम करें और पानी पिएँ। डॉक्टर से मिलें अगर बुखार हो।", 2),
        (f"{'พักผ่อนให้เพียงพอ' * 6} หากไม่ดีขึ้นให้ไปพบแพทย์", 2),
    ],
)
def test_sentences_end_where_they_end(text, count):
    spans = sentences(text)
    assert len(spans) == count
    assert (spans[0][0], spans[-1][1]) == (0, len(text))


TABLE = "| Drug | Dose |\n|---|---|\n| A. One | 5 mg. Twice. |"
CODE = "```\nfirst. Second.\n\n- not a list\n```"
JSON = '{"dose": 5,\n\n "unit": "mg. Or so."}'


@pytest.mark.parametrize(("kind", "block"), [("table", TABLE), ("code", CODE), ("json", JSON)])
def test_tables_code_and_json_are_whole(kind, block):
    found = segmented(f"Before it. And more.\n\n{block}\n\nAfter it.").segments
    assert [one.text for one in found if one.kind == kind] == [block]
    assert json.loads(JSON)["dose"] == 5


def test_list_items_stand_one_by_one_with_their_list():
    text = "Do this:\n\n1. Rest. Sleep.\n2. Drink.\n   - water\n   - tea\n\nThen that:\n\n- walk"
    items = [one for one in segmented(text).segments if one.kind == "item"]
    assert [one.marker for one in items] == ["1. ", "2. ", "   - ", "   - ", "- "]
    assert [one.listing for one in items] == [1, 1, 2, 2, 3]


def test_a_long_text_is_read_in_good_time():
    odd = (
        "[" * 3000
        + "\n"
        + "a. B " * 4000
        + "\n"
        + "{\n" * 300
        + "> " * 200
        + "\n"
        + "- x. Y\n" * 2000
    )
    assert segmented(odd).text == odd
