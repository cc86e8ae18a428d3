"""Words that speak of an emergency, unless they are negated.

A lexicon beside the classifier because a missed emergency costs more than a needless warning; it
may only raise the probability of one. English only: in other languages the embedding stands alone.
"""

import re
from collections.abc import Sequence

_LOOK_BACK = 160  # characters in which a negation is sought

# Own list, from general triage knowledge, written before it was measured.  `~` stands for up to
# three words.  No pattern repeats a repeat, so matching stays linear in the text.
_RED_FLAGS = (
    # chest and breath
    r"chest (?:pains?|pressure|tightness|heaviness|hurts)|heart attack|crushing ~chest",
    r"(?:pains?|pressure|tightness|squeezing) in (?:my|his|her|their|the) chest",
    r"(?:can't|cant|cannot|can not|couldn't|unable to) (?:breathe|catch ~breath)",
    r"(?:trouble|difficulty|struggling|hard) (?:to |for )?(?:breathing|breathe|breath|air)",
    r"short(?:ness)? of breath|(?:not|stopped) breathing|gasping|choking|choked",
    r"(?:turning|turned|went|lips ~) ?blue|blue lips|throat ~(?:closing|closed|swelling|swollen)",
    # consciousness and brain
    r"unconscious|unresponsive|not responding|passed out|fainted|collapsed|blacked out",
    r"(?:lost|loss of|losing) consciousness|(?:won't|can't|cannot|hard to|not) wak(?:e|ing)",
    r"(?:having|had|have|possible|signs of) a? ?(?:mini )?stroke|sudden(?:ly)? confus(?:ed|ion)",
    r"(?:face|mouth|facial) ~droop(?:ing|y|ed|s)?|slurr(?:ed|ing) ~(?:speech|words)",
    r"speech ~slurred|sudden(?:ly)? ~(?:weakness|numbness|weak|numb|vision loss|loss of vision)",
    r"(?:weakness|numbness|weak|numb|paraly[sz]ed) (?:on|in|of|down) ~side",
    r"(?:can't|cannot|couldn't) (?:speak|move ~(?:arm|arms|leg|legs|side))",
    r"(?:worst|thunderclap|sudden severe) headache|headache ~of (?:my|his|her) life",
    r"seizure|seizing|convulsions?|convulsing|stiff neck ~fever|fever ~stiff neck",
    # bleeding and injury
    r"(?:severe|severely|heavy|heavily|uncontrolled|profuse|massive) bleeding",
    r"bleeding ~(?:heavily|profusely|badly|won't stop)|(?:won't|doesn't|can't|not) stop ~bleeding",
    r"(?:coughing|vomiting|throwing|spitting) (?:up )?blood|black tarry|soaking ~pads?",
    r"head injury|hit ~head|snake ?bite|bitten by a snake|electrocuted|drown(?:ed|ing)",
    r"severe (?:burns?|abdominal pain|stomach pain|allergic reaction)",
    # poison and self-harm
    r"overdos(?:e|ed|ing)|poison(?:ed|ing)|carbon monoxide|(?:took|taken) ~(?:too many|bottle)",
    r"(?:swallowed|drank|ingested) ~(?:bleach|battery|batteries|antifreeze|pesticide|magnets?)",
    r"suicid(?:e|al)|(?:kill|hurt|harm)(?:ing)? (?:(?:my|him|her)self|themsel(?:f|ves))",
    r"end (?:my|his|her|their) life",
    r"end(?:ing)? it all",
    r"want(?:s|ed)? to die|(?:don't|not) want to (?:live|be alive)|better off dead",
    # allergy, infants, pregnancy
    r"anaphyla(?:xis|ctic)|(?:tongue|lips?|face) ~sw(?:elling|ollen|elled)",
    r"swelling (?:of|in) ~(?:tongue|lips|face|throat)",
    r"(?:newborn|neonate|weeks? old|(?:one|two|1|2) months? old) ~fever",
    r"fever ~(?:newborn|neonate|weeks? old|(?:one|two|1|2) months? old)",
    r"(?:baby|infant|newborn) ~(?:limp|floppy)|(?:limp|floppy) (?:baby|infant|newborn)",
    r"pregnant ~bleeding|bleeding ~pregnan(?:t|cy)|baby ~stopped moving|no fetal movement",
)
_FEW_WORDS = r"(?:[\w']++ )?(?:[\w']++ )?(?:[\w']++ )?"
_RED_FLAG = re.compile(
    rf"\b(?:{'|'.join(_RED_FLAGS)})\b".replace("~", _FEW_WORDS).replace(" ", r"[ \n]")
)

_NEGATION = re.compile(
    r"no|not|without|nor|neither|(?:do|does|did|have|has|is|was|are)n't|dont|doesnt"
)
# Words after which an earlier "no" no longer speaks of the finding ("no idea if this is a stroke").
_BREAK = re.compile(
    r"and|but|although|though|if|whether|because|from|for|with|when|while|since|despite|after|"
    r"until|then|know|think|sure|certain|idea|doubt|only|just|one|matter|relief|improvement|"
    r"better|help|helping|sleep|stop|stopping|going|go"
)
# A clinician's "denies" runs through the commas of its list; a patient's "no" ends at the first.
_DENIAL = re.compile(r"denies|denied|denying")
_REPORT = re.compile(r"but|however|reports|has|have|presents|now")


def red_flag(text: str) -> str | None:
    """Return the first red flag that is not negated nearby, in normalised words, or None.

    Doubtful negations count as red flags: only a plain "no", "not", "without" within five words of
    the same clause, or "denies" within the same sentence, silences one.
    """
    text = text.casefold().replace("\u2019", "'").replace(" - ", "; ").replace("\u2014", "; ")
    lines = (" ".join(line.split()) for line in text.replace("-", " ").splitlines())
    text = "\n".join(line for line in lines if line)
    for match in _RED_FLAG.finditer(text):
        if not _negated(text, match.start()):
            return match.group()
    return None


def _negated(text: str, start: int) -> bool:
    before = text[max(0, start - _LOOK_BACK) : start]
    sentence = re.split(r"[.;!?\n]", before)[-1]
    clause = re.split(r"[,:()]", sentence)[-1]
    return _reaches(_DENIAL, _REPORT, sentence.split()) or _reaches(
        _NEGATION, _BREAK, clause.split()[-5:]
    )


def _reaches(wanted: re.Pattern[str], stop: re.Pattern[str], words: Sequence[str]) -> bool:
    """Whether, walking backwards, a wanted word comes before one that stops the walk."""
    for word in reversed(words):
        bare = word.strip(",:()\"'")
        if stop.fullmatch(bare):
            return False
        if wanted.fullmatch(bare):
            return True
    return False
