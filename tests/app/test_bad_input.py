"""Whatever anybody sends: a 4xx with a sentence that helps, never a 5xx, never read whole when it is too large."""

from __future__ import annotations

import json
import random
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.serverside import bearer, made, sign_up
from journeys.harness import Server

PUBLIC = {
    ("POST", "/api/v1/age"),
    ("POST", "/api/v1/accounts"),
    ("POST", "/api/v1/sessions"),
    ("POST", "/api/v1/recovery"),
    ("GET", "/api/v1/terms"),
    ("GET", "/.well-known/kith.json"),
    ("GET", "/.well-known/kith-transparency.json"),
    ("GET", "/api/v1/transparency/head"),
    ("GET", "/api/v1/transparency/log"),
}
BODIES: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b"\xff\xfe\x00",
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b"[" * 20000,
    b'{"year":1e999,"month":-1}',
    b'{"year":99999999999999999999999,"month":3}',
    b'{"handle":"\\ud800"}',
    b'{"handle":"\\u0000"}',
    json.dumps({"unknown": 1}).encode(),
    json.dumps({"handle": "x" * 5000, "password": "y" * 50000}).encode(),
]
WEIRD_IDS = [
    "x",
    "0",
    "%00",
    "%2e%2e",
    "é",
    "a" * 3000,
    "00000000-0000-0000-0000-000000000000",
    "'; drop table events; --",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the module."""
    running = made(tmp_path_factory.mktemp("input"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    """A client without a session."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def session(http: httpx.Client) -> dict[str, Any]:
    """Somebody signed in."""
    return sign_up(http, "prober")


def operations(http: httpx.Client) -> list[tuple[str, str]]:
    """Every method and path that the server declares."""
    paths = http.get("/api/schema/openapi.json").json()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    return [(m, p) for m, p in found if p.startswith(("/api/v1", "/.well-known"))]


def filled(path: str, value: str) -> str:
    """The path with every parameter replaced."""
    while "{" in path:
        start, end = path.index("{"), path.index("}")
        path = path[:start] + value + path[end + 1 :]
    return path


def check(answer: httpx.Response, what: str) -> None:
    """Below 500; an error has the one shape and a sentence."""
    assert answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:300]}"
    if answer.status_code >= 400 and answer.content:
        error = answer.json()["error"]
        assert error["code"], what
        assert error["message"].endswith((".", "?", ")")), f"{what}: {error['message']!r} is no sentence"
        if answer.status_code == 429:
            assert error["retry_after_ms"] > 0, what


def test_every_route_but_the_declared_ones_needs_a_session(http: httpx.Client) -> None:
    """Deny by default: an undeclared route that answers strangers fails here."""
    for method, path in operations(http):
        answer = http.request(method, filled(path, str(uuid.uuid4())), json={})
        check(answer, f"{method} {path}")
        assert (answer.status_code != 401) == ((method, path) in PUBLIC), f"{method} {path}: {answer.status_code}"


def test_garbage_in_any_body_is_a_helpful_refusal(http: httpx.Client, session: dict[str, Any]) -> None:
    """Every route with every kind of broken body, signed in and not."""
    for method, path in operations(http):
        if method == "GET" or path.endswith(("/sessions/current", "/recovery", "/sessions", "/accounts", "/age")):
            continue
        for body in BODIES:
            headers = {**bearer(session), "Content-Type": "application/json"}
            answer = http.request(method, filled(path, str(uuid.uuid4())), content=body, headers=headers)
            check(answer, f"{method} {path} {body[:40]!r}")


def test_garbage_at_the_doors_that_strangers_reach(http: httpx.Client) -> None:
    """Age, sign-up, sign-in and recovery meet strangers first."""
    for method, path in sorted(PUBLIC):
        for body in BODIES:
            answer = http.request(method, path, content=body, headers={"Content-Type": "application/json"})
            check(answer, f"{method} {path} {body[:40]!r}")


