"""Attachments on a server in a process of its own: killed in the middle, and spoken to by sockets that obey nothing."""

from __future__ import annotations

import itertools
import os
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.serverside import bearer, made, sign_up
from journeys.harness import Server
from kith.protocol.attachments import padme

SIZE = padme(5 * 1024 * 1024)
OCTETS = "application/octet-stream"
NUMBERS = itertools.count(1)
PATIENCE_S = 5.0
"""How long a silent connection is listened to."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the module."""
    running = made(tmp_path_factory.mktemp("blobs"))
    yield running
    running.stop()


@pytest.fixture
def session(server: Server) -> dict[str, Any]:
    """Somebody who has no upload yet."""
    with httpx.Client(base_url=server.origin, timeout=30) as http:
        return sign_up(http, f"carrier.{next(NUMBERS)}")


@pytest.fixture
def http(server: Server, session: dict[str, Any]) -> Iterator[httpx.Client]:
    """A client with that session."""
    with httpx.Client(base_url=f"{server.origin}/api/v1", headers=bearer(session), timeout=30) as client:
        yield client


def begin(http: httpx.Client, size: int = SIZE) -> str:
    """A fresh upload."""
    answer = http.post("/blobs", json={"size": size})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["blob"])


def bring(http: httpx.Client, blob: str, offset: int, data: bytes) -> httpx.Response:
    """The next octets."""
    headers = {"Content-Type": OCTETS, "Upload-Offset": str(offset)}
    return http.patch(f"/blobs/{blob}", content=data, headers=headers)


def offset_of(http: httpx.Client, blob: str) -> int:
    """How far it came."""
    return int(http.head(f"/blobs/{blob}").headers["upload-offset"])


def raw(server: Server, *pieces: bytes) -> tuple[list[int], bytes]:
    """Say exactly this on a fresh connection; the codes of all answers, and everything that came."""
    heard = bytearray()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as line:
        try:
            line.sendall(b"".join(pieces))  # at once: a server that closed after the first would reset the line
            while chunk := line.recv(65536):
                heard += chunk
        except OSError:  # cut, or nothing more comes
            pass
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3})", bytes(heard))], bytes(heard)


def head_of(session: dict[str, Any], blob: str, *headers: str, offset: str = "0") -> bytes:
    """The beginning of a PATCH."""
    lines = [
        f"PATCH /api/v1/blobs/{blob} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {session['token']}",
        f"Content-Type: {OCTETS}",
        f"Upload-Offset: {offset}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_server_that_is_killed_in_the_middle_goes_on_where_it_acknowledged(
    server: Server, session: dict[str, Any]
) -> None:
    """kill -9 while octets come; afterwards every acknowledged octet is there, and the rest is brought again."""
    data = os.urandom(SIZE)
    with httpx.Client(base_url=f"{server.origin}/api/v1", headers=bearer(session), timeout=30) as http:
        blob = begin(http)
        assert bring(http, blob, 0, data[:1_000_000]).headers["upload-offset"] == "1000000"
        with socket.create_connection(("127.0.0.1", server.port), 20) as line:
            line.sendall(
                head_of(session, blob, "Content-Length: 2000000", offset="1000000") + data[1_000_000:2_500_000]
            )
            server.kill()
    server.start()
    with httpx.Client(base_url=f"{server.origin}/api/v1", headers=bearer(session), timeout=30) as http:
        offset = offset_of(http, blob)
        assert offset == 1_000_000
        while offset < SIZE:
            answer = bring(http, blob, offset, data[offset : offset + 3_000_000])
            assert answer.status_code == 204
            offset = int(answer.headers["upload-offset"])
        assert http.get(f"/blobs/{blob}").content == data


def test_a_connection_that_breaks_off_keeps_what_it_brought(
    server: Server, session: dict[str, Any], http: httpx.Client
) -> None:
    """Most of it: what lay in buffers may be missing. The upload goes on behind it."""
    data = os.urandom(SIZE)
    blob = begin(http)
    with socket.create_connection(("127.0.0.1", server.port), 20) as line:
        line.sendall(head_of(session, blob, "Content-Length: 3000000") + data[:1_000_000])
    until = time.monotonic() + 60
    while not (offset := offset_of(http, blob)):
        assert time.monotonic() < until, "nothing was kept"
        time.sleep(0.05)
    assert 500_000 <= offset <= 1_000_000
    assert bring(http, blob, offset, data[offset : offset + 4_000_000]).status_code == 204
    offset = offset_of(http, blob)
    bring(http, blob, offset, data[offset:])
    assert http.get(f"/blobs/{blob}").content == data


