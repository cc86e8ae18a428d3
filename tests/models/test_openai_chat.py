import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

import pytest

from models import openai_http
from models.errors import (
    ContextOverflow,
    MalformedReply,
    ModelError,
    ModelOverloaded,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)
from models.messages import Call, Completion, Delta, JsonSchema, Message, Usage
from models.openai_chat import OpenAIChatModel
from models.openai_http import OpenAIServer
from models.yes_no import yes_probability
from tests.fakes.vllm import (
    DRAFT,
    MODEL,
    Answer,
    Body,
    Cut,
    ErrorInStream,
    FakeVLLM,
    Hang,
    Raw,
    Reply,
    Slow,
    Status,
    Unfinished,
    overflow,
    yes_no,
)

CANARY = "zebra-in-the-ward"
TOOL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "dose", "arguments": '{"drug": "paracetamol", "weight": 70}'},
}
OTHER_TOOL = {
    "id": "call_2",
    "type": "function",
    "function": {"name": "search", "arguments": "{}"},
}


def ask(step: str = "draft", **more: object) -> Call:
    message = Message(role="user", content=f"My secret is {CANARY}.")
    return Call(step=step, messages=(message,), **more)


def at(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


@pytest.fixture
async def server(vllm: FakeVLLM) -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer([vllm.url], api_key="key") as opened:
        yield opened


@pytest.fixture
def model(server: OpenAIServer) -> OpenAIChatModel:
    return OpenAIChatModel(server=server, name=MODEL)


async def streamed(model: OpenAIChatModel, call: Call) -> tuple[str, Completion]:
    said, whole = "", None
    async with aclosing(model.stream(call)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Delta):
                said += piece.text
            else:
                whole = piece
    if whole is None:
        raise AssertionError("the stream ended without the whole")
    return said, whole


async def test_a_whole_reply_is_read(model: OpenAIChatModel, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(text="Rest.", reasoning="Hm.", finish_reason="length")
    reply = await model.complete(ask())
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Rest.", "Hm.", "length")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == vllm.usage()


async def test_a_call_goes_up_with_its_step_its_key_and_its_model(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    await model.complete(ask("revise", max_tokens=7, options={"top_p": 0.5}))
    (request,) = vllm.of("revise")
    assert request.headers["authorization"] == "Bearer key"
    assert (request.body["model"], request.body["max_tokens"]) == (MODEL, 7)
    assert request.body["top_p"] == 0.5
    assert "stream" not in request.body


async def test_the_model_s_options_go_up_with_every_call(server: OpenAIServer, vllm: FakeVLLM):
    model = OpenAIChatModel(server=server, name=MODEL, options={"top_k": 20, "max_tokens": 5})
    await model.complete(ask(max_tokens=7))
    await streamed(model, ask())
    whole, stream = vllm.of("draft")
    assert (whole.body["top_k"], whole.body["max_tokens"]) == (20, 7)
    assert (stream.body["top_k"], stream.body["max_tokens"]) == (20, 5)


async def test_a_stream_says_the_words_and_then_the_same_whole(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["draft"] = Answer(text=DRAFT, reasoning="Hm.")
    said, whole = await streamed(model, ask())
    plain = await model.complete(ask())
    assert said == DRAFT
    assert whole == plain


async def test_fragments_of_tool_calls_are_joined(model: OpenAIChatModel, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(tool_calls=(TOOL, OTHER_TOOL), finish_reason="tool_calls")
    _, whole = await streamed(model, ask())
    assert whole.tool_calls == (TOOL, OTHER_TOOL)
    assert (await model.complete(ask())).tool_calls == whole.tool_calls


@pytest.mark.parametrize("probability", [0.9, 0.5, 0.02])
async def test_a_judgement_is_read_from_one_token(
    model: OpenAIChatModel, vllm: FakeVLLM, probability: float
):
    vllm.script["judge"] = yes_no(probability)
    reply = await model.complete(ask("judge", max_tokens=1, top_logprobs=20))
    assert yes_probability(reply) == pytest.approx(probability)


OFF = {"enable_thinking": False, "thinking": False}
KWARGS = "chat_template_kwargs"


def strict(body: dict) -> Reply:
    """Answer as a server that knows no field beyond OpenAI's own."""
    return Status(status=400) if KWARGS in body else yes_no(0.9)


async def test_a_judgement_is_asked_for_with_thinking_switched_off_and_nothing_else_is(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["judge"] = yes_no(0.9)
    await model.complete(ask("judge", thinks=False))
    await model.complete(ask("draft"))
    assert vllm.of("judge")[0].body[KWARGS] == OFF
    assert KWARGS not in vllm.of("draft")[0].body


async def test_the_switch_leaves_the_template_s_other_variables_and_beats_the_operator_s(
    server: OpenAIServer, vllm: FakeVLLM
):
    options = {KWARGS: {"enable_thinking": True, "locale": "fr"}}
    model = OpenAIChatModel(server=server, name=MODEL, options=options)
    vllm.script["judge"] = yes_no(0.9)
    await model.complete(ask("judge", thinks=False))
    await model.complete(ask("draft"))
    assert vllm.of("judge")[0].body[KWARGS] == {**OFF, "locale": "fr"}
    assert vllm.of("draft")[0].body[KWARGS] == options[KWARGS]


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_knows_no_switch_is_asked_without_it_from_then_on(
    model: OpenAIChatModel, vllm: FakeVLLM, status: int
):
    vllm.script["judge"] = lambda body: Status(status=status) if KWARGS in body else yes_no(0.9)
    for _ in range(3):
        reply = await model.complete(ask("judge", top_logprobs=20, thinks=False))
        assert yes_probability(reply) == pytest.approx(0.9)
    assert [KWARGS in one.body for one in vllm.of("judge")] == [True, False, False, False]


async def test_what_is_learned_of_one_model_says_nothing_of_another_of_the_same_server(
    server: OpenAIServer, vllm: FakeVLLM
):
    vllm.models.append("other")
    vllm.script["judge"] = strict
    for name in (MODEL, "other"):
        await OpenAIChatModel(server=server, name=name).complete(ask("judge", thinks=False))
    assert [KWARGS in one.body for one in vllm.of("judge")] == [True, False, True, False]


async def test_a_request_that_is_refused_either_way_teaches_nothing(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["judge"] = [Status(status=400), Status(status=400), yes_no(0.9), Status(status=400)]
    with pytest.raises(ModelRejected):
        await model.complete(ask("judge", thinks=False))
    await model.complete(ask("judge", thinks=False))
    with pytest.raises(ModelRejected):  # the switch was taken before, so it is not to blame
        await model.complete(ask("judge", thinks=False))
    assert [KWARGS in one.body for one in vllm.of("judge")] == [True, False, True, True]


@pytest.mark.parametrize("reply", [overflow(), Status(status=401), Status(status=404)])
async def test_what_has_nothing_to_do_with_the_switch_is_not_asked_again(
    model: OpenAIChatModel, vllm: FakeVLLM, reply: Status
):
    vllm.script["judge"] = reply
    with pytest.raises(ModelRejected):
        await model.complete(ask("judge", thinks=False))
    assert len(vllm.of("judge")) == 1


async def test_the_models_on_offer_are_listed(server: OpenAIServer, vllm: FakeVLLM):
    vllm.models = ["a", "b"]
    assert [card.id for card in await server.models()] == ["a", "b"]
    assert (await server.models())[0].context_length() == 32768


FAULTS = [
    pytest.param(Status(status=202), MalformedReply, 1, id="202"),
    pytest.param(Status(status=204, body=b""), MalformedReply, 1, id="204"),
    pytest.param(Status(status=206), MalformedReply, 1, id="206"),
    pytest.param(Status(status=300), MalformedReply, 1, id="300"),
    pytest.param(Status(status=304, body=b""), MalformedReply, 1, id="304"),
    pytest.param(Status(status=400), ModelRejected, 1, id="400"),
    pytest.param(Status(status=401), ModelRejected, 1, id="401"),
    pytest.param(Status(status=404), ModelRejected, 1, id="404"),
    pytest.param(Status(status=422), ModelRejected, 1, id="422"),
    pytest.param(Status(status=501), ModelRejected, 1, id="501"),
    pytest.param(Status(status=408), ModelTimeout, 1, id="408"),
    pytest.param(Status(status=409), ModelUnavailable, 2, id="409"),
    pytest.param(Status(status=413), ContextOverflow, 1, id="413"),
    pytest.param(overflow(), ContextOverflow, 1, id="overflow"),
    pytest.param(Status(status=429), ModelOverloaded, 2, id="429"),
    pytest.param(Status(status=529), ModelOverloaded, 2, id="529"),
    pytest.param(Status(status=520), ModelUnavailable, 2, id="520"),
    pytest.param(
        Status(status=503, headers={"retry-after": "0.01"}), ModelOverloaded, 2, id="503 busy"
    ),
    pytest.param(Status(status=500), ModelUnavailable, 2, id="500"),
    pytest.param(Status(status=502), ModelUnavailable, 2, id="502"),
    pytest.param(Status(status=503), ModelUnavailable, 2, id="503"),
    pytest.param(Status(status=504), ModelUnavailable, 2, id="504"),
    pytest.param(Cut(headers=False), ModelUnavailable, 2, id="reset"),
]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("fault", "kind", "calls"), FAULTS)
async def test_each_refusal_is_its_own_error_and_only_a_passing_one_is_tried_twice(
    model: OpenAIChatModel,
    vllm: FakeVLLM,
    fault: Reply,
    kind: type[ModelError],
    calls: int,
    streams: bool,  # noqa: FBT001
):
    vllm.script["draft"] = fault
    with pytest.raises(ModelError) as caught:
        await (streamed(model, ask()) if streams else model.complete(ask()))
    assert type(caught.value) is kind
    assert len(vllm.of("draft")) == calls
    assert CANARY not in str(caught.value)
    assert "4096" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Raw(writes=(b"\x00\xff\x13",)), MalformedReply),
        (
            Raw(writes=(f"<p>{CANARY}".encode(),), content_type="text/html"),
            MalformedReply,
        ),
        (Raw(writes=(b"[]",)), MalformedReply),
        (Raw(writes=(b'{"choices": []}',)), MalformedReply),
        (Raw(writes=(f'{{"detail": "{CANARY}"}}'.encode(),)), MalformedReply),
        (Raw(writes=(b"",)), MalformedReply),
        (Cut(), ModelUnavailable),
        (Cut(text="some"), ModelUnavailable),
    ],
)
async def test_a_whole_reply_that_is_none_is_told_without_its_words(
    model: OpenAIChatModel, vllm: FakeVLLM, reply: Reply, kind: type[ModelError]
):
    vllm.script["draft"] = reply
    with pytest.raises(kind) as caught:
        await model.complete(ask())
    assert CANARY not in str(caught.value)


SSE = "text/event-stream"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Cut(text="some"), ModelUnavailable),
        (Unfinished(text="some"), ModelUnavailable),
        (ErrorInStream(text="some"), MalformedReply),
        (ErrorInStream(), MalformedReply),
        (Raw(writes=(b"\x00\xff\x13",), content_type=SSE), ModelUnavailable),
        (Raw(writes=(b"data: \x00\xff\n\n",), content_type=SSE), MalformedReply),
        (Raw(writes=(f"data: {CANARY}\n\n".encode(),), content_type=SSE), MalformedReply),
        (Raw(writes=(b'data: {"choices": 7}\n\n',), content_type=SSE), MalformedReply),
        (Raw(writes=(b"data: [DONE]\n\n",), content_type=SSE), ModelUnavailable),
        (Raw(writes=(b"",), content_type=SSE), ModelUnavailable),
    ],
)
async def test_a_stream_that_breaks_is_told_and_never_begun_again(
    model: OpenAIChatModel, vllm: FakeVLLM, reply: Reply, kind: type[ModelError]
):
    vllm.script["draft"] = reply
    with pytest.raises(kind) as caught:
        await streamed(model, ask())
    assert CANARY not in str(caught.value)
    assert len(vllm.of("draft")) == 1


