"""Attacks on the way in: keys, hosts, origins, hostile sockets, overload."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter

from tests.attack.target import CHAT, HOST, Target, chat_body, holds
from tests.fakes.vllm import Slow

ROUTES = ("/v1/models", "/v1/principles", "/metrics", "/openapi.json", "/docs", "/version")
HOSTS = ("evil.example", "localhost.evil.example", "x/v1/models?", "169.254.169.254", "a@b")
TRICKS = ("//v1/models", "/v1/%2e%2e/metrics", "/v1/models;x", "/.git/config", "/../etc/passwd")
MANY = 200


async def keys(target: Target) -> str:
    """S1: nobody gets in without a key that is good, and nobody listens beyond without any."""
    everywhere = "0.0.0.0"  # noqa: S104  # the attempt that must be refused
    code = "from server.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--host", everywhere, "--port", "0"]
    upstream = ["--upstream", target.vllm.url]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, *upstream],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    holds(done.returncode == 2, "it listens on every address without keys")
    locked = target.locked
    holds(locked is not None and locked.key, "there is no gateway with keys to attack")
    assert locked is not None  # for the reader's tools
    wrong = locked.key[:-1] + ("A" if locked.key[-1] != "A" else "B")
    for sent in ("", "Bearer ", f"Bearer {wrong}", f"Basic {locked.key}", f"Bearer {locked.key}x"):
        told = await locked.chat(headers={"authorization": sent} if sent else {})
        holds(told.status == 401, "a wrong key is let in")
    told = await locked.ask("GET", f"/v1/models?api_key={locked.key}")
    holds(told.status == 401, "a key in the address is taken")
    good = {"authorization": f"Bearer {locked.key}"}
    holds((await locked.chat(headers=good)).status == 200, "the right key is refused")
    holds((await locked.ask("GET", "/v1/principles", headers=good)).status != 401, "it is refused")
    secret = locked.key.rpartition("_")[2]
    holds(secret not in locked.log, "a key is in the log")
    for file in (locked.folder / "data").rglob("*"):
        holds(not file.is_file() or secret.encode() not in file.read_bytes(), "a key is in a file")
    return "five wrong keys and one in the address refused; the right one is in no log and no file"


def _status_of(command: list[str]) -> int:
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


async def hosts(target: Target) -> str:
    """S2: no other name, path or header leads in."""
    for path in ROUTES:
        for host in HOSTS:
            told = await target.ask("GET", path, headers={"host": host})
            holds(told.code == "host_not_allowed", f"{path} answers {host}")
    for path in TRICKS:
        told = await target.raw(f"GET {path} HTTP/1.1\r\n{HOST}connection: close\r\n\r\n".encode())
        holds(told.startswith(b"HTTP/1.1 404"), f"{path} is no 404")
    absolute = f"GET http://evil.example/metrics HTTP/1.1\r\n{HOST}connection: close\r\n\r\n"
    holds(b"clinalign_" not in await target.raw(absolute.encode()), "an absolute path is served")
    for name in ("x-http-method-override", "x-original-url", "x-forwarded-host"):
        told = await target.ask("POST", "/v1/models", json={}, headers={name: "GET"})
        holds(told.status == 405, f"{name} is obeyed")
    return f"{len(ROUTES) * len(HOSTS)} hosts and {len(TRICKS)} paths turned away"


async def sockets(target: Target) -> str:
    """S5: what is large, deep, slow or no HTTP is ended, and costs little."""
    large = f"POST {CHAT} HTTP/1.1\r\n{HOST}content-length: 99999999\r\n\r\n"
    holds((await target.raw(large.encode())).startswith(b"HTTP/1.1 413"), "a huge body is read")
    deep = b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    told = await target.ask("POST", CHAT, data=deep, headers={"content-type": "application/json"})
    holds(told.code == "too_deep", "deep JSON is taken")
    many = "".join(f"x-{n}: 1\r\n" for n in range(500))
    told_raw = await target.raw(f"GET /healthz HTTP/1.1\r\n{HOST}{many}\r\n".encode())
    holds(told_raw.startswith(b"HTTP/1.1 431"), "500 headers are taken")
    for junk in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"zebra\r\n\r\n"):
        told_raw = await target.raw(junk)
        holds(b'"code":"invalid_http"' in told_raw, "junk is not told in our form")
    both = f"POST {CHAT} HTTP/1.1\r\n{HOST}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
    hidden = f"0\r\n\r\nGET /metrics HTTP/1.1\r\n{HOST}\r\n"
    holds(b"clinalign_" not in await target.raw((both + hidden).encode()), "a request is smuggled")
    fields = [("messages", [{"role": "user", "content": "a"}] * 1001), ("n", 1000)]
    fields += [("max_tokens", 10**12), ("stop", ["a"] * 5), ("logit_bias", {"1": 1000})]
    for name, value in fields:
        holds((await target.chat(**{name: value})).status == 400, f"{name} has no limit")
    slow = [asyncio.create_task(_slowloris(target)) for _ in range(50)]
    began = time.monotonic()
    holds((await target.ask("GET", "/healthz")).status == 200, "slow senders stop the others")
    holds(time.monotonic() - began < 2, "slow senders slow the others")
    holds(all(await asyncio.gather(*slow)), "a slow sender is waited for")
    return "13 kinds ended; 50 slow senders let go after a second"


async def _slowloris(target: Target) -> bool:
    """Send a byte now and then; return whether the gateway ended that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        for byte in b"GET /healthz HTTP/1.1\r\nx: " + b"1" * 200:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if reader.at_eof() or writer.is_closing():
                return True
    except ConnectionError:
        return True
    finally:
        writer.transport.abort()
    return False