@pytest.mark.parametrize("how", ["announced", "in chunks", "at a wrong offset", "to nobody"])
def test_a_request_hidden_in_octets_is_never_heard(
    how: str, server: Server, session: dict[str, Any], http: httpx.Client
) -> None:
    """One answer, whatever follows the refusal; the blob that the hidden request would delete is there."""
    victim, blob = begin(http, 1024), begin(http)
    hidden = (
        f"DELETE /api/v1/blobs/{victim} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {session['token']}\r\n\r\n"
    ).encode()
    padding = hidden + b"z" * (64 * 1024)
    match how:
        case "announced":
            pieces = [head_of(session, blob, f"Content-Length: {SIZE + 1}"), padding]
        case "in chunks":
            chunk = b"%x\r\n" % (1024 * 1024) + b"z" * 1024 * 1024 + b"\r\n"
            pieces = [head_of(session, blob, "Transfer-Encoding: chunked"), chunk * 6, hidden]
        case "at a wrong offset":
            pieces = [head_of(session, blob, f"Content-Length: {len(padding)}", offset="7"), padding]
        case _:
            other = {"token": "nobody"}
            pieces = [head_of(other, blob, f"Content-Length: {len(padding)}"), padding]
    codes, _ = raw(server, *pieces)
    expected = {"at a wrong offset": 409, "to nobody": 401}.get(how, 413)
    assert codes in ([expected], []), codes  # a connection that is cut while we still speak may lose its answer
    assert http.head(f"/blobs/{victim}").status_code == 200
    assert offset_of(http, blob) == 0


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -1"],
        ["Content-Length: 99999999999999999999999"],
        ["Content-Length: 4", "Content-Length: 5"],
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked, gzip"],
        ["Transfer-Encoding: xchunked", "Content-Length: 4"],
        ["Content-Length: 4, 4"],
        ["Content-Length : 4"],
        ["Content-Length: +4"],
        ["Content-Length: 0x4"],
    ],
)
def test_lengths_that_two_servers_could_read_differently_are_refused(
    headers: list[str], server: Server, session: dict[str, Any], http: httpx.Client
) -> None:
    """A 4xx and the end of the connection, never a 5xx, and nothing is stored; the control is a plain length."""
    blob = begin(http, 1024)
    codes, heard = raw(server, head_of(session, blob, *headers), b"abcd", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(codes) == 1, heard[:300]
    assert 400 <= codes[0] < 500, heard[:300]
    assert offset_of(http, blob) == 0
    codes, _ = raw(server, head_of(session, blob, "Content-Length: 4", "Connection: close"), b"abcd")
    assert (codes, offset_of(http, blob)) == ([204], 4)


@pytest.mark.parametrize(
    "chunk", [b"zz\r\nabcd\r\n", b"-4\r\nabcd\r\n", b"ffffffffffffffffff\r\nabcd", b"4\r\nabcdX\r\n"]
)
def test_chunks_that_are_none_store_nothing_beyond_them(
    chunk: bytes, server: Server, session: dict[str, Any], http: httpx.Client
) -> None:
    """What came before counts at most; no 5xx."""
    blob = begin(http, 1024)
    codes, heard = raw(server, head_of(session, blob, "Transfer-Encoding: chunked"), b"3\r\nabc\r\n", chunk)
    assert all(code < 500 for code in codes), heard[:300]
    assert bring(http, blob, 10**6, b"").status_code == 409  # behind whatever still works on it
    assert offset_of(http, blob) in (0, 3, 7)


def test_a_chunked_body_is_as_good_as_an_announced_one(
    server: Server, session: dict[str, Any], http: httpx.Client
) -> None:
    """With `Expect: 100-continue` as well."""
    blob = begin(http, 1024)
    chunks = b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n"
    codes, _ = raw(
        server,
        head_of(session, blob, "Transfer-Encoding: chunked", "Expect: 100-continue", "Connection: close"),
        chunks,
    )
    assert codes in ([100, 204], [204])
    assert offset_of(http, blob) == 8


def test_only_what_asks_for_room_waits_when_there_is_none(server: Server, http: httpx.Client) -> None:
    """A server whose reserve is larger than its disk takes no octets and gives those that it has."""
    data = os.urandom(1024)
    blob = begin(http, 1024)
    assert bring(http, blob, 0, data).status_code == 204
    half = begin(http, 1024)
    server.stop()
    settings = server.data / "kith.toml"
    before = settings.read_text()
    settings.write_text("disk_reserve_mb = 1000000000\n" + before.replace("disk_reserve_mb", "# was"))
    server.start()
    try:
        for answer in (http.post("/blobs", json={"size": 1024}), bring(http, half, 0, b"x")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "read_only")
        assert http.get(f"/blobs/{blob}").content == data
        assert http.delete(f"/blobs/{half}").status_code == 204
    finally:
        server.stop()
        settings.write_text(before)
        server.start()
