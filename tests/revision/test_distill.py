"""Distillation: one draft a cluster, in the library's form, or the reason why there is none."""

import json

import pytest
from pydantic import TypeAdapter

from models.errors import ModelUnavailable
from models.scripted import ScriptedModel
from retrieval.clusters import Cluster, Group
from retrieval.principles import Principle
from retrieval.rubric_lines import Demand
from revision.distill import Draft, distill
from revision.errors import Unparsable

CHECK = {"criterion": "States the daily limit", "points": 8, "kind": "require", "critical": True}
WORDING = {
    "title": "State the  whole Dose!",
    "text": "Give dose, interval and daily limit, since each alone can mislead.",
    "criteria": [CHECK, {**CHECK, "criterion": "Leaves out the unit", "kind": "forbid"}],
    "dimensions": {"task": ["detailed-question", "simple-question", "simple-question", "bogus"]},
}
SUPPORT = (Demand(criterion="Physician's words", points=7), Demand(criterion="Others", points=-3))


def group(number: int = 0) -> Group:
    members = Cluster(number=number, members=(4, 2, 9), share=0.25)
    return Group(cluster=members, support=SUPPORT)


async def drafts(model: ScriptedModel, *groups: Group, at_once: int = 1) -> list:
    made = distill(groups, model, run="r1", seed=5, at_once=at_once)
    return [one async for one in made]


async def test_a_draft_has_the_librarys_form_and_its_support():
    model = ScriptedModel({"distill": [json.dumps(WORDING)]})
    (draft,) = await drafts(model, group(3))
    assert isinstance(draft, Draft)
    assert (draft.run, draft.cluster, draft.share, draft.criteria) == ("r1", 3, 0.25, 3)
    assert draft.support == SUPPORT
    principle = TypeAdapter(Principle).validate_python(draft.principle)
    assert principle.id == "state-the-whole-dose-3"
    assert principle.title == "State the whole Dose!"
    assert principle.dimensions["task"] == ("simple-question", "detailed-question")
    assert principle.criteria[1].kind == "forbid"
    assert not principle.always


async def test_the_prompt_shows_the_criteria_with_their_points():
    model = ScriptedModel({"distill": [json.dumps(WORDING)]})
    await drafts(model, group())
    (call,) = model.calls
    assert "(7) Physician's words" in call.messages[-1].text
    assert "(-3) Others" in call.messages[-1].text
    assert call.temperature == 0.0
    assert call.schema is not None


async def test_a_run_asks_the_same_with_the_same_seeds():
    seeds = []
    for _ in range(2):
        model = ScriptedModel({"distill": lambda _: json.dumps(WORDING)})
        await drafts(model, group(0), group(1))
        seeds.append({call.seed for call in model.calls})
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 2


@pytest.mark.parametrize(
    "reply",
    [
        "I cannot do that.",
        json.dumps({**WORDING, "criteria": [CHECK]}),
        json.dumps({**WORDING, "text": "short"}),
        json.dumps({**WORDING, "criteria": [CHECK, {**CHECK, "points": 11}]}),
        json.dumps({**WORDING, "title": "hid\u202eden"}),
    ],
)
async def test_a_wording_that_cannot_be_used_is_no_draft(reply):
    model = ScriptedModel({"distill": [reply, reply]})
    ((failed, error),) = await drafts(model, group(7))
    assert failed.cluster.number == 7
    assert isinstance(error, Unparsable)


async def test_one_failure_costs_no_other_draft():
    model = ScriptedModel(
        {"distill": [ModelUnavailable("down"), json.dumps(WORDING), json.dumps(WORDING)]}
    )
    outcomes = await drafts(model, group(0), group(1), group(2))
    assert sorted(one.cluster for one in outcomes if isinstance(one, Draft)) == [1, 2]
    assert [error for one in outcomes if isinstance(one, tuple) for error in one[1:]] != []
