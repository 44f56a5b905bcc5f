"""How soon the built client shows something in Chromium: on a first visit, and on a device that is signed in.

python benches/start.py [--repeat 5] [--against DIST]

The built client (`make web`) on a real server on loopback. Every visit is a browser of its own; times count from when
the address was asked for. A cheap phone is the same browser, stopped for three quarters of every 20 ms, the engine's
worker included: what DevTools slows down is the page alone. `--against` alternates with another build.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from playwright.sync_api import BrowserContext, Playwright, sync_playwright

from journeys.harness import BROWSER_ARGS, PHONE, Server, chromium_path, served
from journeys.person import Person, connect
from journeys.test_playing import KEEP_THE_WORKER, room_of
from journeys.wires import Wire
from kith.app import web

CHEAP_PHONE = 4
PERIOD_S = 0.02
MESSAGES = 40
SOUGHT = {"welcome": 'a[href="#/sign-up"]', "list": ".list .list-row", "message": ".bubble"}
WATCH = """(() => {
    const seen = self.seen = {}, sought = SOUGHT;
    const look = () => Object.entries(sought).forEach(([name, where]) => {
        if (name in seen || !document.querySelector(where)) return;
        requestAnimationFrame(() => seen[name] ??= performance.now());
    });
    new MutationObserver(look).observe(document, {childList: true, subtree: true});
})();""".replace("SOUGHT", json.dumps(SOUGHT))
"""When each of these was on the page, by the frame that draws it."""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
BYTES = "() => performance.getEntriesByType('resource').reduce((sum, {transferSize}) => sum + transferSize, 0)"
SAY = """async ([room, count]) => {
    for (let at = 0; at < count; at++) await self.ask('send', {room, text: `Message number ${at}`, files: []});
}"""


def processes(profile: Path) -> list[int]:
    """Every process of the browser with this profile."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if f"--user-data-dir={profile}" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


@contextmanager
def slowed(profile: Path, times: int) -> Iterator[None]:
    """The browser of this profile gets one part in `times` of its time."""
    over = threading.Event()

    def pace() -> None:
        while not over.is_set():
            ours = processes(profile)
            _signal(ours, signal.SIGSTOP)
            over.wait(PERIOD_S * (times - 1) / times)
            _signal(ours, signal.SIGCONT)
            over.wait(PERIOD_S / times)

    thread = threading.Thread(target=pace, daemon=True)
    if times > 1:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if times > 1:
            thread.join()


def _signal(pids: list[int], which: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, which)


def browser(playwright: Playwright, profile: Path, origin: str) -> BrowserContext:
    """A phone's browser with a profile on disk."""
    return playwright.chromium.launch_persistent_context(
        profile, executable_path=chromium_path(), args=BROWSER_ARGS, base_url=origin, viewport=PHONE
    )


def signed_in(playwright: Playwright, server: Server, folder: Path) -> tuple[Path, str]:
    """The profile of somebody with a chat of some messages, the whole client kept on her device, and that chat."""
    contexts = []

    def meet(name: str) -> Person:
        contexts.append(browser(playwright, folder / name.split(maxsplit=1)[0], server.origin))
        person = Person(contexts[-1], name, Wire())
        person.sign_up()
        person.at_chats()
        return person

    ada, bob = connect(meet, "Ada Start", "Bob Start")
    for person, other in ((ada, bob), (bob, ada)):
        person.context.add_init_script(KEEP_THE_WORKER)
        person.page.evaluate("async () => { await navigator.serviceWorker.ready; }")
        person.page.reload()
        person.open_chat(other.name)
    room = room_of(bob.page)
    bob.page.evaluate(SAY, [room, MESSAGES])
    ada.page.get_by_text(f"Message number {MESSAGES - 1}", exact=True).last.wait_for()
    for context in contexts:
        context.close()
    return folder / "Ada", room


def visit(playwright: Playwright, profile: Path, address: str, *, sought: str, times: int) -> dict[str, float]:
    """Milliseconds until something was drawn, and until what is sought was; bytes that came."""
    origin, _, hash_ = address.partition("#")
    context = browser(playwright, profile, origin)
    try:
        page = context.pages[0]
        page.add_init_script(WATCH)
        with slowed(profile, times):
            page.goto(f"/#{hash_}")
            page.locator(SOUGHT[sought]).first.wait_for(timeout=60_000)
            page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
        seen = page.evaluate("() => self.seen")
        return {"first paint": page.evaluate(PAINT), sought: seen[sought], "bytes": page.evaluate(BYTES)}
    finally:
        context.close()


@dataclass
class Build:
    """A built client, its server, and somebody who is signed in with it."""

    name: str
    server: Server
    folder: Path
    profile: Path
    room: str
    fresh: int = 0

    def visit(self, playwright: Playwright, sought: str, times: int) -> dict[str, float]:
        """One visit of a stranger to the welcome screen, or of hers to the list or to the chat."""
        self.fresh += 1
        place = self.folder / f"new-{self.fresh}" if sought == "welcome" else self.profile
        path = f"/c/{self.room}" if sought == "message" else "/"
        return visit(playwright, place, f"{self.server.origin}#{path}", sought=sought, times=times)


def built(stack: ExitStack, playwright: Playwright, name: str, client: Path) -> Build:
    """Everything that visits to this build need."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    server = stack.enter_context(served(folder / "kith", client=client))
    return Build(name, server, folder, *signed_in(playwright, server, folder))


def told(name: str, what: str, times: int, runs: list[float]) -> None:
    """A row of the table."""
    spread = f"{statistics.median(runs):.0f} ({min(runs):.0f}–{max(runs):.0f})"
    print(f"| {name} | {what} | × {times} | {spread} |", flush=True)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another built client; the two take turns")
    asked = parser.parse_args()
    clients = {"this": web.client_folder(), **({"other": asked.against} if asked.against else {})}
    print("| build | what | slowed | ms: median (least–most) |\n|---|---|---|---|")
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        builds = [built(stack, playwright, name, client) for name, client in clients.items()]
        for times, sought in product((1, CHEAP_PHONE), ("welcome", "list", "message")):
            # The first round is not counted: the browser's own files are cold.
            rounds = [[build.visit(playwright, sought, times) for build in builds] for _ in range(asked.repeat + 1)][1:]
            for at, build in enumerate(builds):
                told(build.name, f"{sought}: first paint", times, [each[at]["first paint"] for each in rounds])
                told(build.name, f"{sought}: there", times, [each[at][sought] for each in rounds])
                if sought == "welcome" and times == 1:
                    told(build.name, "bytes before it, kB", times, [each[at]["bytes"] / 1000 for each in rounds])
    print(f"\nload {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    main()
