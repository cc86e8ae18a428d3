"""Open WebUI: the real server, driven as its page drives it, with the gateway behind it."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checks import BASE_URL, DRAFT, REVISED, asking, check, key, left, main, model, seen

MODEL = model()
READINGS = [MODEL, f"{MODEL}-fast", f"{MODEL}-thorough", f"{MODEL}-draft"]
HOME = Path(os.environ["HOME"])
LOG = HOME / "open-webui.log"
START_S = 300.0

# What a user sets, and what keeps it from looking for anything elsewhere.
SETTINGS = {
    "OPENAI_API_BASE_URL": BASE_URL,
    "OPENAI_API_KEY": "any",
    "TASK_MODEL_EXTERNAL": f"{MODEL}-draft",
    "ENABLE_OLLAMA_API": "false",
    "OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "RAG_EMBEDDING_ENGINE": "openai",
    "RAG_OPENAI_API_BASE_URL": BASE_URL,
    "RAG_OPENAI_API_KEY": "any",
    "RAG_EMBEDDING_MODEL": MODEL,
    "ENABLE_VERSION_UPDATE_CHECK": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "WEBUI_SECRET_KEY": "of-this-run",
    "DATA_DIR": str(HOME / "data"),
}


class Page:
    """What the page in a browser does, over the same HTTP API."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.token = ""

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer's JSON; of an error, the status and the JSON."""
        try:
            with self.open(method, path, body) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def open(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        sent = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(  # noqa: S310  # 127.0.0.1
            self.root + path, method=method, data=sent, headers=headers
        )
        return urllib.request.urlopen(request, timeout=60)  # noqa: S310  # likewise

    def whole(self, question: str, **fields: object) -> Any:
        turns = [{"role": "user", "content": question}]
        body = {"model": MODEL, "messages": turns, **fields}
        return self.call("POST", "/api/chat/completions", body)

    def streamed(self, question: str, **fields: object) -> list[dict[str, Any]]:
        turns = [{"role": "user", "content": question}]
        body = {"model": MODEL, "messages": turns, "stream": True, **fields}
        with self.open("POST", "/api/chat/completions", body) as response:
            said = response.read().decode()
        data = [line.removeprefix("data: ") for line in said.splitlines() if line[:5] == "data:"]
        assert data[-1] == "[DONE]"
        return [json.loads(one) for one in data[:-1]]

    def begin_chat(self, question: str, *, name: str = MODEL, **tasks: bool) -> dict[str, Any]:
        """Send the first message of a saved chat, as the page does; it is answered later."""
        message, answer = str(uuid.uuid4()), str(uuid.uuid4())
        turn = {"id": message, "parentId": None, "childrenIds": [answer], "role": "user"}
        begun = self.whole(
            question,
            model=name,
            stream=True,
            parent_id=None,
            id=answer,
            session_id="a-page",
            user_message={**turn, "content": question, "models": [name], "timestamp": 1},
            background_tasks=tasks,
        )
        return {"chat": begun["chat_id"], "answer": answer, "task": begun["task_ids"][0]}

    def answer_in(
        self, begun: dict[str, Any], done: Callable[[dict[str, Any]], bool] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Wait for the saved answer; return the chat and the answer in it."""
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            chat = self.call("GET", f"/api/v1/chats/{begun['chat']}")
            answer = chat["chat"]["history"]["messages"].get(begun["answer"], {})
            if answer.get("done") and (done is None or done(chat)):
                return chat, answer
            time.sleep(0.1)
        raise AssertionError(f"no answer was saved: {chat}")


@contextmanager
def running() -> Iterator[Page]:
    """Run Open WebUI on a free port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("open-webui")
    words = [str(command), "serve", "--host", "127.0.0.1", "--port", str(port)]
    with (
        LOG.open("w") as log,
        subprocess.Popen(words, env=os.environ | SETTINGS, stdout=log, stderr=log) as server,
    ):
        try:
            page = Page(port)
            ends = time.monotonic() + START_S
            while not _is_up(page):
                if server.poll() is not None or time.monotonic() > ends:
                    raise AssertionError(f"it did not start:\n{LOG.read_text()[-5000:]}")
                time.sleep(0.5)
            yield page
        finally:
            server.kill()


def _is_up(page: Page) -> bool:
    try:
        return page.call("GET", "/health") == {"status": True}
    except OSError:
        return False


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks)


@check
def the_first_user_signs_up_and_is_the_administrator():
    wished = {"name": "A", "email": "a@example.org", "password": "only-for-this-run"}
    signed_up = page.call("POST", "/api/v1/auths/signup", wished)
    assert signed_up["role"] == "admin"
    page.token = signed_up["token"]


@check
def the_connection_is_verified_and_the_models_are_listed():
    config = {"auth_type": "bearer"}
    verified = page.call(
        "POST", "/openai/verify", {"url": BASE_URL, "key": "any", "config": config}
    )
    assert [one["id"] for one in verified["data"]] == READINGS
    assert [one["id"] for one in page.call("GET", "/api/models")["data"]] == READINGS


@check
def a_whole_answer_carries_the_review():
    for name in READINGS:
        got = page.whole(asking(), model=name)
        is_draft = name.endswith("-draft")
        assert got["choices"][0]["message"]["content"].startswith(DRAFT if is_draft else REVISED)
        assert got["revision"]["status"] == ("off" if is_draft else "revised")


@check
def a_stream_says_what_the_whole_answer_says_and_ends_once():
    for name in READINGS:
        question = asking()
        whole = page.whole(question, model=name)
        options = {"include_usage": True}
        *chunks, usage = page.streamed(question, model=name, stream_options=options)
        assert text_of(chunks) == whole["choices"][0]["message"]["content"]
        reasons = [one["choices"][0]["finish_reason"] for one in chunks]
        assert [one for one in reasons if one] == ["stop"]
        assert usage["usage"] == whole["usage"]


@check
def a_chat_of_the_page_is_answered_and_saved_and_gets_its_title_and_tags():
    begun = page.begin_chat(
        asking(), title_generation=True, tags_generation=True, follow_up_generation=True
    )
    chat, answer = page.answer_in(
        begun, lambda chat: chat["title"] == "Headache" and "tags" in chat["meta"]
    )
    # The page offers tools of its own; the model server calls one, and then answers.
    kinds = [one["type"] for one in answer["output"]]
    assert kinds == ["function_call", "function_call_output", "message"], kinds
    assert (answer["content"], answer.get("error")) == (REVISED, None)
    assert chat["meta"]["tags"] == ["headache"]
    assert answer["followUps"] == ["What helps?"]


@check
def the_tasks_of_the_page_go_to_the_draft_model():
    turns = [{"role": "user", "content": asking()}]
    for task in ("title", "tags", "follow_up"):
        got = page.call(
            "POST", f"/api/v1/tasks/{task}/completions", {"model": MODEL, "messages": turns}
        )
        assert (got["revision"]["mode"], got["revision"]["status"]) == ("draft", "off")


@check
def a_model_of_ones_own_sends_the_extension_and_shows_the_draft_as_reasoning():
    wished = {"mode": "fast", "expose": "reasoning"}
    made = {
        "id": "careful",
        "base_model_id": MODEL,
        "name": "Careful",
        "meta": {"capabilities": {"builtin_tools": False, "usage": True}},
        "params": {"custom_params": {"revision": json.dumps(wished)}},
    }
    assert page.call("POST", "/api/v1/models/create", made)["id"] == "careful"
    assert "careful" in [one["id"] for one in page.call("GET", "/api/models?refresh=true")["data"]]
    assert page.whole(asking(), model="careful")["revision"]["mode"] == "fast"
    _, answer = page.answer_in(page.begin_chat(asking(), name="careful"))
    thought, said = answer["output"]
    assert (thought["type"], thought["content"][0]["text"]) == ("reasoning", DRAFT)
    assert (said["type"], said["content"][0]["text"]) == ("message", REVISED)
    assert answer["usage"]["total_tokens"] > 0


@check
def a_model_of_ones_own_shows_the_status_line_and_the_principles():
    wished = {"include": ["status", "citations"]}
    made = {
        "id": "telling",
        "base_model_id": MODEL,
        "name": "Telling",
        "meta": {"capabilities": {"builtin_tools": False}},
        "params": {"custom_params": {"revision": json.dumps(wished)}},
    }
    assert page.call("POST", "/api/v1/models/create", made)["id"] == "telling"
    assert "telling" in [one["id"] for one in page.call("GET", "/api/models?refresh=true")["data"]]
    _, answer = page.answer_in(page.begin_chat(asking(), name="telling"))
    assert (answer["content"], answer.get("error")) == (REVISED, None)
    lines = [(one["description"], one["done"]) for one in answer["statusHistory"]]
    assert [done for _, done in lines] == [False] * 6 + [True]
    assert lines[0] == ("Drafting", False)
    assert lines[-1][0].startswith("Checked and revised: "), lines
    (source,) = answer["sources"]
    assert source["source"]["url"] == "https://example.org/headache"
    assert source["source"]["name"] == "Headache warning signs (A guideline)"
    _, failed = page.answer_in(page.begin_chat(asking("late-refused"), name="telling"))
    assert "refused the request" in json.dumps(failed["error"])
    assert failed["statusHistory"][-1]["done"] is True


@check
def a_chat_that_is_stopped_ends_the_call_all_the_way_down():
    tag = key()
    begun = page.begin_chat(asking("slow 20", tag))
    ends = time.monotonic() + 10
    while not seen(tag)["calls"] and time.monotonic() < ends:
        time.sleep(0.05)
    assert page.call("POST", f"/api/tasks/stop/{begun['task']}")["status"] is True
    left(tag)


@check
def an_error_of_the_model_server_is_shown_in_the_chat():
    for name, what, told in (
        (MODEL, "refused", "refused the request"),
        (MODEL, "late-refused", "refused the request"),
        (f"{MODEL}-draft", "cut", "an error inside an answer"),
    ):
        _, answer = page.answer_in(page.begin_chat(asking(what), name=name))
        assert told in json.dumps(answer["error"]), answer


@check
def an_error_is_handed_through_with_its_status():
    status, body = page.whole(asking("refused"))
    assert (status, body["error"]["code"]) == (400, "upstream_rejected")
    status, body = page.whole(asking("overloaded 9"))
    assert (status, body["error"]["code"]) == (503, "upstream_unavailable")
    status, body = page.whole(asking(), revision={"top_k": 99})
    assert (status, body["error"]["param"]) == (400, "revision.top_k")


if __name__ == "__main__":
    with running() as page:
        main("open-webui")
