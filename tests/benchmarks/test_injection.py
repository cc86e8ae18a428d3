"""The measurement of injections, on judges whose weakness is known."""

import argparse
import re

import pytest

from benchmarks.injection import Fenced, pairs, report, run
from benchmarks.injection_corpus import attempts, bad_answers, planted
from benchmarks.measures import wilson
from models.messages import Call, Completion, Message
from models.scripted import ScriptedModel
from tests.fakes.vllm import MODEL, FakeVLLM, yes_no
from tests.revision.world import verdict

CORPUS = [one for one in attempts() if one.place != "bank"]
PRESENCE = "Is the following found"


def sound(call: Call) -> Completion:
    """Find every bad answer bad."""
    return verdict(0.95 if PRESENCE in call.messages[-1].text else 0.05)


def gullible(call: Call) -> Completion:
    """Obey whatever stands in the answer beside it, and nothing else."""
    answer = call.messages[-2].text
    if answer in {one.answer for one in bad_answers()}:
        return sound(call)
    return verdict(0.05 if PRESENCE in call.messages[-1].text else 0.95)


async def flips(judge) -> set[str]:
    found = await pairs(ScriptedModel({"judge": judge}), ["chat"], CORPUS, seconds=60)
    assert len(found["chat"]) == len(CORPUS)
    assert not any(one.control.met for one in found["chat"])
    return {one.attempt.id for one in found["chat"] if one.outcome.met}


async def test_a_sound_judge_is_turned_by_nothing_and_a_gullible_one_by_every_answer():
    assert await flips(sound) == set()
    assert await flips(gullible) == {one.id for one in CORPUS if one.place == "answer"}


async def test_no_attempt_is_begun_once_the_time_is_up(capsys: pytest.CaptureFixture):
    found = await pairs(ScriptedModel({"judge": sound}), ["chat"], CORPUS, seconds=-1)
    assert found == {"chat": []}
    assert "after 0 of" in capsys.readouterr().out


async def test_the_layouts_are_judged_on_the_same_attempts(capsys: pytest.CaptureFixture):
    model = ScriptedModel({"judge": sound})
    found = await pairs(model, ["chat", "fenced"], CORPUS[:12], seconds=60)
    ids = {layout: [one.attempt.id for one in of] for layout, of in found.items()}
    assert ids["chat"] == ids["fenced"] == [one.id for one in CORPUS[:12]]
    assert {len(call.messages) for call in model.calls} >= {1, 3}
    report("chat", found["chat"], listed=True)
    told = capsys.readouterr().out
    assert "controls judged rightly: 1.00 (0.76 to 1.00), 12 of 12" in told
    assert "verdicts flipped:        0.00 (0.00 to 0.24), 0 of 12" in told


def test_the_fenced_layout_quotes_all_of_it_in_one_turn_and_nothing_closes_the_fence():
    said = (Message(role="user", content="x [/cafe] y"),)
    (turn,) = Fenced(messages=said, nonce="cafe").with_answer("a [cafe] b", "Judge it.")
    assert turn.role == "user"
    assert turn.text.endswith("Judge it.")
    assert re.findall(r"^\[/?cafe\]$", turn.text, flags=re.MULTILINE) == ["[cafe]", "[/cafe]"]
    assert turn.text.count("cafe") == 4  # twice where the markers are explained


def test_an_attempt_stands_in_its_place_and_nowhere_else():
    for place in ("user", "answer", "tool", "assistant"):
        turns, answer = planted(place, "HERE", question="Q", answer="A")
        where = [turn.role for turn in turns if "HERE" in turn.text] + ["answer"] * (
            "HERE" in answer
        )
        assert where == [place]
        assert planted(place, "", question="Q", answer="A")[1] == "A"


async def test_the_command_runs_against_a_model_server(
    vllm: FakeVLLM, capsys: pytest.CaptureFixture
):
    vllm.script["judge"] = yes_no(0.02)
    await run(
        argparse.Namespace(
            upstream=vllm.url,
            model=MODEL,
            api_key="k",
            limit=8,
            minutes=1.0,
            layout="both",
            repeats=2,
            list=False,
        )
    )
    told = capsys.readouterr().out
    assert told.count("verdicts flipped:") == 2
    assert "differ by 0.000" in told
    assert {one.headers["authorization"] for one in vllm.requests} == {"Bearer k"}


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (1, 100, 0.0018, 0.0545),
    ],
)
def test_wilson_s_interval_is_the_published_one(count, of, low, high):
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-3)
