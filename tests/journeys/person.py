"""One person's browser, driven by what she sees: every step goes through names on the screen, never through code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request, WebSocket, expect

from journeys.wires import Wire

NO_NETWORK = ("net::ERR_", "WebSocket connection to")
"""What Chromium writes into the console while the network is away."""

PASSWORD = "a boat with seven lamps"
ADULT = (1990, 5)


@dataclass
class Traffic:
    """Everything that left the browser, bodies of requests and frames of the stream, and the frames that came."""

    requests: list[tuple[str, bytes]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        """A request, from a page or a worker."""
        self.requests.append((f"{request.method} {request.url}", request.post_data_buffer or b""))

    def note_socket(self, socket: WebSocket) -> None:
        """A WebSocket; its frames from now on."""
        socket.on("framesent", lambda payload: self.frames.append(_bytes(payload)))
        socket.on("framereceived", lambda payload: self.heard.append(_bytes(payload)))

    def bodies(self, path: str) -> list[bytes]:
        """Bodies sent to `path`."""
        return [body for what, body in self.requests if what.split("?")[0].endswith(path) and body]


def _bytes(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


class Person:
    """One person: a browser profile of her own, in which anything the console complains of is noted."""

    def __init__(
        self, context: BrowserContext, name: str, wire: Wire, *, born: tuple[int, int] = ADULT, handle: str = ""
    ) -> None:
        self.context = context
        self.wire = wire
        self.name = name
        self.handle = handle or name.lower().replace(" ", ".")
        self.born = born
        self.password = PASSWORD
        self.code = ""
        self.complaints: list[str] = []
        self.traffic = Traffic()
        self._expected: list[str] = []
        context.set_default_timeout(20_000)
        context.on("request", self.traffic.note_request)
        self.page: Page = self.new_page()

    # Tabs and complaints ---------------------------------------------------------------------

    def new_page(self) -> Page:
        """A tab."""
        page = self.context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"pageerror: {error}"))
        page.on("websocket", self.traffic.note_socket)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def expects(self, *parts: str) -> None:
        """From now on, a complaint that holds one of these is no surprise: the browser reports refused requests so."""
        self._expected += parts

    def surprises(self) -> list[str]:
        """What the console complained of without being expected to."""
        return [said for said in self.complaints if not any(part in said for part in self._expected)]

    def loses_network(self) -> None:
        """Into a tunnel: connections break, and the device knows."""
        self.expects(*NO_NETWORK)
        self.wire.cut()
        self.context.set_offline(True)
        self.sees(re.compile("^You're offline"))

    def has_network_again(self) -> None:
        """Out of the tunnel."""
        self.wire.mend()
        self.context.set_offline(False)

    def network_changes(self) -> None:
        """From one network into another: the device knows."""
        self.context.set_offline(True)
        self.context.set_offline(False)

    def close(self) -> None:
        """Close the profile."""
        self.context.close()

    # Finding things --------------------------------------------------------------------------

    def button(self, name: str | re.Pattern[str]) -> Locator:
        """The button of this name."""
        return self.page.get_by_role("button", name=name, exact=isinstance(name, str))

    def link(self, name: str | re.Pattern[str]) -> Locator:
        """The link of this name."""
        return self.page.get_by_role("link", name=name, exact=isinstance(name, str))

    def fill(self, label: str, text: str) -> None:
        """Type into the field of this label."""
        self.page.get_by_label(label, exact=True).fill(text)

    def sees_heading(self, name: str | re.Pattern[str]) -> None:
        """A heading of this name is on the screen."""
        expect(self.page.get_by_role("heading", name=name, exact=isinstance(name, str)).first).to_be_visible()

    def sees(self, text: str | re.Pattern[str]) -> None:
        """These words are on the screen."""
        expect(self.page.get_by_text(text).first).to_be_visible()

    def problem(self) -> str:
        """The sentence that says what did not work."""
        alert = self.page.get_by_role("alert").filter(has_text=re.compile(r"\w"))
        expect(alert.first).to_be_visible()
        return alert.first.inner_text()

    # Joining and coming back -----------------------------------------------------------------

    def sign_up(self) -> None:
        """From the first screen to the chats: age, standards, account, recovery code, protections of minors."""
        if self.page.url == "about:blank":
            self.page.goto("/")
        self.link("Create account").click()
        self.give_age()
        self.button("Agree and continue").click()
        self.fill("Handle", self.handle)
        self.fill("Name", self.name)
        self.fill("Password", self.password)
        self.button("Create account").click()
        self.keep_code()
        if self.born > (2008, 1):
            self.button("Continue").click()

    def give_age(self) -> None:
        """The first question."""
        self.sees_heading("When were you born?")
        year, month = self.born
        self.page.get_by_label("Month").select_option(str(month))
        self.fill("Year", str(year))
        self.button("Continue").click()

    def keep_code(self) -> None:
        """Write the recovery code down and type one group of it back."""
        self.sees_heading("Keep your recovery code")
        self.code = self.page.get_by_test_id("recovery-code").inner_text()
        self.button("Continue").click()
        self.fill("Group 3 of your code", self.code.split()[2])
        self.button("Confirm").click()

    def sign_in(self) -> None:
        """With handle and password; a new browser is asked for the recovery code next."""
        if self.page.url == "about:blank":
            self.page.goto("/")
        self.link("Sign in").click()
        self.fill("Handle", self.handle)
        self.fill("Password", self.password)
        self.button("Sign in").click()

    def at_chats(self) -> None:
        """The list of chats is on the screen."""
        self.sees_heading("Chats")

    def home(self) -> None:
        """Go to the chats."""
        self.go("#/")
        self.at_chats()

    def go(self, where: str) -> None:
        """Go to a screen of the client, by way of the chats so that it opens anew."""
        self.page.evaluate("() => { location.hash = '#/' }")
        if where != "#/":
            self.at_chats()
            self.page.evaluate("where => { location.hash = where }", where)

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask the interface from her page, cookie and all, as an altered client could: status, headers, body."""
        answer = self.page.evaluate(
            """async ([method, path, body]) => {
                const headers = body === null ? {} : {'Content-Type': 'application/json'};
                const answer = await fetch(path, {method, headers, body: body === null ? null : JSON.stringify(body)});
                const text = await answer.text();
                return {status: answer.status, headers: [...answer.headers], text};
            }""",
            [method, path, body],
        )
        return {**answer, "body": json.loads(answer["text"]) if answer["text"] else None}

    def go_out(self, where: str) -> None:
        """Go to a screen of somebody who is not signed in."""
        self.page.evaluate("where => { location.hash = where }", where)

    # First contact ---------------------------------------------------------------------------

    def request(self, handle: str, text: str = "") -> None:
        """Ask to chat by exact handle."""
        self.go("#/add")
        self.fill("Their exact handle", handle)
        self.fill("First message (optional)", text)
        self.button("Send request").click()

    def sees_request_sent(self) -> None:
        """The one screen that follows every request."""
        expect(self.page.get_by_text("Request sent", exact=True)).to_be_visible()

    def invite(self) -> str:
        """Make an invite link."""
        self.go("#/add")
        self.button("Create invite link").click()
        return self.page.get_by_label("Invite link").input_value()

    def open_invite(self, link: str, text: str = "") -> None:
        """Follow an invite link and send the request it leads to."""
        self.go("#" + link.partition("#")[2])
        self.sees_heading("You opened an invite link")
        self.fill("First message (optional)", text)
        self.button("Send request").click()
        self.sees_request_sent()

    def open_request(self, name: str) -> None:
        """Open a received request."""
        self.home()
        self.link(re.compile("^Message requests")).click()
        self.page.get_by_role("main").get_by_role("link").filter(has_text=name).click()
        self.sees_heading(name)

    def accept(self, name: str) -> None:
        """Accept a request; the chat opens."""
        self.open_request(name)
        self.button("Accept").click()
        expect(self.page.get_by_role("textbox", name="Message")).to_be_visible()

    # Talking ---------------------------------------------------------------------------------

    def open_chat(self, name: str) -> None:
        """Open the chat with somebody."""
        self.home()
        self.chat_row(name).click()
        expect(self.log).to_be_visible()

    def in_chat(self) -> None:
        """This browser takes part in the open chat; a new one is let in by another device within moments."""
        expect(self.page.get_by_role("textbox", name="Message")).to_be_visible()
        expect(self.page.get_by_text(re.compile("^Messages wait here until"))).to_have_count(0)

    def chat_row(self, name: str) -> Locator:
        """The row of a chat in the list."""
        return self.page.get_by_role("list", name="Your chats").get_by_role("link").filter(has_text=name)

    @property
    def log(self) -> Locator:
        """The messages of the open chat."""
        return self.page.get_by_role("log")

    def say(self, text: str) -> None:
        """Send a message."""
        composer = self.page.get_by_role("textbox", name="Message")
        composer.fill(text)
        self.button("Send").click()
        expect(composer).to_have_value("")

    def row(self, text: str) -> Locator:
        """The row of a message."""
        return self.log.get_by_role("listitem").filter(has_text=text)

    def reads(self, text: str) -> None:
        """A message stands in the open chat."""
        expect(self.log.locator(".bubble .text").get_by_text(text, exact=True)).to_be_visible()

    def texts(self) -> list[str]:
        """Every message of the open chat, in order."""
        return self.log.locator(".bubble .text").all_inner_texts()

    def sees_state(self, text: str, state: str) -> None:
        """A message of hers is in this state (Waiting to send, Sent, Delivered, Read, Not sent).

        What was delivered may be read already.
        """
        reached = "Delivered|Read" if state == "Delivered" else re.escape(state)
        expect(self.row(text).get_by_text(re.compile(f"· ({reached})"))).to_be_visible()

    def reply(self, to: str, text: str) -> None:
        """Answer a message."""
        self.tap_message(to)
        self.button("Reply").click()
        self.say(text)

    def tap_message(self, text: str) -> None:
        """Tap a bubble, at its edge: in the middle may be a link."""
        self.log.locator(".bubble").filter(has_text=text).last.click(position={"x": 6, "y": 6})

    # Safety ----------------------------------------------------------------------------------

    def report(self, message: str, what: str, *, minor: bool = False, note: str = "") -> int:
        """Report a message; how many taps it took. The preview must hold the message, verified."""
        taps = 0

        def tap(target: Locator) -> None:
            nonlocal taps
            target.click()
            taps += 1

        tap(self.log.locator(".bubble").filter(has_text=message).last)
        tap(self.button("Report"))
        if minor:
            tap(self.page.get_by_label("This involves someone under 18"))
        tap(self.button(what))
        rows = self.page.get_by_role("list", name="Messages in this report").get_by_role("listitem")
        expect(rows.filter(has_text=message)).to_contain_text("Verified")
        if note:
            self.fill("Anything else we should know? (optional)", note)
        tap(self.button("Send report"))
        self.sees_heading("Report sent")
        return taps

    def blocks_after_report(self, name: str) -> None:
        """The block that the report's last step offers."""
        self.button(f"Block {name}").click()
        self.sees_heading(f"{name} is blocked")
        self.close_sheet()

    def close_sheet(self) -> None:
        """Escape closes any sheet."""
        self.page.keyboard.press("Escape")
        expect(self.page.locator("dialog")).to_have_count(0)

    @contextmanager
    def on(self, page: Page) -> Iterator[None]:
        """Act in another tab for a while."""
        before, self.page = self.page, page
        try:
            yield
        finally:
            self.page = before


Meet = Callable[..., Person]
"""`meet("Ann Lake")`: somebody who is signed up and at her chats."""


def connect(meet: Meet, one: str, other: str) -> tuple[Person, Person]:
    """Two new people in one chat, both with it open."""
    asks, answers = meet(one), meet(other)
    asks.request(answers.handle, "First words")
    asks.sees_request_sent()
    answers.accept(asks.name)
    answers.reads("First words")
    asks.open_chat(answers.name)
    asks.reads("First words")
    return asks, answers
