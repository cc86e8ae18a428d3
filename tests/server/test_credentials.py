"""What a request may show as its key, and what is done with everything else that it may show."""

import asyncio
import re
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from openai import AsyncOpenAI, AuthenticationError

from server.keys import key as keys
from server.keys.file import FileKeys
from server.keys.key import FORM, PREFIX, Key, KeyLimits, new_key
from server.keys.ring import REFRESH_S, KeyRefused, Ring, watched
from tests.fakes.vllm import DRAFT, MODEL, FakeVLLM, Slow
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway, asking
from tests.server.keyed import asked, bearing, issue, keep, send_raw

MODELS = "/v1/models"


@pytest.fixture
async def key(tmp_path: Path) -> str:
    return await issue(tmp_path, "chat")


@pytest.fixture
async def locked(open_gateway: Opener, key: str) -> Gateway:
    return await open_gateway()


@pytest.mark.parametrize(
    "form",
    [
        "Authorization: Bearer {}",
        "authorization: bearer {}",
        "AUTHORIZATION: BEARER   {}  ",
        "api-key: {}",
        "x-api-key: {}",
        "X-API-Key: {}",
        "Authorization: Basic dXNlcjpwYXNz\r\nx-api-key: {}",
        "Authorization: Bearer {0}\r\napi-key: {0}",
        "Authorization: Bearer {0}\r\nAuthorization: Bearer {0}",
    ],
)
async def test_a_key_is_taken_as_common_clients_send_it(locked: Gateway, key: str, form: str):
    answer = await send_raw(locked, asked("GET", MODELS, *form.format(key).split("\r\n")))
    assert answer.status == 200


async def test_openais_client_gets_in_with_a_key_and_is_told_without(locked: Gateway, key: str):
    options = {"base_url": f"{locked.url}/v1", "max_retries": 0}
    async with AsyncOpenAI(api_key=key, **options) as client:
        assert (await client.models.list()).data[0].id == MODEL
    async with AsyncOpenAI(api_key="sk-zebra", **options) as client:
        with pytest.raises(AuthenticationError) as refused:
            await client.models.list()
    assert refused.value.code == "invalid_api_key"
    assert "zebra" not in str(refused.value)


def wrong_forms(key: str) -> dict[str, tuple[str, ...]]:
    """Return headers that show no good key."""
    head, key_id, secret = key.split("_")
    other = new_key(frozenset({"admin"}))[1]
    return {
        "none": (),
        "empty": ("Authorization:",),
        "scheme alone": ("Authorization: Bearer",),
        "no scheme": (f"Authorization: {key}",),
        "another scheme": (f"Authorization: Basic {key}",),
        "a scheme that begins like ours": (f"Authorization: BearerX {key}",),
        "a tab for a blank": (f"Authorization: Bearer\t{key}",),
        "two in one": (f"Authorization: Bearer {key}, Bearer {key}",),
        "a word more": (f"Authorization: Bearer {key} x",),
        "quoted": (f'Authorization: Bearer "{key}"',),
        "upper case": (f"Authorization: Bearer {key.upper()}",),
        "a letter less": (f"Authorization: Bearer {key[:-1]}",),
        "a letter more": (f"Authorization: Bearer {key}0",),
        "id alone": (f"Authorization: Bearer {head}_{key_id}_",),
        "secret alone": (f"Authorization: Bearer {secret}",),
        "another's secret": (f"Authorization: Bearer {head}_{key_id}_{other.split('_')[2]}",),
        "another's id": (f"Authorization: Bearer {head}_{other.split('_')[1]}_{secret}",),
        "unknown": (f"Authorization: Bearer {other}",),
        "hash of the secret": (f"Authorization: Bearer {head}_{key_id}_{keys.digest_of(secret)}",),
        "digits of another script": (f"Authorization: Bearer {key[:-1]}\xb2",),
        "not ASCII": ("Authorization: Bearer \xff\xfe\xe9",),
        "percent-encoded": (f"Authorization: Bearer {key.replace('_', '%5f')}",),
        "two different": (f"Authorization: Bearer {key}", f"Authorization: Bearer {other}"),
        "two different, other order": (f"Authorization: Bearer {other}", f"x-api-key: {key}"),
        "cookie": (f"Cookie: authorization=Bearer {key}",),
        "underscores for hyphens": (f"x_api_key: {key}",),
        "proxy's": (f"Proxy-Authorization: Bearer {key}",),
        "forwarded": (f"X-Forwarded-Authorization: Bearer {key}",),
        "long": ("Authorization: Bearer " + "a" * 8000,),
    }


