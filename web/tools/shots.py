"""Photograph every screen over the scripted engine, under the real Content-Security-Policy, and run axe on each.

    npx vite build --config vite.fake.config.ts && ../.venv/bin/python tools/shots.py [--out DIR] [--only WORD]

Prints every axe violation, policy report, console error and sideways scroll; exits 1 when there is any.
"""

# ruff: noqa: INP001  (a script, not a package)
from __future__ import annotations

import argparse
import functools
import http.server
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

WEB = Path(__file__).resolve().parent.parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html kith-url"
)
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MAYA, CLOSED, NOT_READY, KAI, NEWCOMER, ASIDE = (f"00000000-0000-4000-8000-{100 + n:012d}" for n in (0, 5, 4, 6, 8, 9))
GROUP, NOTICES, LEFT_GROUP = (f"00000000-0000-4000-8000-{150 + n:012d}" for n in range(3))
INVITATION, STRANGE_INVITATION = "00000000-0000-4000-8000-000000000700", "00000000-0000-4000-8000-000000000701"
REQUEST = "00000000-0000-4000-8000-000000000400"
PLAIN_REQUEST = "00000000-0000-4000-8000-000000000401"


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves the built files with the headers of the product."""

    def end_headers(self) -> None:
        """Add the policy to every answer."""
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Stay quiet."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` on a free port and yield its origin."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def button(name: str) -> Callable[[Page], None]:
    """A step that presses the button with exactly this name."""
    return lambda page: page.get_by_role("button", name=name, exact=True).click()


def begins(name: str) -> Callable[[Page], None]:
    """A step that presses the button whose name begins so: its consequence stands under it."""
    return lambda page: page.get_by_role("button", name=re.compile(f"^{name}")).last.click()


def fill(label: str, text: str) -> Callable[[Page], None]:
    """A step that types into the field with this label."""
    return lambda page: page.get_by_label(label, exact=True).fill(text)


def shield(page: Page) -> None:
    """Open the sheet behind the shield of the screen itself (the list beside it has its own)."""
    page.get_by_role("button", name="Open safety options").last.click()


def choose_month(page: Page) -> None:
    """Answer the first half of the age question."""
    page.get_by_label("Month").select_option("4")


def press(start: str) -> Callable[[Page], None]:
    """A step that opens the options of the message that starts so."""
    return lambda page: page.get_by_role("button", name=f"Show options for: {start}").click()


def edited_before(page: Page) -> None:
    """Open what the newest edited message said before."""
    page.get_by_role("button", name="Show what this edited message said before").last.click()


def check(label: str) -> Callable[[Page], None]:
    """A step that ticks the box of this label."""
    return lambda page: page.get_by_role("checkbox", name=label, exact=True).check()


def press_first_bubble(page: Page) -> None:
    """Open the options of the first message."""
    page.get_by_role("button", name="Show options for").first.click()


def type_long(page: Page) -> None:
    """Write a long message with lines, without sending it."""
    page.get_by_label("Message", exact=True).fill("First line\nSecond line\n" + "and a long third line " * 12)


def scroll_to(text: str) -> Callable[[Page], None]:
    """Bring the words into sight, and wait for what is fetched when it is."""

    def scroll(page: Page) -> None:
        page.get_by_text(text).last.scroll_into_view_if_needed()
        page.wait_for_timeout(400)

    return scroll


def attach(*names: str) -> Callable[[Page], None]:
    """Choose files for the message: painted on the spot, or nothing but a name."""

    def choose(page: Page) -> None:
        painted = page.evaluate(
            """async () => {
                const canvas = new OffscreenCanvas(640, 480);
                const paint = canvas.getContext('2d');
                paint.fillStyle = '#9cc'; paint.fillRect(0, 0, 640, 480);
                paint.fillStyle = '#fe9'; paint.beginPath(); paint.arc(480, 120, 60, 0, 7); paint.fill();
                const blob = await canvas.convertToBlob();
                return Array.from(new Uint8Array(await blob.arrayBuffer()));
            }"""
        )
        files: list[Any] = [
            {
                "name": name,
                "mimeType": "image/png" if name.endswith("png") else "application/octet-stream",
                "buffer": bytes(painted) if name.endswith("png") else name.encode() if "." in name else b"",
            }
            for name in names
        ]
        page.get_by_test_id("attach-media").set_input_files(files)
        page.get_by_text("Getting ready").first.wait_for(state="attached")
        page.get_by_text("Getting ready").first.wait_for(state="detached")

    return choose


ATTACH = button("Add photos, files or a voice note")


@dataclass(frozen=True)
class Shot:
    """One screen in one state: which world, where, and what is done before the picture."""

    name: str
    world: str
    where: str
    steps: tuple[Callable[[Page], None], ...] = ()


JOIN = (
    choose_month, fill("Year", "2010"), button("Continue"), button("Agree and continue"),
    fill("Handle", "noa.s"), fill("Name", "Noa"), fill("Password", "four words and more"), button("Create account"),
)  # fmt: skip
KEPT = (*JOIN, button("Continue"))
SHOTS = [
    Shot("welcome", "signed-out", "#/"),
    Shot("welcome-invite", "signed-out", "#/i/abc"),
    Shot("sign-up-age", "signed-out", "#/sign-up"),
    Shot("sign-up-age-problem", "signed-out", "#/sign-up", (button("Continue"),)),
    Shot("sign-up-refused", "signed-out", "#/sign-up", (choose_month, fill("Year", "2026"), button("Continue"))),
    Shot("sign-up-terms", "signed-out", "#/sign-up", JOIN[:3]),
    Shot("sign-up-details", "signed-out", "#/sign-up", JOIN[:4]),
    Shot("recovery-code", "signed-out", "#/sign-up", JOIN),
    Shot("recovery-code-confirm", "signed-out", "#/sign-up", KEPT),
    Shot("recovery-code-wrong", "signed-out", "#/sign-up",
         (*KEPT, fill("Group 3 of your code", "XXXX"), button("Confirm"))),
    Shot("protections-after-join", "signed-out", "#/sign-up",
         (*KEPT, fill("Group 3 of your code", "td4w"), button("Confirm"))),
    Shot("chats-after-join", "signed-out", "#/sign-up",
         (*KEPT, fill("Group 3 of your code", "TD4W"), button("Confirm"), button("Continue"))),
    Shot("sign-in", "signed-out", "#/sign-in"),
    Shot("sign-in-wrong", "signed-out", "#/sign-in",
         (fill("Handle", "robin"), fill("Password", "wrong"), button("Sign in"))),
    Shot("recover", "signed-out", "#/recover"),
    Shot("terms-signed-out", "signed-out", "#/terms"),
    Shot("help-signed-out", "signed-out", "#/help"),
    Shot("starting", "starting", "#/"),
    Shot("first-device", "needs-identity", "#/"),
    Shot("needs-recovery", "needs-recovery", "#/"),
    Shot("start-fresh", "needs-recovery", "#/", (button("Start without the code"),)),
    Shot("locked", "locked", "#/"),
    Shot("removed", "removed", "#/"),
    Shot("unsupported", "unsupported", "#/"),
    Shot("insecure", "insecure", "#/"),
    Shot("chats", "adult", "#/"),
    Shot("chats-options", "adult", "#/", (button("Show chat options: Maya Lindqvist"),)),
    Shot("chats-archived", "adult", "#/", (
        button("Show chat options: Maya Lindqvist"), lambda page: page.get_by_text("Archive chat").click(),
        button("Show 1 archived chat"))),
    Shot("search", "adult", "#/search", (fill("Words to find", "hall"),)),
    Shot("search-found", "long", f"#/c/{MAYA}/at/00005000"),
    Shot("chats-empty", "empty", "#/"),
    Shot("chats-loading", "slow", "#/"),
    Shot("chats-failing", "failing", "#/"),
    Shot("chats-offline", "offline", "#/"),
    Shot("chats-restricted", "restricted", "#/"),
    Shot("safety-sheet", "adult", "#/", (shield,)),
    Shot("add", "adult", "#/add"),
    Shot("add-teen", "teen", "#/add"),
    Shot("add-sent", "adult", "#/add", (fill("Their exact handle", "sam"), button("Send request"))),
    Shot("add-limited", "adult", "#/add", (fill("Their exact handle", "toomany"), button("Send request"))),
    Shot("add-link", "adult", "#/add", (button("Create invite link"),)),
    Shot("add-restricted", "restricted", "#/add"),
    Shot("invite", "adult", "#/i/abc"),
    Shot("requests", "adult", "#/requests"),
    Shot("requests-empty", "empty", "#/requests"),
    Shot("request-notice", "adult", f"#/requests/{REQUEST}"),
    Shot("request-plain", "adult", f"#/requests/{PLAIN_REQUEST}"),
    Shot("request-teen", "teen", f"#/requests/{PLAIN_REQUEST}"),
    Shot("request-gone", "adult", "#/requests/none"),
    Shot("request-shield", "adult", f"#/requests/{REQUEST}", (shield,)),
    Shot("request-blocked", "adult", f"#/requests/{REQUEST}", (button("Block"),)),
    Shot("request-report", "adult", f"#/requests/{REQUEST}", (button("Report"), button("Scam or asking for money"))),
    Shot("thread", "adult", f"#/c/{MAYA}"),
    Shot("thread-typing", "adult", f"#/c/{MAYA}", (fill("Message", "I am wri"),)),
    Shot("thread-long", "long", f"#/c/{MAYA}"),
    Shot("thread-files", "adult", f"#/c/{MAYA}", (scroll_to("From the weekend"),)),
    Shot("thread-files-rest", "adult", f"#/c/{MAYA}", (scroll_to("no longer available"),)),
    Shot("thread-unplayed", "adult", f"#/c/{MAYA}",
         (button("Play video: The lake"), scroll_to("This can't be played here. You can save it."))),
    Shot("thread-photo", "adult", f"#/c/{MAYA}", (
        scroll_to("From the weekend"), lambda page: page.get_by_role("button", name="Open photo").nth(1).click(),
        lambda page: page.get_by_role("dialog").get_by_role("img", name="Hills in the evening").wait_for(),
        button("Zoom in"))),
    Shot("thread-attach", "adult", f"#/c/{MAYA}", (ATTACH,)),
    Shot("thread-tray", "adult", f"#/c/{MAYA}", (attach("one.png", "two.png", "empty", "list.pdf"),)),
    Shot("thread-newcomer", "adult", f"#/c/{NEWCOMER}"),
    Shot("thread-newcomer-shown", "adult", f"#/c/{NEWCOMER}",
         (lambda page: page.get_by_role("button", name="Show", exact=True).nth(1).click(),)),
    Shot("thread-no-microphone", "adult", f"#/c/{MAYA}", (ATTACH, button("Record a voice note"), button("Try again"))),
    Shot("thread-teen", "teen", f"#/c/{MAYA}"),
    Shot("thread-options", "adult", f"#/c/{MAYA}", (press_first_bubble,)),
    Shot("thread-reply", "adult", f"#/c/{MAYA}", (press_first_bubble, button("Reply"), type_long)),
    Shot("words-own", "adult", f"#/c/{MAYA}", (press("Great, thank you"),)),
    Shot("words-edit", "adult", f"#/c/{MAYA}", (press("Great, thank you"), button("Edit"))),
    Shot("words-delete", "adult", f"#/c/{MAYA}", (press("Great, thank you"), button("Delete"))),
    Shot("words-forward", "adult", f"#/c/{MAYA}", (press("Great, thank you"), button("Forward"))),
    Shot("words-forward-many", "adult", f"#/c/{MAYA}", (press("Pass this on"), button("Forward"), check("عمر"))),
    Shot("words-versions", "adult", f"#/c/{MAYA}", (edited_before,)),
    Shot("words-reactions", "adult", f"#/c/{MAYA}", (button("2 reactions: ❤️ 1, 👍 1. Show who."),)),
    Shot("words-deleted", "adult", f"#/c/{MAYA}",
         (press("Great, thank you"), button("Delete"), button("Delete for everyone"))),
    Shot("thread-failed", "adult", f"#/c/{MAYA}", (fill("Message", "fail me"), button("Send"))),
    Shot("thread-offline", "offline", f"#/c/{MAYA}", (fill("Message", "see you later"), button("Send"))),
    Shot("thread-closed", "adult", f"#/c/{CLOSED}"),
    Shot("thread-blocked", "adult", f"#/c/{KAI}"),
    Shot("thread-not-ready", "adult", f"#/c/{NOT_READY}"),
    Shot("thread-suspended", "suspended", f"#/c/{MAYA}"),
    Shot("thread-gone", "adult", "#/c/none"),
    Shot("thread-shield", "adult", f"#/c/{MAYA}", (shield,)),
    Shot("thread-delete", "adult", f"#/c/{MAYA}", (shield, lambda page: page.get_by_text("Delete chat").click())),
    Shot("report-1", "adult", f"#/c/{MAYA}", (shield, lambda page: page.get_by_text("Report Maya").click())),
    Shot("report-2", "adult", f"#/c/{MAYA}", (
        shield, lambda page: page.get_by_text("Report Maya").click(),
        lambda page: page.get_by_label("This involves someone under 18").check(), button("Bullying or threats"))),
    Shot("report-3", "adult", f"#/c/{MAYA}", (
        shield, lambda page: page.get_by_text("Report Maya").click(),
        lambda page: page.get_by_label("This involves someone under 18").check(), button("Bullying or threats"),
        button("Send report"))),
    Shot("group-new", "adult", "#/new-group"),
    Shot("group-new-restricted", "restricted", "#/new-group"),
    Shot("group-thread", "adult", f"#/c/{GROUP}"),
    Shot("group-thread-closed", "adult", f"#/c/{NOTICES}"),
    Shot("group-thread-left", "adult", f"#/c/{LEFT_GROUP}"),
    Shot("group", "adult", f"#/c/{GROUP}/people"),
    Shot("group-settings", "adult", f"#/c/{GROUP}/people",
         (lambda page: page.get_by_text("Group settings").click(),)),
    Shot("group-link-made", "adult", f"#/c/{GROUP}/people", (button("Create invite link"),)),
    Shot("group-as-member", "adult", f"#/c/{NOTICES}/people"),
    Shot("group-left", "adult", f"#/c/{LEFT_GROUP}/people"),
    Shot("group-leaving", "adult", f"#/c/{NOTICES}/people", (button("Leave group"),)),
    Shot("group-person", "adult", f"#/c/{GROUP}/people",
         (lambda page: page.get_by_role("main").get_by_text("Lee").first.click(),)),
    Shot("group-invitation", "teen", f"#/invitations/{INVITATION}"),
    Shot("group-invitation-stranger", "adult", f"#/invitations/{STRANGE_INVITATION}"),
    Shot("group-invitation-stranger-shown", "adult", f"#/invitations/{STRANGE_INVITATION}", (button("Show photo"),)),
    Shot("group-invitation-gone", "adult", "#/invitations/none"),
    Shot("group-link", "teen", "#/g/abc"),
    Shot("group-link-asked", "adult", "#/g/abc", (button("Send request to join"),)),
    Shot("settings", "adult", "#/settings"),
    Shot("settings-sign-out", "adult", "#/settings", (button("Sign out"),)),
    Shot("settings-profile", "adult", "#/settings/profile"),
    Shot("settings-requests", "teen", "#/settings/requests"),
    Shot("settings-devices", "adult", "#/settings/devices"),
    Shot("settings-device-remove", "adult", "#/settings/devices", (button("Remove Firefox on Android"),)),
    Shot("settings-password", "adult", "#/settings/password"),
    Shot("settings-blocked", "adult", "#/settings/blocked"),
    Shot("restrict-requests", "adult", "#/requests"),
    Shot("restrict-thread", "adult", f"#/c/{ASIDE}"),
    Shot("restrict-thread-teen", "teen", f"#/c/{ASIDE}"),
    Shot("restrict-offer", "adult", f"#/c/{MAYA}", (shield,)),
    Shot("restrict-undo", "adult", f"#/c/{ASIDE}", (shield,)),
    Shot("restrict-done", "teen", f"#/c/{MAYA}", (shield, begins("Restrict Maya"))),
    Shot("restrict-chat-sheet", "adult", f"#/c/{MAYA}", (begins("Show chat options: Maya"),)),
    Shot("restrict-member", "adult", f"#/c/{GROUP}/people", (lambda page: page.locator(".list-row").filter(has_text="Maya Lindqvist").last.click(),)),
    Shot("restrict-list", "adult", "#/settings/restricted"),
    Shot("restrict-list-empty", "empty", "#/settings/restricted"),
    Shot("settings-blocked-empty", "empty", "#/settings/blocked"),
    Shot("settings-standing", "restricted", "#/settings/standing"),
    Shot("settings-standing-good", "adult", "#/settings/standing"),
    Shot("settings-standing-suspended", "suspended", "#/settings/standing"),
    Shot("settings-appeal", "restricted", "#/settings/standing", (button("Request review"),)),
    Shot("settings-protections", "teen", "#/settings/protections"),
    Shot("settings-reports", "adult", "#/settings/reports"),
    Shot("settings-reports-empty", "empty", "#/settings/reports"),
    Shot("settings-export", "adult", "#/settings/export"),
    Shot("terms", "adult", "#/terms"),
    Shot("help", "adult", "#/help"),
]  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How a screen is looked at."""

    name: str
    width: int
    height: int
    dark: bool = False
    mirrored: bool = False