def test_weird_identifiers_are_not_found(http: httpx.Client, session: dict[str, Any]) -> None:
    """Ids that are none get the same kind of answer as ids of nothing."""
    for method, path in operations(http):
        if "{" not in path:
            continue
        for value in WEIRD_IDS:
            answer = http.request(method, filled(path, value), json={}, headers=bearer(session))
            check(answer, f"{method} {path} {value[:20]!r}")


def test_random_json_never_breaks_a_route(http: httpx.Client, session: dict[str, Any]) -> None:
    """Seeded random documents in the shapes that routes expect."""
    chance = random.Random(20261122)
    keys = [
        "handle",
        "invite",
        "account",
        "room",
        "category",
        "items",
        "packages",
        "devices",
        "text",
        "requests",
        "note",
    ]

    def value(depth: int = 0) -> Any:
        kinds = [None, True, -1, 2**63, 0.5, "", "x", "\u202e", "A" * 400, str(uuid.uuid4()), "AAAA", "!!!"]
        if depth < 2 and chance.random() < 0.3:
            return [value(depth + 1) for _ in range(chance.randrange(4))]
        return chance.choice(kinds)

    targets = [(m, p) for m, p in operations(http) if m in {"POST", "PUT"} and "sessions" not in p and "age" not in p]
    for _ in range(400):
        method, path = chance.choice(targets)
        body = {key: value() for key in chance.sample(keys, chance.randrange(1, 5))}
        answer = http.request(method, filled(path, str(uuid.uuid4())), json=body, headers=bearer(session))
        check(answer, f"{method} {path} {body}")


def test_a_body_over_the_limit_is_refused_before_it_is_sent_whole(server: Server, session: dict[str, Any]) -> None:
    """The announced length alone is enough: the answer comes although not a byte of the body was sent."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        head = f"POST /api/v1/requests HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {session['token']}\r\n"
        raw.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 900000000\r\n\r\n".encode())
        raw.settimeout(10)
        assert b" 413 " in raw.recv(4096).split(b"\r\n")[0]


def test_a_body_that_grows_past_the_limit_without_saying_is_cut_off(
    http: httpx.Client, session: dict[str, Any]
) -> None:
    """Chunked, endless: refused once the limit is passed."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(2000):
            sent += 64 * 1024
            yield b" " * 64 * 1024

    headers = {**bearer(session), "Content-Type": "application/json"}
    try:
        answer: httpx.Response | None = http.post("/api/v1/requests", content=endless(), headers=headers)
    except httpx.TransportError:
        answer = None  # cut off in the middle, before the answer was looked at
    assert answer is None or answer.status_code == 413
    assert sent < 200 * 64 * 1024, f"{sent} bytes were taken"


def test_a_foreign_origin_is_refused_and_the_own_one_is_not(server: Server, http: httpx.Client) -> None:
    """Another site's page cannot use a person's cookie; the control is our own page."""
    for origin, status in (("https://evil.example", 403), ("null", 403), (server.origin, 401)):
        answer = http.post("/api/v1/requests", json={"handle": "x"}, headers={"Origin": origin})
        assert answer.status_code == status, origin
    lone_cookie = http.post("/api/v1/requests", json={"handle": "x"}, headers={"Cookie": "__Host-kith=abc"})
    assert lone_cookie.status_code == 403


def test_another_host_is_misdirected_at_the_console(server: Server) -> None:
    """The console answers under its own name alone."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.staff_port}", timeout=20) as staff:
        assert staff.get("/").status_code == 421
        own = staff.get("/sign-in", headers={"Host": f"staff.localhost:{server.staff_port}"})
        assert own.status_code in {200, 404}


def test_every_answer_carries_the_security_headers(http: httpx.Client) -> None:
    """Also errors, also files."""
    for path in ("/", "/assets/none.js", "/api/v1/me", "/.well-known/kith.json", "/sw.js", "/api/schema/openapi.json"):
        headers = http.get(path).headers
        assert "require-trusted-types-for 'script'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