@pytest.mark.parametrize("form", wrong_forms(new_key(frozenset({"chat"}))[1]))
async def test_anything_else_is_refused_and_never_repeated(
    locked: Gateway, vllm: FakeVLLM, key: str, form: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG")
    answer = await send_raw(locked, asked("GET", MODELS, *wrong_forms(key)[form]))
    assert answer.status == 401
    assert '"code":"missing_api_key"' in answer.body or '"code":"invalid_api_key"' in answer.body
    secret = key.split("_")[2][:-1]
    assert secret not in answer.head + answer.body + caplog.text
    assert vllm.requests == []


GET, POST = b"GET /v1/models HTTP/1.1\r\n", b"POST /v1/chat/completions HTTP/1.1\r\n"
SMUGGLED = {
    "a blank before the colon": GET + b"Host: a\r\nAuthorization : Bearer KEY\r\n\r\n",
    "a folded line": GET + b"Host: a\r\n Authorization: Bearer KEY\r\n\r\n",
    "a bare line feed": GET + b"Host: a\r\nX: y\nAuthorization: Bearer \x00KEY\r\n\r\n",
    "two lengths": POST + b"Host: a\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\nabcd",
    "a length and chunks": POST
    + b"Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + GET
    + b"\r\n",
    "two hosts": GET + b"Host: a\r\nHost: b\r\n\r\n",
}


@pytest.mark.parametrize("smuggled", SMUGGLED.values(), ids=SMUGGLED.keys())
async def test_a_request_that_two_readers_may_read_differently_gets_nothing(
    locked: Gateway, key: str, smuggled: bytes
):
    answer = await send_raw(locked, smuggled.replace(b"KEY", key.encode()))
    assert answer.status in {400, 401, 421, 431}
    assert '"data"' not in answer.body
    assert "HTTP/1.1 200" not in answer.head + answer.body


@pytest.mark.parametrize(
    "query", ["api_key={}", "API_KEY={}", "key={}", "access_token={}", "zebra={}", "x=1&token={}"]
)
async def test_a_key_in_the_url_is_refused_even_beside_a_good_one(
    locked: Gateway, key: str, query: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG")
    for headers in ({}, bearing(key)):
        path = f"{MODELS}?{query.format(key)}"
        reply = await locked.request("GET", path, headers=headers)
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
        assert "URL" in reply.error["message"]
        ours = [one.getMessage() for one in caplog.records if one.name.startswith("clinalign")]
        assert key.split("_")[2] not in reply.body.decode() + "".join(ours)
    harmless = await locked.request("GET", f"{MODELS}?limit=20", headers=bearing(key))
    assert harmless.status == 200


async def test_a_key_works_until_it_expires(open_gateway: Opener, tmp_path: Path):
    soon = datetime.now(UTC) + timedelta(seconds=1)
    key = await issue(tmp_path, "chat", expires=soon)
    gateway = await open_gateway()
    assert (await gateway.request("GET", MODELS, headers=bearing(key))).status == 200
    await asyncio.sleep(1.05)
    reply = await gateway.request("GET", MODELS, headers=bearing(key))
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert "expired" in reply.error["message"]
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]


async def until(gateway: Gateway, key: str, status: int) -> float:
    """Ask until that is the answer, and return how long it took."""
    began = time.monotonic()
    while (await gateway.request("GET", MODELS, headers=bearing(key))).status != status:
        assert time.monotonic() - began < 10 * REFRESH_S
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_revoked_key_is_refused_within_seconds_and_its_requests_end(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path, key: str
):
    gateway = await open_gateway()
    vllm.script["draft"] = Slow(seconds=2 * REFRESH_S + 1, reply=DRAFT)
    running = asyncio.create_task(gateway.post(CHAT, asking("draft"), **bearing(key)))
    await asyncio.sleep(0.2)
    await FileKeys(tmp_path / "keys.json").revoke(key.split("_")[1], datetime.now(UTC))
    await until(gateway, key, 401)
    assert not running.done()
    assert (await running).status == 200
    reply = await gateway.request("GET", MODELS, headers=bearing(key))
    assert "revoked" in reply.error["message"]


async def test_the_first_key_locks_a_running_gateway_and_no_deletion_opens_it(
    gateway: Gateway, tmp_path: Path
):
    assert (await gateway.get(MODELS)).status == 200
    key = await issue(tmp_path, "chat")
    await until(gateway, "none", 401)
    assert (await gateway.request("GET", MODELS, headers=bearing(key))).status == 200
    (tmp_path / "keys.json").unlink()
    await until(gateway, key, 401)
    assert (await gateway.get(MODELS)).status == 401


async def test_keys_that_cannot_be_read_again_stay_good_for_a_while(
    locked: Gateway, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "keys.json").write_text("{")
    await asyncio.sleep(2 * REFRESH_S)
    assert locked.services.ring.problem is not None
    assert (await locked.request("GET", MODELS, headers=bearing(key))).status == 200
    told = (await locked.get("/metrics")).body
    assert b"clinalign_keys_unreadable 1.0" in told
    monkeypatch.setattr("server.keys.ring.STALE_S", 0.0)
    reply = await locked.request("GET", MODELS, headers=bearing(key))
    assert (reply.status, reply.error["code"]) == (503, "not_ready")
    assert (await locked.get(MODELS)).status == 401


async def test_a_keys_id_is_the_tenant_and_a_stranger_invents_none(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path
):
    one, other = await issue(tmp_path, "chat"), await issue(tmp_path, "chat")
    gateway = await open_gateway()
    headers = {"idempotency-key": "a"}
    replies = await asyncio.gather(
        *(
            gateway.post(CHAT, asking("fast"), **bearing(key), **headers)
            for key in (one, one, other)
        )
    )
    ids = [reply.revision["id"] for reply in replies]
    assert ids[0] == ids[1] != ids[2]


def test_a_key_is_256_random_bits_behind_its_prefix_and_id():
    made = [new_key(frozenset({"chat"}))[1] for _ in range(100)]
    assert len(set(made)) == 100
    for text in made:
        assert FORM.fullmatch(text)
        assert text.startswith(f"{PREFIX}_")
        assert len(bytes.fromhex(text.split("_")[2])) * 8 == 256


def test_nothing_of_a_secret_is_kept_and_nothing_of_its_hash_is_shown(tmp_path: Path):
    key, text = new_key(frozenset({"chat"}), limits=KeyLimits(at_once=1))
    asyncio.run(keep(tmp_path, key))
    kept = (tmp_path / "keys.json").read_text()
    assert text.split("_")[2] not in kept
    assert key.digest in kept
    assert text.split("_")[2] not in repr(key)


def test_secrets_are_compared_in_constant_time_only():
    source = Path(keys.__file__).read_text(encoding="utf-8")
    assert source.count("hmac.compare_digest(") == 1
    assert not re.search(r"digest\s*[!=]=|[!=]=\s*\S*digest", source)
    ring = Path(keys.__file__).with_name("ring.py").read_text(encoding="utf-8")
    assert "digest" not in ring.replace("has(", "")


async def test_a_wrong_secret_takes_as_long_however_much_of_it_is_right():
    """A smoke test: medians of many, far from what a comparison byte by byte would show."""
    key, text = new_key(frozenset({"chat"}))
    ring = Ring()
    ring._keys = {key.id: key}
    head, secret = text[:-64], text[-64:]
    wrong = {
        "first": head + ("0" if secret[0] != "0" else "1") + secret[1:],
        "last": head + secret[:-1] + ("0" if secret[-1] != "0" else "1"),
        "id": f"{PREFIX}_{'a' * 12}_{secret}",
    }
    took: dict[str, list[int]] = {name: [] for name in wrong}
    for _ in range(4000):
        for name, shown in wrong.items():
            began = time.perf_counter_ns()
            with pytest.raises(KeyRefused):
                ring.find(shown)
            took[name].append(time.perf_counter_ns() - began)
    medians = [statistics.median(times) for times in took.values()]
    assert max(medians) < 1.5 * min(medians)


async def test_a_store_that_never_answers_again_locks_everybody_out_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
):
    class Silent:
        def __init__(self, key: Key) -> None:
            self.key, self.reads = key, 0

        async def read(self) -> tuple[Key, ...]:
            self.reads += 1
            if self.reads > 1:
                await asyncio.Event().wait()
            return (self.key,)

        async def close(self) -> None:
            pass

    monkeypatch.setattr("server.keys.ring.REFRESH_S", 0.01)
    monkeypatch.setattr("server.keys.ring.READING_S", 0.01)
    monkeypatch.setattr("server.keys.ring.STALE_S", 0.3)
    key, text = new_key(frozenset({"chat"}))
    async with watched(Silent(key), required=False) as ring:
        await asyncio.sleep(0.1)
        assert ring.find(text) == key
        assert ring.problem == "the store of keys does not answer"
        await asyncio.sleep(0.3)
        with pytest.raises(KeyRefused, match="unreadable"):
            ring.find(text)
