"""The extension `revision`, and the answers of `/v1/critiques` and `/v1/revisions`."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from revision.apply import Dropped
from revision.attempt import By
from revision.calls import Step
from revision.edits import Op
from revision.policy import Mode
from revision.review import Status, StopReason
from revision.rubric import Kind, Origin
from server.openapi.form import Count, Form, RevisionId, Share, not_always
from server.openapi.usage import Usage

Verdict: TypeAlias = Literal["met", "unmet", "unclear"]


class Score(Form):
    """Points met of points possible, on one rubric; null where nothing was judged."""

    draft: Share | None
    final: Share | None


class NamedPrinciple(Form):
    """A principle that the rubric was made from."""

    id: str
    title: str


class JudgedCriterion(Form):
    """A criterion, and whether the draft and the answer given meet it.

    `principle` and `bank_entry` say where it comes from; `met` always means that all is well, for
    what must not be there too.
    """

    criterion: str
    principle: str | None
    points: Annotated[int, Field(ge=1, le=10)]
    critical: bool
    kind: Kind
    origin: Origin
    bank_entry: str | None
    draft: Verdict
    final: Verdict


class StepUsage(Form):
    """Tokens of a step; empty for a step that made no call."""

    prompt_tokens: Count = not_always()
    completion_tokens: Count = not_always()


class TracedVerdict(Form):
    """One verdict; `judged` is false where the judge gave none that could be read."""

    verdict: Verdict
    probability: Share | None
    judged: bool


class TracedCritique(Form):
    """The verdicts of a round, in the order of the criteria."""

    round: Count
    verdicts: list[TracedVerdict]


class TracedFinding(Form):
    """What was found wanting by a criterion, given by its place, and what would mend it."""

    round: Count
    criterion: Count
    problem: str
    remedy: str


class TracedChange(Form):
    """One edit of an answer's numbered segments; S0 is the place before the first.

    `before` is what stood there, `text` what stands there now, `criteria` the places of the
    criteria that it serves. `dropped` says why it was not applied, if so.
    """

    op: Op
    segments: str
    after: str | None
    before: str
    text: str
    criteria: list[Count]
    dropped: Dropped | None


class TracedEdit(Form):
    """A candidate, and why it was not accepted if it was not.

    `by` says whether it was made by edits, written whole, or joined from several drafts; `changes`
    are the edits.
    """

    round: Count
    answer: str
    accepted: bool
    objection: str | None
    by: By
    changes: list[TracedChange]


class Trace(Form):
    """The draft, every critique and every edit."""

    draft: str
    critiques: list[TracedCritique]
    findings: list[TracedFinding]
    edits: list[TracedEdit]


class Revision(Form):
    """How the answer was reviewed.

    `clean`: the draft meets every criterion. `revised`: a better answer was accepted.
    `kept_draft`: critiqued, and nothing better was found. `unreviewed`: some criterion could not
    be judged. `off`: no review was asked for.
    """

    id: RevisionId
    status: Status
    stop_reason: StopReason
    mode: Mode
    rounds: Count
    changed: bool
    score: Score
    principles: list[NamedPrinciple]
    criteria: list[JudgedCriterion]
    usage: dict[Step, StepUsage]
    limits: list[str]
    """What the model's context left no room for; empty where it held all."""
    trace: Trace = not_always()


class Reviewed(Form):
    """What critiques and revisions have in common."""

    id: RevisionId
    created: int
    model: str
    system_fingerprint: str
    answer: str
    revision: Revision
    usage: Usage


class CritiqueResult(Reviewed):
    """A critique; the answer is the one that came."""

    object: Literal["critique"]


class RevisionResult(Reviewed):
    """A revision; the answer is the one that came, or a better one."""

    object: Literal["revision"]
