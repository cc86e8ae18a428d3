"""Words that ask for a text to be written, for its form, or for sources: a note, 70 words, a study.

The classifier and the embedding of a whole turn see what a request is about, and seldom that a
message or a reference is wanted; the words that say so are found here and searched for by
themselves. English only: in other languages the scenario stands alone.
"""

import re

MOST_SENTENCES = 4
_MOST_CHARACTERS = 400  # of a sentence; what is asked stands in few words

# Own list, from everyday requests, written before it was measured.
_TEXT = (
    r"(?:messages?|e-?mails?|letters?|notes?|summar(?:y|ies)|handouts?|leaflets?|flyers?|scripts?|"
    r"templates?|reports?|repl(?:y|ies)|responses?|posts?|forms?|tables?|lists?|documents?|"
    r"paragraphs?|essays?|articles?|checklists?|instructions|questionnaires?|referrals?|"
    r"certificates?|charts?|memos?|captions?|slides?)"
)
_WRITE = (
    r"(?:writ(?:e|ing)|draft(?:ing)?|compos(?:e|ing)|prepar(?:e|ing)|creat(?:e|ing)|generate|make|"
    r"give me|need|produce|provide|phrase|word|send|edit|review|improve|fill (?:in|out)|convert|"
    r"turn)"
)
_FORMS = (
    rf"{_WRITE} (?:[\w'/-]++ ){{0,6}}{_TEXT}",
    r"re-?(?:write|phrase|word)|summari[sz]e|translate|proof-?read|shorten|paraphrase|polish",
    r"(?:write|say|word|put) (?:this|it|that) better|better (?:written|worded)",
    r"(?:fix|correct|improve|check) (?:[\w']++ ){0,3}(?:wording|grammar|spelling|tone)",
    r"(?:under|in|within|about|exactly|max(?:imum)?|no more than|at most|than) \d+ (?:words|lines)",
    r"(?:in|within|exactly|no more than|at most|than) \d+ (?:sentences|characters|paragraphs)",
    r"bullet(?:ed)? (?:points?|list)|in (?:a )?(?:table|json|csv|markdown)",
    r"(?:one|two|three|single|1|2|3)[ -](?:sentences?|paragraphs?|lines?)",
    r"(?:formal|casual|professional|informal) (?:style|tone)",
    r"(?:soap|progress|discharge|clinic|consult|nursing|admission) (?:note|summary|report)",
    r"icd-?10|cpt",
)
_FORM = re.compile(rf"\b(?:{'|'.join(_FORMS)})\b", re.IGNORECASE)
_SOURCES = re.compile(
    r"\b(?:cite|cit(?:ing|ed)|citations?|referenc(?:es?|ing)|sources?|literature|studies|trials?|"
    r"evidence|guidelines?)\b",
    re.IGNORECASE,
)
SOURCES = "Cite the sources: name the guideline, study or body that each statement rests on."
"""What is searched for where sources are asked for; the request's words are mostly its topic."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def form_requests(text: str) -> tuple[str, ...]:
    """Return the sentences of the text that ask for a form, the first few, cut short."""
    asking = (sentence.strip() for sentence in _SENTENCE_END.split(text) if _FORM.search(sentence))
    return tuple(sentence[-_MOST_CHARACTERS:] for sentence in asking)[:MOST_SENTENCES]


def asks_for_sources(text: str) -> bool:
    """Say whether the text speaks of sources, references or studies."""
    return _SOURCES.search(text) is not None
