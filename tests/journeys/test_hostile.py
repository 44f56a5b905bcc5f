"""Hostile input: words that want to be code, frames that want to be trouble, pages that want to speak for somebody."""

from __future__ import annotations

import contextlib

import pytest
from playwright.sync_api import expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from journeys.harness import Server
from journeys.person import Meet, Person
from journeys.staff_browser import Review

pytestmark = pytest.mark.browser

NAMES = ("<img src=x onerror=kith_xss()>", "<script>kith_xss()</script>", "{{7*7}}${7*7}<%=7*7%>")
TEXTS = (
    "<script>kith_xss()</script>",
    "<img src=x onerror='kith_xss()'>",
    "<svg/onload=kith_xss()>",
    '"><iframe srcdoc="<script>parent.kith_xss()</script>">',
    "javascript:kith_xss()",
    "https://kith.example/%22onmouseover=%22kith_xss()",
    "https://user:password@kith.example@evil.example/",
    "data:text/html,<script>kith_xss()</script>",
    "{@html '<b>kith_xss()</b>'} {{constructor.constructor('kith_xss()')()}}",
    "</textarea><script>kith_xss()</script>",
)
TRAP = "() => { window.kith_xss = () => { window.kith_was_run = true; }; }"


def test_words_stay_words(meet: Meet, review: Review) -> None:
    """Names, messages, answers, notes and reports that hold code show as typed, to people and staff, and never run."""
    mallory = meet(NAMES[0], handle="mallory")
    trent = meet(NAMES[1], handle="trent")
    for person in (mallory, trent):
        person.page.evaluate(TRAP)
    mallory.request("trent", TEXTS[0])
    mallory.sees_request_sent()
    trent.accept(NAMES[0])
    trent.reads(TEXTS[0])
    mallory.open_chat(NAMES[1])
    for text in TEXTS[1:]:
        mallory.say(text)
        trent.reads(text)
    assert trent.texts() == list(TEXTS)
    expect(trent.log.locator("a")).to_have_count(0)  # before the first answer none opens
    trent.reply(TEXTS[9], TEXTS[2])
    expect(mallory.log.locator("blockquote").last).to_contain_text(TEXTS[9])
    expect(trent.log.locator("a").first).to_be_visible()
    for link in trent.log.locator("a").all():
        assert (link.get_attribute("href") or "").startswith("https://")
    trent.report(TEXTS[3], "Something else", note=TEXTS[1])
    trent.button("Done").click()

    rita = review("rita", "reviewer")
    rita.page.evaluate(TRAP)
    rita.take_about("General", NAMES[0])
    rita.page.evaluate(TRAP)
    rita.open_all()
    expect(rita.page.locator(".words").first).to_have_text(TEXTS[0])
    expect(rita.page.get_by_text(NAMES[0]).first).to_be_visible()
    for page in (mallory.page, trent.page, rita.page):
        page.wait_for_timeout(200)
        assert page.evaluate("() => window.kith_was_run === undefined")


GARBAGE: tuple[bytes | str, ...] = (
    b"",
    b"\x00",
    b"\xc1",
    b"\x93\x01\x02\x03",
    b"\x94\x01\xc4\x10" + bytes(16) + b"\xa4room\xc4\x00",
    b"\x92\x03\xdd\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\x91" * 5000,
    b"\x95\x05" + b"\xc0" * 4,
    b"\x94\x01" + b"\xd9\xff" * 40,
    bytes(90 * 1024),
    "words instead of bytes",
)


def test_a_stream_that_is_fed_garbage_ends_and_the_server_goes_on(meet: Meet, server: Server) -> None:
    """Every malformed frame ends that connection or is refused; everybody else goes on, and nothing counts as a bug."""
    uma = meet("Uma Reed")
    vic = meet("Vic Sand")
    token = cookie_of(uma)
    uma.expects("WebSocket connection to")
    for frame in GARBAGE:
        with connect(
            f"ws://localhost:{server.port}/ws",
            origin=Origin(server.origin),
            subprotocols=[Subprotocol("kith.v1")],
            additional_headers={"Cookie": token},
        ) as stream:
            assert stream.recv(timeout=10)[:2] == b"\x93\x10"  # HELLO
            with contextlib.suppress(ConnectionClosed):  # it may be over before the second one
                stream.send(frame)
                stream.send(b"\x91\x05")  # PING
            assert all(isinstance(one, bytes) for one in until_closed(stream))
    vic.request("uma.reed", "Still there?")
    vic.sees_request_sent()
    uma.page.reload()
    uma.accept("Vic Sand")
    uma.reads("Still there?")
    log = server.log.read_text()
    assert "Traceback" not in log
    assert '"bug"' not in log
    assert "event=bug" not in log


def until_closed(stream: ClientConnection) -> list[str | bytes]:
    """Everything that comes until the server closes or stays silent for a moment."""
    said = []
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        while True:
            said.append(stream.recv(timeout=1))
    return said


def test_other_sites_cannot_speak_for_a_person(meet: Meet, server: Server) -> None:
    """Her cookie with a foreign or missing Origin opens no stream and changes nothing."""
    wes = meet("Wes Toft")
    token = cookie_of(wes)
    for origin in (None, "https://evil.example", server.staff_origin, f"http://127.0.0.1:{server.port}", "null"):
        with pytest.raises(InvalidStatus) as refused:
            connect(
                f"ws://localhost:{server.port}/ws",
                origin=None if origin is None else Origin(origin),
                subprotocols=[Subprotocol("kith.v1")],
                additional_headers={"Cookie": token},
            )
        assert refused.value.response.status_code == 403


def cookie_of(person: Person) -> str:
    """Her session cookie, as somebody would have it who stole it."""
    (cookie,) = [one for one in person.context.cookies() if one.get("name") == "__Host-kith"]
    assert cookie.get("httpOnly")
    assert cookie.get("secure")
    assert cookie.get("sameSite") == "Strict"
    return f"__Host-kith={cookie.get('value')}"