async def test_a_stream_that_breaks_before_its_first_byte_is_begun_once_more(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["draft"] = [Cut(), "Rest."]
    assert (await streamed(model, ask()))[0] == "Rest."


async def test_what_was_said_before_a_stream_broke_has_been_heard(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["draft"] = Cut(text="Call an ambulance")
    said = []
    with pytest.raises(ModelUnavailable):
        async for piece in model.stream(ask()):
            said.append(piece)  # noqa: PERF401  # what came before the error counts
    assert said == [Delta(text="Call an ambulance")]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_second_try_that_succeeds_is_the_answer(
    model: OpenAIChatModel, vllm: FakeVLLM, status: int
):
    vllm.script["draft"] = [Status(status=status), "Rest."]
    assert (await model.complete(ask())).text == "Rest."
    vllm.script["rubric"] = [Status(status=status), "Rest."]
    assert (await streamed(model, ask("rubric")))[0] == "Rest."


@pytest.mark.parametrize(("wait", "at_least", "at_most"), [("0.4", 0.4, 0.8), ("0", 0.0, 0.3)])
async def test_the_pause_that_a_busy_server_asks_for_is_kept(
    model: OpenAIChatModel, vllm: FakeVLLM, wait: str, at_least: float, at_most: float
):
    vllm.script["draft"] = [Status(status=429, headers={"retry-after": wait}), "Rest."]
    started = at(0)
    assert (await model.complete(ask())).text == "Rest."
    assert at_least <= at(0) - started < at_most


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
async def test_a_pause_that_is_too_long_is_not_waited_for(
    model: OpenAIChatModel,
    vllm: FakeVLLM,
    streams: bool,  # noqa: FBT001
):
    vllm.script["draft"] = Status(status=429, headers={"retry-after": "60"})
    started = at(0)
    with pytest.raises(ModelOverloaded) as caught:
        await (streamed(model, ask()) if streams else model.complete(ask()))
    assert caught.value.retry_after == 60
    assert at(0) - started < 1
    assert len(vllm.of("draft")) == 1


@pytest.mark.parametrize("wait", ["Wed, 21 Oct 2026 07:28:00 GMT", "-3", "nan", "inf", "soon"])
async def test_a_pause_that_cannot_be_read_counts_as_none(
    model: OpenAIChatModel, vllm: FakeVLLM, wait: str
):
    vllm.script["draft"] = Status(status=429, headers={"retry-after": wait})
    with pytest.raises(ModelOverloaded) as caught:
        await model.complete(ask())
    assert caught.value.retry_after is None
    assert len(vllm.of("draft")) == 2


@pytest.mark.parametrize(
    ("reply", "streams"),
    [
        (Hang(), False),
        (Hang(), True),
        (Slow(seconds=9, reply="x"), False),
        (Slow(seconds=9, reply="x"), True),
        (Answer(text="a b c d e f", pace=0.1), True),
    ],
)
async def test_a_deadline_ends_a_call_and_frees_the_server(
    model: OpenAIChatModel,
    vllm: FakeVLLM,
    reply: Reply,
    streams: bool,  # noqa: FBT001
):
    vllm.script["draft"] = reply
    with pytest.raises(ModelTimeout):
        await (
            streamed(model, ask(deadline=at(0.2)))
            if streams
            else model.complete(ask(deadline=at(0.2)))
        )
    await vllm.idle()
    assert len(vllm.of("draft")) == 1


async def test_a_deadline_that_has_passed_sets_no_time_at_all(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["draft"] = Hang()
    with pytest.raises(ModelTimeout):
        await model.complete(ask(deadline=at(-1)))


async def test_the_server_s_own_limit_bounds_a_call_without_deadline(vllm: FakeVLLM):
    vllm.script["draft"] = Hang()
    async with OpenAIServer([vllm.url], timeout_s=0.2) as server:
        with pytest.raises(ModelTimeout):
            await OpenAIChatModel(server=server, name=MODEL).complete(ask())


async def test_cancelling_a_call_closes_its_connection(model: OpenAIChatModel, vllm: FakeVLLM):
    vllm.script["draft"] = Hang()
    task = asyncio.create_task(model.complete(ask()))
    await vllm.arrives("draft")
    task.cancel()
    await vllm.idle(within=1)
    assert vllm.cancelled == ["draft"]


async def test_leaving_a_stream_closes_its_connection(model: OpenAIChatModel, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(text="a b c " * 100, pace=0.05)
    async with aclosing(model.stream(ask())) as pieces:
        assert await anext(pieces) == Delta(text="a ")
    await vllm.idle(within=1)
    assert vllm.cancelled == ["draft"]


async def test_a_redirect_is_not_followed(model: OpenAIChatModel, vllm: FakeVLLM):
    vllm.script["draft"] = Status(status=307, headers={"location": f"{vllm.url}/chat/completions"})
    with pytest.raises(ModelRejected):
        await model.complete(ask())
    assert len(vllm.of("draft")) == 1


async def test_an_endless_reply_is_refused(
    model: OpenAIChatModel, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(openai_http, "MAX_REPLY", 100)
    vllm.script["draft"] = "word " * 100
    with pytest.raises(ModelError, match="longer than 100"):
        await model.complete(ask())


async def test_a_server_that_is_not_there_is_unavailable(vllm: FakeVLLM, model: OpenAIChatModel):
    await vllm.stop()
    with pytest.raises(ModelUnavailable):
        await model.complete(ask())


async def test_a_client_outside_its_context_says_so():
    with pytest.raises(RuntimeError, match="async with"):
        await OpenAIServer(["http://127.0.0.1:1/v1"]).models()


async def test_relayed_bytes_are_the_upstream_s_own(model: OpenAIChatModel, vllm: FakeVLLM):
    writes = (b"data: {}\r\n", b"\r\n", b": x\n\n")
    vllm.script["draft"] = Raw(writes=writes, content_type=SSE)
    body = {"model": "other", "messages": [{"role": "user", "content": "hi"}], "logit_bias": {}}
    async with model.relay(body, ask()) as relayed:
        assert relayed.content_type == SSE
        assert b"".join([piece async for piece in relayed.body]) == b"".join(writes)
    (request,) = vllm.of("draft")
    assert request.body == {**body, "model": MODEL}


async def test_the_model_s_options_go_up_with_a_relayed_request_too(
    server: OpenAIServer, vllm: FakeVLLM
):
    model = OpenAIChatModel(server=server, name=MODEL, options={"top_k": 20})
    body = {"messages": [{"role": "user", "content": "hi"}]}
    async with model.relay(body, ask()) as relayed:
        assert [piece async for piece in relayed.body]
    assert vllm.of("draft")[0].body["top_k"] == 20


async def test_a_replica_that_is_gone_is_replaced_within_one_call(vllm: FakeVLLM):
    async with FakeVLLM() as other, OpenAIServer([vllm.url, other.url]) as server:
        model = OpenAIChatModel(server=server, name=MODEL)
        await vllm.stop()
        talks = [f"talk-{number}" for number in range(8)]
        replies = [await model.complete(ask(affinity=talk)) for talk in talks]
        assert {reply.text for reply in replies} == {DRAFT}
        assert len(other.of("draft")) == 8


async def test_a_replica_that_fails_mid_stream_is_passed_over_next_time(vllm: FakeVLLM):
    async with FakeVLLM() as other, OpenAIServer([vllm.url, other.url]) as server:
        model = OpenAIChatModel(server=server, name=MODEL)
        vllm.script["draft"] = other.script["draft"] = Cut(text="some")
        with pytest.raises(ModelUnavailable):
            await streamed(model, ask(affinity="talk"))
        failed = vllm if vllm.requests else other
        sound = other if failed is vllm else vllm
        sound.script["draft"] = "Rest."
        assert (await streamed(model, ask(affinity="talk")))[0] == "Rest."


@contextmanager
def deaf() -> Iterator[str]:
    """A server whose machine takes no connection: the queue of its socket is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            for one in waiting:
                one.close()


async def test_a_replica_that_takes_no_connection_is_replaced_within_one_call(
    vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(openai_http, "CONNECT_S", 0.2)
    with deaf() as url:
        async with OpenAIServer([url, vllm.url]) as server:
            model = OpenAIChatModel(server=server, name=MODEL)
            talks = [f"talk-{number}" for number in range(8)]
            replies = [await model.complete(ask(affinity=talk)) for talk in talks]
            assert {reply.text for reply in replies} == {DRAFT}


async def test_a_stream_that_the_server_gave_up_on_is_no_reply(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["draft"] = Answer(text="Take two of", finish_reason="abort")
    with pytest.raises(ModelUnavailable) as caught:
        await streamed(model, ask())
    assert caught.value.spent.completion_tokens == 4


async def test_reasoning_inside_a_streamed_answer_is_told_apart(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["draft"] = Answer(text="<think>Which of them? </think> Rest in bed.")
    said, whole = await streamed(model, ask())
    assert (said, whole.text, whole.reasoning) == ("Rest in bed.",) * 2 + ("Which of them? ",)


async def test_a_broken_stream_still_says_what_it_has_cost(model: OpenAIChatModel, vllm: FakeVLLM):
    spent = b'{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}'
    for end in (b"", b'data: {"error": "x"}\n\n', b"data: nothing\n\n"):
        vllm.script["draft"] = Raw(writes=(b"data: " + spent + b"\n\n" + end,), content_type=SSE)
        with pytest.raises(ModelError) as caught:
            await streamed(model, ask())
        assert caught.value.spent == Usage(prompt_tokens=9, completion_tokens=4)


SCHEMA = JsonSchema(name="verdict", schema={"type": "object"})


def takes_no_schema(body: Body) -> Reply:
    return Status(status=400) if "response_format" in body else '{"verdict": "yes"}'


async def test_a_server_that_takes_no_schema_is_asked_without_it_from_then_on(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["critique"] = takes_no_schema
    for _ in range(3):
        reply = await model.complete(ask("critique", schema=SCHEMA))
        assert reply.text == '{"verdict": "yes"}'
    assert ["response_format" in one.body for one in vllm.of("critique")] == [True, *[False] * 3]


async def test_one_schema_that_is_refused_says_nothing_of_others(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["critique"] = ["{}", Status(status=400), "{}", "{}"]
    for _ in range(3):
        await model.complete(ask("critique", schema=SCHEMA))
    sent = ["response_format" in one.body for one in vllm.of("critique")]
    assert sent == [True, True, False, True]


async def test_what_is_refused_with_and_without_a_schema_is_refused(
    model: OpenAIChatModel, vllm: FakeVLLM
):
    vllm.script["critique"] = Status(status=400)
    with pytest.raises(ModelRejected):
        await model.complete(ask("critique", schema=SCHEMA))
    assert model.server.takes_schema == {}


async def test_a_schema_of_the_client_s_is_never_left_out(model: OpenAIChatModel, vllm: FakeVLLM):
    vllm.script["draft"] = takes_no_schema
    with pytest.raises(ModelRejected):
        await model.complete(ask("draft", options={"response_format": {"type": "json_object"}}))
    assert len(vllm.of("draft")) == 1
