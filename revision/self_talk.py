"""Answers that speak of themselves instead of to the reader, and answers that refuse.

"Here is the revised answer" tells a patient that there was another one, and "I can't help with
that" is a decision that no second call may undo (ADR 13). Read in several languages, from how such
sentences begin; matched on plain text, where patterns have no nested repeats.
"""

import re

from revision.statements import plain

_FIRST = 240
"""Characters in which an answer introduces itself."""
_LAST = 400
_REFUSES_WITHIN = 600

_INTRODUCES = (
    r"(?:here(?:'s| is| are)|below is|this is|the following is|i have|i've)\b[^\n]{0,40}?\b"
    r"(?:revis|rewrit|rewrote|updat|edit|improv|correct|refin|amend)",
    r"\b(?:aqui|a continuacion|esta es)\b[^\n]{0,40}?\b(?:revisad|corregid|actualizad|mejorad|reescrit)",
    r"\b(?:voici|ci-dessous)\b[^\n]{0,40}?(?:revise|corrige|ameliore|mise? a jour|reformule)",
    r"\b(?:hier|nachfolgend|anbei)\b[^\n]{0,40}?(?:uberarbeitet|verbessert|korrigiert|aktualisiert)",
    r"\b(?:aqui|segue|abaixo|esta e)\b[^\n]{0,40}?(?:revisad|corrigid|atualizad|melhorad|reescrit)",
    r"\b(?:ecco|di seguito)\b[^\n]{0,40}?(?:rivist|corrett|aggiornat|migliorat|revisionat)",
    r"\b(?:hier|hieronder)\b[^\n]{0,40}?(?:herzien|verbeterd|aangepast|bijgewerkt)",
    r"\boto\b[^\n]{0,40}?(?:poprawion|zaktualizowan|zmienion)",
    r"\bвот\b[^\n]{0,40}?(?:исправлен|обновлен|переработан|улучшен|отредактирован)",
    r"(?:以下|下面|这)[^\n]{0,8}?(?:修改|修订|改进|更新|完善)",
    r"以下[^\n]{0,8}?(?:改訂|修正|改善|更新)",
    r"다음은[^\n]{0,12}?(?:수정|개선)",
    r"(?:إليك|اليك|فيما يلي|هذه|هذا)[^\n]{0,24}?(?:المنقح|المعدل|المحسن|المحدث)",
    r"(?:यहाँ|यहां|यह|नीचे)[^\n]{0,24}?(?:संशोधित|अद्यतन|सुधारा)",
    r"\biste\b[^\n]{0,40}?(?:gozden gecirilmis|duzeltilmis|guncellenmis|revize)",
    r"\bberikut\b[^\n]{0,40}?(?:revisi|diperbaiki|diperbarui|direvisi)",
    r"\A\W*(?:revised|updated|improved|corrected|rewritten) (?:answer|response|version|reply|draft)\b",
    r"\A\W*(?:respuesta (?:revisada|corregida)|reponse (?:revisee|corrigee)|"
    r"(?:uberarbeitete|korrigierte) (?:antwort|fassung)|resposta (?:revisada|corrigida)|"
    r"risposta (?:rivista|corretta)|исправленн\w+ (?:ответ|версия)|修[改订]后?的?(?:回答|答案|版)|"
    r"改訂版|संशोधित उत्तर|(?:الإجابة|الاجابة) (?:المنقحة|المعدلة))",
)
_TELLS_OF_REVIEW = (
    r"\b(?:this|the) (?:revised|updated|improved|new|rewritten|above) (?:answer|response|version)"
    r"(?: now)? (?:address|meet|include|cover|add|incorporat|satisf|reflect)",
    r"\b(?:changes|edits|revisions|improvements) (?:i )?(?:made|applied)\b",
    r"\bi(?:'ve| have)? (?:also )?(?:added|revised|updated|incorporated|removed|addressed|rewritten)\b"
    r"[^.\n]{0,60}\b(?:as requested|as you asked|feedback|criteri|reviewer|review|critique|rubric|"
    r"previous (?:answer|version|response)|earlier (?:answer|version|response))",
    r"\b(?:the|your) (?:reviewer|rubric|critique)\b|\ball (?:the )?criteria\b|\bthe (?:review )?criteria "
    r"(?:above|given|listed|are|have)",
    r"\b(?:cambios realizados|modifications apportees|vorgenommene anderungen|alteracoes feitas|"
    r"modifiche apportate|внесенные изменения)\b|修改说明|変更点|التغييرات التي|किए गए बदलाव",
    r"\bmust (?:not )?be in the answer\b|\[/?[0-9a-f]{12}\]",
)
_ASKS_FOR_AN_EDIT = re.compile(
    r"\b(?:revis|rewrit|edit|improv|correct|proof-?read|updat|rephras|reword|polish|corrig|corrij|"
    r"reescri|reecri|mejor|amelior|verbesser|uberarbeit|korrigier|melhor|miglior|исправ|улучш|"
    r"перепиш|duzelt|perbaiki)|修改|润色|改写|修正|添削|تصحيح|تحسين|सुधार|संशोध"
)
_NO_ADVICE = (
    r"(?! (?:you |le |te |ihnen )?(?:with )?(?:a |an |any |un |una |des |de |eine? )?(?:exact|specific|"
    r"definit|precise|personal|individual|medical|medic|consejo|diagn|avis|conseil|arzt|medizin|"
    r"aconselh|prescri))"
)
_REFUSES = re.compile(
    r"\b(?:can't|cannot|can not|won't|will not|unable to|not able to|not going to) (?:\w+ )?"
    r"(?:help|assist|provide|give|share|support|comply|offer|fulfil)\b" + _NO_ADVICE
    + r"|\b(?:must|have to|need to) decline\b|\bi decline\b|\bagainst my (?:guidelines|policy)"
    r"|\bno puedo (?:ayudar|proporcionar|dar|facilitar|asistir|ofrecer)\w*" + _NO_ADVICE
    + r"|\bje ne (?:peux|puis|saurais) pas (?:vous |t')?(?:aider|fournir|donner)" + _NO_ADVICE
    + r"|\bkann ich (?:ihnen |dir )?(?:leider )?nicht (?:weiter)?helfen"
    r"|\bich kann (?:ihnen |dir )?(?:leider )?(?:dabei |damit |hierbei )?nicht (?:weiter)?helfen"
    r"|\bnao posso (?:\w+ )?(?:ajud|fornec|dar|auxili)\w*" + _NO_ADVICE
    + r"|\bnon posso (?:aiutar|fornir|dar)\w*" + _NO_ADVICE
    + r"|\bik kan (?:je |u )?(?:hier|daar)?(?:mee |bij )*niet (?:mee )?helpen"
    r"|\bне (?:могу|буду) (?:вам )?(?:помо|предостав|дать)"
    r"|(?:不能|无法|不会)(?:为您|为你|向您)?(?:提供|帮助|协助)|お手伝い(?:は|することは)?できません|提供できません"
    r"|لا (?:يمكنني|أستطيع|استطيع) (?:مساعد|تقديم|المساعد)|(?:मदद|सहायता) नहीं कर सक"
    r"|\byardimci olamam|\btidak (?:bisa|dapat) (?:membantu|memberikan)"
)  # fmt: skip
_INTRODUCTION = re.compile("|".join(_INTRODUCES))
_REVIEW = re.compile("|".join(_TELLS_OF_REVIEW))


def talks_about_itself(answer: str, *, asked: str) -> bool:
    """Say whether an answer tells of its own making; `asked` is what the user wanted.

    Who asked for an edit of a text may be told that here it is.
    """
    ends = f"{plain(answer[:_FIRST])}\n{plain(answer[-_LAST:])}"
    if _REVIEW.search(ends):
        return True
    introduced = _INTRODUCTION.search(plain(answer[:_FIRST].lstrip().partition("\n")[0]))
    return introduced is not None and not _ASKS_FOR_AN_EDIT.search(plain(asked[-4000:]))


def refuses(answer: str) -> bool:
    """Say whether an answer declines, in words; that it gives no medical advice is no refusal."""
    return _REFUSES.search(plain(answer[:_REFUSES_WITHIN])) is not None
