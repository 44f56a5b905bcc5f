"""The console in a real browser: the cookie holds, the policy holds, keys do everything, axe finds nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import uvicorn
from playwright.sync_api import Browser, Error, Page, ViewportSize, sync_playwright

from console.scene import CANARY, PASSWORD, add_appeal, add_staff, app_for, furnish
from kith.ledger import audit
from kith.ledger.limits import DAY
from kith.people import enforcement
from reports.world import World

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs chromium"),
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm ci in web/"),
]


@dataclass
class Desk:
    """A person's browser window, and everything it complained about."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def sign_in(self, login: str) -> None:
        """By keyboard alone."""
        self.page.goto(self.origin)
        self.page.keyboard.press("Tab")  # the skip link
        self.page.get_by_label("Name").focus()
        self.page.keyboard.type(login)
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("button", name="Sign out").wait_for()

    def violations(self) -> list[str]:
        """What axe finds on this page. Injected by evaluate, which the page's policy does not govern."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        return [f"{self.page.url}: {v['id']}: {v['nodes'][0]['html'][:120]}" for v in found]

    def width(self) -> int:
        """How wide the page really is."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


@contextmanager
def serving(world: World) -> Iterator[str]:
    """The console of this world on a free port of this machine, at http://staff.localhost."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        origin = f"http://staff.localhost:{sock.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app_for(world, origin), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield origin
        server.should_exit = True
        thread.join()
    world.database.close_now()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[World, str]]:
    """A furnished console."""
    world = World(tmp_path / "kith.db")
    add_staff(world)
    furnish(world)
    world.clock.now += DAY
    add_appeal(world, world.account("quinn"), "ada")
    with serving(world) as origin:
        yield world, origin


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


def test_a_case_from_sign_in_to_decision_by_keyboard(served: tuple[World, str], browser: Browser) -> None:
    """n, t, o, b, p, 4, d: and nothing is complained about on the way."""
    world, origin = served
    desk = Desk(browser.new_context().new_page(), origin)
    page = desk.page
    desk.sign_in("ada")
    [cookie] = page.context.cookies()
    assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-kith-staff", True, True)
    page.keyboard.press("n")
    page.get_by_role("button", name="Take this case").wait_for()
    page.keyboard.press("t")
    page.get_by_role("heading", name="Decision").wait_for()
    assert CANARY not in page.content()
    page.keyboard.press("o")
    page.locator(".said").nth(5).wait_for()
    assert page.content().count(CANARY) == 6
    assert len([row for row in world.ask(audit.recent) if row.action == "evidence.read"]) == 6
    page.locator(".exhibit.reported.verified .said").first.focus()
    page.keyboard.press("b")
    page.keyboard.press("p")
    page.keyboard.type("Scam")
    assert page.get_by_label("Severity").input_value() == "moderate"
    page.locator(".exhibit.reported.verified .said").first.focus()
    page.keyboard.press("4")
    page.get_by_label("Days").fill("7")
    page.locator(".exhibit.reported.verified .said").first.focus()
    page.keyboard.press("d")
    page.wait_for_url("**/cases/*")
    page.get_by_role("button", name="Take this case").wait_for()
    [marco] = [account for (account,) in world.raw("select account from profiles where handle = 'marco'")]
    assert not world.ask(enforcement.standing, marco).can_send
    assert desk.complaints == []


def test_one_message_opens_in_its_card_and_can_be_hidden_again(served: tuple[World, str], browser: Browser) -> None:
    """Focus goes to the words and back to the button; hiding reads nothing again."""
    world, origin = served
    desk = Desk(browser.new_context().new_page(), origin)
    page = desk.page
    desk.sign_in("ada")
    page.keyboard.press("n")
    page.get_by_role("button", name="Take this case").click()
    page.get_by_role("button", name="Show message").first.click()
    page.locator(".said").wait_for()
    assert page.evaluate("document.activeElement.className") == "said"
    assert page.content().count(CANARY) == 1
    page.get_by_role("button", name="Hide").click()
    assert CANARY not in page.content()
    assert page.evaluate("document.activeElement.textContent").strip() == "Show message"
    assert len([row for row in world.ask(audit.recent) if row.action == "evidence.read"]) == 1
    assert desk.complaints == []


def test_the_console_works_without_scripts(served: tuple[World, str], browser: Browser) -> None:
    """Every act is a plain form."""
    _, origin = served
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(origin)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Next case").click()
    page.get_by_role("button", name="Take this case").click()
    page.get_by_role("button", name="Show all messages").click()
    assert page.content().count(CANARY) == 6
    page.get_by_label("Standard", exact=True).select_option("spam")
    page.get_by_label("No action").check()
    page.get_by_role("button", name="Decide and go on").click()
    page.goto(f"{origin}/decisions")
    assert "no action" in page.content()


def test_shortcuts_can_be_switched_off(served: tuple[World, str], browser: Browser) -> None:
    """Somebody who speaks to the machine does not decide by accident."""
    _, origin = served
    desk = Desk(browser.new_context().new_page(), origin)
    desk.sign_in("ada")
    desk.page.get_by_role("button", name="One-key shortcuts").click()
    desk.page.keyboard.press("n")
    desk.page.wait_for_timeout(300)
    assert desk.page.url == f"{origin}/"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 320), ("dark", 320)])
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(
    served: tuple[World, str], browser: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    """Every page, open and closed, light and dark, wide and 320 pixels narrow."""
    world, origin = served
    context = browser.new_context(viewport=ViewportSize(width=width, height=800), color_scheme=scheme)
    desk = Desk(context.new_page(), origin)
    page, found, widths = desk.page, [], set()

    def look() -> None:
        found.extend(desk.violations())
        widths.add(desk.width())

    page.goto(origin)
    look()
    desk.sign_in("cleo")
    for path in ("/", "/decisions", "/shift", "/cases/nothing"):
        page.goto(origin + path)
        look()
    for row in world.open_cases():
        page.goto(f"{origin}/cases/{row.case}")
        look()
        page.get_by_role("button", name="Take this case").click()
        page.get_by_role("button", name="Give back").wait_for()
        look()
        if page.get_by_role("button", name="Show all messages").count():
            page.get_by_role("button", name="Show all messages").click()
            page.locator(".said").first.wait_for()
            look()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()
    desk.sign_in("boss")
    look()
    assert found == []
    assert widths == {width}


def test_axe_would_find_something(served: tuple[World, str], browser: Browser) -> None:
    """Control: a page with a nameless button is reported."""
    _, origin = served
    desk = Desk(browser.new_context().new_page(), origin)
    desk.page.goto(origin)
    desk.page.evaluate("document.querySelector('button.primary').textContent = ''")
    assert any("button-name" in violation for violation in desk.violations())


def test_injected_code_does_not_run(served: tuple[World, str], browser: Browser) -> None:
    """Control for the policy: a handler, markup and a script put into the page by force are all refused."""
    _, origin = served
    desk = Desk(browser.new_context().new_page(), origin)
    desk.page.goto(origin)
    for attempt in (
        "document.body.setAttribute('onclick', 'window.hit = 1')",
        "document.body.innerHTML = '<img src=x onerror=\"window.hit = 1\">'",
        "document.createElement('script').text = 'window.hit = 1'",
    ):
        with pytest.raises(Error, match="Trusted"):
            desk.page.evaluate(f"() => {{ {attempt}; }}")
    assert desk.page.evaluate("window.hit === undefined")
