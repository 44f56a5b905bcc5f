"""A member of staff at the console, in a browser of their own."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, expect

from journeys.harness import STAFF_PASSWORD


class Reviewer:
    """Drives the console by what it shows."""

    def __init__(self, context: BrowserContext, login: str) -> None:
        self.context = context
        self.login = login
        self.complaints: list[str] = []
        self._expected: list[str] = []
        context.set_default_timeout(20_000)
        self.page = context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"pageerror: {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def expects(self, *parts: str) -> None:
        """A complaint that holds one of these is no surprise."""
        self._expected += parts

    def surprises(self) -> list[str]:
        """What the console complained of without being expected to."""
        return [said for said in self.complaints if not any(part in said for part in self._expected)]

    def button(self, name: str | re.Pattern[str]) -> Locator:
        """The button whose name starts so (keys stand behind the name)."""
        pattern = re.compile(f"^{re.escape(name)}") if isinstance(name, str) else name
        return self.page.get_by_role("button", name=pattern)

    def sign_in(self) -> None:
        """To the queue."""
        self.page.goto("/sign-in")
        self.page.get_by_label("Name").fill(self.login)
        self.page.get_by_label("Password").fill(STAFF_PASSWORD)
        self.button("Sign in").click()
        expect(self.page.get_by_role("heading", name="Queue")).to_be_visible()

    def queue(self) -> Locator:
        """The cases that wait, gravest first."""
        self.page.goto("/")
        return self.page.locator("ol.queue > li")

    def take(self, queue: str) -> None:
        """Take the first case of a queue ('Child safety', 'General', 'Appeals')."""
        self.queue().get_by_role("link", name=re.compile(f"^{queue} case")).first.click()
        self.button("Take this case").click()
        expect(self.button("Give back")).to_be_visible()

    def take_about(self, queue: str, name: str) -> None:
        """Take cases of a queue, and give them back, until one is about this person."""
        for number in range(self.queue().get_by_role("link", name=re.compile(f"^{queue} case")).count()):
            self.queue().get_by_role("link", name=re.compile(f"^{queue} case")).nth(number).click()
            self.button("Take this case").click()
            expect(self.button("Give back")).to_be_visible()
            if self.page.get_by_role("definition").filter(has_text=name).count():
                return
            self.button("Give back").click()
        raise AssertionError(f"no case about {name}")

    def exhibit(self, which: int = 0) -> Locator:
        """A message of the case, as it stands on the page."""
        return self.page.locator("li.exhibit").nth(which)

    def open_all(self) -> None:
        """Show every message; each showing is logged."""
        self.button("Show all messages").click()
        expect(self.page.locator("li.exhibit .said").first).to_be_visible()

    def judge(self, exhibit: Locator, verdict: str) -> None:
        """Give a verdict on one message."""
        exhibit.get_by_label(re.compile(f"^{verdict}")).check()

    def decide(self, policy: str, action: str, *, days: int | None = None) -> None:
        """Close the case."""
        self.page.get_by_label("Standard", exact=True).select_option(policy)
        self.page.get_by_label(re.compile(f"^{action}")).check()
        if days is not None:
            self.page.get_by_label(re.compile("^Days")).fill(str(days))
        self.button("Decide and go on").click()

    def rule(self, outcome: str, reason: str = "") -> None:
        """Decide an appeal ('Uphold', 'Overturn')."""
        self.page.get_by_label(re.compile(f"^{outcome}")).check()
        self.page.get_by_label(re.compile("^Reason")).fill(reason)
        self.button("Decide and go on").click()


Review = Callable[..., Reviewer]
"""`review("rita", "reviewer")`: somebody who is at the queue."""
