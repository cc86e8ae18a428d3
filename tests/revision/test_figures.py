"""Figures, medicines and urgency as they are read from texts of many kinds."""

import pytest

from revision.points import said
from revision.urgency import Urgency


def keys(text):
    return [figure.key for point in said([text]).points for figure in point.figures]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("500 mg, 0.5 g, 0,5 g", [(500.0, "mass")] * 3),
        ("1,000 mg and 1.000 mg", [(1000.0, "mass")] * 2),
        ("500mcg or 500 µg", [(0.5, "mass")] * 2),
        ("٥٠٠ ملغ", [(500.0, "mass")]),
        ("५०० मिग्रा", [(500.0, "mass")]),
        ("每次500毫克", [(500.0, "mass")]),
        ("15 mg/kg", [(15.0, "mass/kg")]),
        ("15 mg per kg", [(15.0, "mass/kg")]),
        ("126 mg/dL", [(126.0, "mass/dl")]),
        ("4 g/day", [(4000.0, "mass")]),
        ("4 to 6 hours", [(4.0, "hour"), (6.0, "hour")]),
        ("120/80 mmHg", [(120.0, "mmhg"), (80.0, "mmhg")]),
        ("100.4 °F and 38 degrees", [(38.0, "degree")] * 2),
        ("a 3-day course", [(72.0, "hour")]),
        ("two tablets", [(2.0, "tablet")]),
        ("one of them", []),
        ("vitamin B12, HbA1c, COVID-19", []),
        ("1. Rest\n2. Drink", []),
        ("2.5 ml", [(2.5, "ml")]),
    ],
)
def test_a_figure_is_read_in_its_base_unit(text, found):
    assert keys(text) == found


def has(text, other):
    return said([other]).has(said([text]).points[0].figures[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("every 8 hours", "3 times a day"),
        ("7 days", "1 week"),
        ("1 g", "1000 mg"),
        ("500 mg", "I took 500"),
        ("half: 38 °C", "100.4 °F"),
    ],
)
def test_two_ways_to_say_a_figure_are_one(one, other):
    assert has(one, other)
    assert not has(one, other.replace("3", "5").replace("1", "7").replace("500", "50"))


LATIN = ("paracetamol", "acetaminophen", "Tylenol", "paracétamol", "парацетамол", "парацетамола")
OTHER = ("对乙酰氨基酚", "पैरासिटामोल", "باراسيتامول", "アセトアミノフェン")


@pytest.mark.parametrize("word", [*LATIN, *OTHER])
def test_one_medicine_has_many_names(word):
    assert said([f"x {word} y"]).medicines == {"paracetamol"}


@pytest.mark.parametrize("word", ["zibotentapril", "gorlivastatin", "nevotinib", "palotumab"])
def test_a_name_that_no_list_has_is_told_by_its_stem(word):
    assert len(said([word]).medicines) == 1


ORDINARY = (
    "machine vaccine medicine process scans scene april servir vivir cholesterol mercury injury "
    "African américain Merlin prefix breast-feeding drowsiness dizziness histidine"
)


def test_other_words_are_no_medicines():
    assert said([ORDINARY]).medicines == frozenset()


def test_a_class_stands_for_its_medicines():
    assert "nsaid" in said(["Recommends NSAIDs"]).points[0].classes


@pytest.mark.parametrize(
    ("text", "degree"),
    [
        ("Call an ambulance now.", Urgency.EMERGENCY),
        ("Do not hesitate to call 112.", Urgency.EMERGENCY),
        ("There is no need to call an ambulance.", Urgency.NONE),
        ("不需要叫救护车。", Urgency.NONE),
        ("意识不清时立即拨打120。", Urgency.EMERGENCY),
        ("Rufen Sie sofort 112.", Urgency.EMERGENCY),
        ("Il n'est pas nécessaire d'appeler une ambulance.", Urgency.NONE),
        ("See your doctor the same day.", Urgency.AT_ONCE),
        ("See your doctor.", Urgency.DOCTOR),
        ("Your reading was 120 over 80.", Urgency.NONE),
        ("Take 112 mg.", Urgency.NONE),
    ],
)
def test_urgent_advice_has_a_degree_and_can_be_negated(text, degree):
    assert said([text]).urgency == degree


def test_a_dose_belongs_to_the_medicine_that_is_named_before_it():
    pairs = said(["Ibuprofen 400 mg and paracetamol 500 mg"]).pairs
    assert pairs == {((400.0, "mass"), "ibuprofen"), ((500.0, "mass"), "paracetamol")}
