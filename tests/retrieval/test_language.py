"""English or not: what the bundled embedder can be asked about."""

import pytest

from retrieval.language import is_english


@pytest.mark.parametrize(
    "text",
    [
        "I have had a headache since this morning, what helps?",
        "AMS in pt, ddx",
        "should i start meds",
        "Spironolactone plus ramipril plus potassium salt, is that a risk?",
        "Malaria tablets for two weeks in Thailand?",
        "38.5",
        "",
        "??? 🤒",
    ],
)
def test_english_and_what_says_nothing_is_searched_as_it_is(text):
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Mein Kind hat seit gestern Fieber, was soll ich tun?",
        "¿Qué puedo tomar para el dolor de cabeza si estoy embarazada?",
        "J'ai mal au ventre depuis trois jours, c'est grave ?",
        "我头痛发烧三天了，应该吃什么药？",
        "मुझे सीने में दर्द हो रहा है, क्या करूँ?",
        "عندي ألم في المعدة بعد الأكل، ما السبب؟",
        "У меня высокое давление, какие таблетки пить?",
        "Mtoto wangu ana homa kali tangu jana usiku",
        "Başım dönüyor ve midem bulanıyor, ne yapmalıyım?",
    ],
)
def test_other_languages_are_told_from_english(text):
    assert not is_english(text)