LOOKS = [
    Look("390", 390, 844),
    Look("320", 320, 640),
    Look("1280", 1280, 800),
    Look("dark", 390, 844, dark=True),
    Look("rtl", 390, 844, mirrored=True),
]


def speak_mirrored(page: Page) -> None:
    """Turn the page round after the English steps were taken (names of controls stay English until then)."""
    page.evaluate("document.documentElement.dir = 'rtl'")


def photograph(browser: Browser, origin: str, shot: Shot, look: Look, *, out: Path, axe: str) -> list[str]:
    """Take one picture; return what is wrong with the screen."""
    wrong: list[str] = []
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height}, device_scale_factor=1,
        color_scheme="dark" if look.dark else "light", reduced_motion="reduce", locale="en-GB",
    )  # fmt: skip
    page = context.new_page()
    page.set_default_timeout(4000)
    page.on(
        "console", lambda said: wrong.append(f"console: {said.text}") if said.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: wrong.append(f"pageerror: {error}"))
    steps = shot.steps
    language = "&lang=ar-XB" if look.mirrored and not steps else ""
    try:
        page.goto(f"{origin}/fake.html?world={shot.world}{language}{shot.where}")
        page.wait_for_load_state("networkidle")
        for step in steps:
            step(page)
        page.locator("h1").last.wait_for(state="attached")
        page.wait_for_timeout(150)
        if look.mirrored and steps:
            speak_mirrored(page)
        page.screenshot(path=str(out / f"{shot.name}.{look.name}.png"))
        wrong += checked(page, axe)
    except Exception as error:  # noqa: BLE001 (every failure of a shot is printed with its name, none is hidden)
        wrong.append(f"step: {error}")
    finally:
        context.close()
    return [f"{shot.name} [{look.name}] {line}" for line in wrong]


