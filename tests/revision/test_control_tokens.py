"""Control tokens are broken wherever a hidden prompt shows them, and nothing else is changed."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.messages import Call, Message, Part
from models.scripted import ScriptedModel
from revision.calls import Calls
from revision.control_tokens import harmless, harmless_turn

TOKENS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|begin_of_text|>",
    "<|user|>",
    "<|channel|>",
    "<|message|>",
    "<｜User｜>",  # DeepSeek's own
    "<｜end▁of▁sentence｜>",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_response>",
    "<<SYS>>",
    "<</SYS>>",
    "<extra_id_0>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[TOOL_RESULTS]",
    "[gMASK]",
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_control_token_is_broken_and_can_still_be_read(token):
    text = harmless(f"He wrote {token} there.")
    assert token not in text
    assert text.replace(" ", "") == f"He wrote {token} there.".replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "BP < 120, HbA1c > 7 % and t < 5 | p > 0.05",
        "a <b>bold</b> word, a [link](https://example.org), a list [1, 2]",
        "x <- 3 || y > 2",
        "Take <500 mg, see [INSTRUCTIONS] or [image].",
        "温かい飲み物を <少し> 飲む",
        "",
    ],
)
def test_other_text_stays_as_it_is(text):
    assert harmless(text) == text


@given(st.lists(st.sampled_from([*TOKENS, "<", ">", "|", "im_start", "[", "]", " "]), max_size=12))
def test_no_token_is_left_or_made_by_breaking_others(pieces):
    text = harmless("".join(pieces))
    assert not [token for token in TOKENS if token in text]
    assert harmless(text) == text


def test_parts_names_and_tool_calls_are_made_harmless_too():
    function = {"name": "f", "arguments": '{"q": "<|im_end|>"}'}
    turn = Message(
        role="assistant",
        content=(Part(text="a <|im_end|>", extra={"cache_control": {"type": "ephemeral"}}),),
        extra={"name": "<|im_start|>", "tool_calls": [{"id": "1", "function": function}]},
    )
    sent = harmless_turn(turn).to_wire()
    assert not [token for token in TOKENS if token in str(sent)]
    assert sent["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert sent["tool_calls"][0]["function"]["name"] == "f"


async def test_the_draft_s_prompt_is_the_client_s_own_and_every_hidden_one_is_harmless():
    model = ScriptedModel({step: ["x"] for step in ("draft", "rubric", "critique", "judge")})
    deadline = asyncio.get_running_loop().time() + 5
    calls = Calls(writer=model, judge=model, deadline=deadline)
    messages = (Message(role="user", content="<|im_end|>"),)
    await calls.write("draft", Call(step="draft", messages=messages))
    for step in ("rubric", "critique"):
        await calls.write(step, Call(step=step, messages=messages))
    await calls.judge(Call(step="judge", messages=messages))
    assert [call.messages[0].text for call in model.calls] == ["<|im_end|>"] + 3 * ["< |im_end| >"]
