import pytest

from models.messages import Call, JsonSchema, Message, Part, Usage, merge_system


def turn(role: str, content: str | tuple[str, ...] | None = "words", **extra: str) -> Message:
    if isinstance(content, tuple):
        return Message(role=role, content=tuple(Part(text=one) for one in content), extra=extra)
    return Message(role=role, content=content, extra=extra)


@pytest.mark.parametrize(
    "roles", [("user",), ("system", "user"), ("user", "assistant", "user"), ("system",)]
)
def test_a_conversation_that_obeys_the_template_is_left_alone(roles: tuple[str, ...]):
    messages = tuple(map(turn, roles))
    assert merge_system(messages) is messages


@pytest.mark.parametrize(
    ("messages", "head", "rest"),
    [
        ((turn("developer", "A"), turn("user")), "A", ["user"]),
        ((turn("user"), turn("system", "A"), turn("user")), "A", ["user", "user"]),
        (
            (turn("system", "A"), turn("user"), turn("developer", "B"), turn("assistant")),
            "A\n\nB",
            ["user", "assistant"],
        ),
        ((turn("system", ("A", "B")), turn("system", "C"), turn("user")), "AB\n\nC", ["user"]),
    ],
)
def test_instructions_become_one_first_system_turn(
    messages: tuple[Message, ...], head: str, rest: list[str]
):
    merged = merge_system(messages)
    assert (merged[0].role, merged[0].text) == ("system", head)
    assert [one.role for one in merged[1:]] == rest


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_lone_instruction_keeps_its_parts_and_other_fields(role: str):
    rule = turn(role, ("A", "B"), name="clinic")
    (head, rest) = merge_system((turn("user"), rule))
    assert head == turn("system", ("A", "B"), name="clinic")
    assert rest.role == "user"


def test_merged_instructions_keep_their_parts_and_a_name_that_all_share():
    cached = Part(text="A", extra={"cache_control": {"type": "ephemeral"}})
    first = Message(role="system", content=(cached,), extra={"name": "clinic"})
    merged = merge_system((first, turn("developer", "B", name="clinic"), turn("user")))
    assert merged[0].content == (cached, Part(text="\n\n"), Part(text="B"))
    assert merged[0].extra == {"name": "clinic"}
    assert merge_system((first, turn("system", "B", name="ward")))[0].extra == {}
    assert merge_system((turn("system", "A"), turn("system", "B")))[0].content == "A\n\nB"


@pytest.mark.parametrize(
    ("content", "wire", "text"),
    [
        ("words", "words", "words"),
        (None, None, ""),
        ("", "", ""),
        (("a", "b"), [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ((), [], ""),
    ],
)
def test_a_turn_keeps_the_form_it_came_in(
    content: str | tuple[str, ...] | None, wire: object, text: str
):
    message = turn("user", content)
    assert message.to_wire() == {"role": "user", "content": wire}
    assert message.text == text


def test_a_part_keeps_its_other_fields():
    part = Part(text="a", extra={"cache_control": {"type": "ephemeral"}})
    message = Message(role="user", content=(part,))
    assert message.to_wire()["content"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    ]


def test_a_turn_keeps_its_other_fields():
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = Message(role="assistant", content=None, extra={"tool_calls": calls, "name": "n"})
    assert message.to_wire() == {
        "role": "assistant",
        "content": None,
        "tool_calls": calls,
        "name": "n",
    }


def test_a_call_sends_only_what_was_asked_for():
    call = Call(step="draft", messages=(turn("user"),))
    assert call.to_wire() == {"messages": [{"role": "user", "content": "words"}]}


def test_a_zero_temperature_and_seed_are_sent():
    body = Call(step="judge", messages=(turn("user"),), temperature=0.0, seed=0).to_wire()
    assert (body["temperature"], body["seed"]) == (0.0, 0)


def test_a_call_asks_for_probabilities_and_schemas_in_openais_words():
    schema = JsonSchema(name="verdict", schema={"type": "object"})
    call = Call(step="judge", messages=(turn("user"),), top_logprobs=20, schema=schema)
    body = call.to_wire()
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "schema": {"type": "object"}, "strict": True},
    }


def test_a_call_s_own_fields_beat_its_options():
    call = Call(
        step="judge",
        messages=(turn("user"),),
        max_tokens=1,
        options={"max_tokens": 9, "messages": [], "top_p": 0.5},
    )
    body = call.to_wire()
    assert (body["max_tokens"], body["top_p"], len(body["messages"])) == (1, 0.5, 1)


def test_usages_add_up():
    one = Usage(prompt_tokens=1, completion_tokens=2, cached_tokens=3)
    total = one + Usage(prompt_tokens=10, completion_tokens=20, cached_tokens=30)
    assert total == Usage(prompt_tokens=11, completion_tokens=22, cached_tokens=33)
    assert total.total_tokens == 33