def checked(page: Page, axe: str) -> list[str]:
    """Run axe and look for sideways scroll."""
    wrong = []
    sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if sideways > 0:
        wrong.append(f"scrolls sideways by {sideways} px")
    page.evaluate(axe)
    result: dict[str, Any] = page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", AXE_TAGS,
    )  # fmt: skip
    for violation in result["violations"]:
        where = "; ".join(" ".join(node["target"]) if isinstance(node["target"][0], str) else str(node["target"])
                          for node in violation["nodes"][:3])  # fmt: skip
        wrong.append(f"axe {violation['id']}: {violation['help']} at {where}")
    return wrong


def main() -> int:
    """Photograph what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=WEB / ".shots")
    parser.add_argument("--only", default="", help="part of a shot's name")
    parser.add_argument("--look", default="", help="one of: " + ", ".join(look.name for look in LOOKS))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    axe = (WEB / "node_modules/axe-core/axe.min.js").read_text()
    wrong: list[str] = []
    with served(WEB / ".fake") as origin, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for look in LOOKS:
            for shot in SHOTS:
                if chosen.only in shot.name and chosen.look in {"", look.name}:
                    wrong += photograph(browser, origin, shot, look, out=chosen.out, axe=axe)
        browser.close()
    sys.stdout.write("\n".join(wrong or ["nothing wrong"]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