async def pages(target: Target) -> str:
    """S10: no web page drives it, and none frames it."""
    body = json.dumps(chat_body()).encode()
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        told = await target.ask("GET", "/v1/models", headers={"origin": origin})
        holds(told.code == "origin_not_allowed", f"{origin} may ask")
        holds("access-control-allow-origin" not in told.headers, f"{origin} may read")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        told = await target.ask("POST", CHAT, data=body, headers={"content-type": kind})
        holds(told.code == "unsupported_media_type", f"{kind} is taken for JSON")
    asks = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    holds((await target.ask("OPTIONS", CHAT, headers=asks)).status == 403, "a preflight passes")
    for path in (*ROUTES, "/nothing"):
        headers = (await target.ask("GET", path)).headers
        holds("frame-ancestors 'none'" in headers["content-security-policy"], f"{path} is framed")
        holds(headers["cache-control"] == "no-store", f"{path} is cached")
        holds(headers["x-content-type-options"] == "nosniff", f"{path} is sniffed")
    return "origins, forms, preflights and frames turned away"


async def back_doors(target: Target) -> str:
    """S19: no route administers it or tries a configuration."""
    names = (
        "admin",
        "config",
        "reload",
        "debug",
        "test",
        "prompts/test",
        "mcp",
        "keys",
        "shutdown",
    )
    for name in names:
        for prefix in ("/", "/v1/", "/api/", "/internal/"):
            for method, sent in (("GET", {}), ("POST", {"json": {}})):
                told = await target.ask(method, prefix + name, **sent)
                holds(told.status in {401, 404, 405}, f"{prefix}{name} answers {told.status}")
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        told = await target.ask(method, "/v1/models")
        holds(told.status == 405, f"{method} is served")
    return f"{len(names) * 8} doors are not there"


async def overload(target: Target) -> str:
    """S21: more than it can do is refused at once, and every call stays counted."""
    target.vllm.script["draft"] = Slow(seconds=0.2, reply="Rest.")
    answers = await asyncio.gather(*(target.chat() for _ in range(MANY)))
    target.vllm.script.pop("draft")
    seen = Counter(one.status for one in answers)
    holds(set(seen) <= {200, 429, 503}, f"overload ends in {sorted(seen)}")
    holds(seen[200] and seen[200] < MANY, "nothing was served, or all of it")
    refused = [one for one in answers if one.status != 200]
    holds(all("retry-after" in one.headers for one in refused), "nobody is told when to retry")
    fields = {"prompt": ["x"] * 100, "n": 8, "model": chat_body()["model"]}
    told = await target.ask("POST", "/v1/completions", json=fields)
    holds(told.status == 400, "one request asks for 800 texts")
    return f"of {MANY} at once {seen[200]} answered, {MANY - seen[200]} told when to come back"
