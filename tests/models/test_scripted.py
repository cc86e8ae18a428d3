import pytest

from models.errors import ModelTimeout
from models.messages import Call, Completion, Delta, Message
from models.scripted import ScriptedModel, ScriptExhausted


def call(step: str) -> Call:
    return Call(step=step, messages=(Message(role="user", content="one two"),))


async def test_a_step_gets_its_lines_in_order_and_then_fails_loudly():
    model = ScriptedModel({"draft": ["a", "b"]})
    assert [(await model.complete(call("draft"))).text for _ in range(2)] == ["a", "b"]
    with pytest.raises(ScriptExhausted, match="2 lines"):
        await model.complete(call("draft"))


async def test_a_step_that_the_script_does_not_know_fails_loudly():
    with pytest.raises(ScriptExhausted, match="'judge'"):
        await ScriptedModel({"draft": ["a"]}).complete(call("judge"))


async def test_a_failed_expectation_is_no_model_error_that_the_loop_could_swallow():
    assert issubclass(ScriptExhausted, AssertionError)


async def test_a_line_may_be_an_error_a_completion_or_a_function():
    whole = Completion(text="c", finish_reason="length")
    model = ScriptedModel({"draft": [ModelTimeout("late"), whole, lambda said: said.step]})
    with pytest.raises(ModelTimeout):
        await model.complete(call("draft"))
    assert await model.complete(call("draft")) is whole
    assert (await model.complete(call("draft"))).text == "draft"


async def test_one_function_answers_any_number_of_calls():
    model = ScriptedModel({"judge": lambda _: "yes"})
    assert {(await model.complete(call("judge"))).text for _ in range(5)} == {"yes"}
    assert len(model.calls) == 5


async def test_a_stream_says_the_words_and_then_the_whole():
    pieces = [piece async for piece in ScriptedModel({"draft": ["a b"]}).stream(call("draft"))]
    assert pieces[:2] == [Delta(text="a"), Delta(text="b")]
    assert isinstance(pieces[2], Completion)
    assert pieces[2].usage.prompt_tokens == 2
