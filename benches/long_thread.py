"""A chat of ten thousand messages in Chromium: what arriving, opening, scrolling, typing and searching cost.

python benches/long_thread.py [--count 10000] [--beside 100]

Every message is really sent: by the SDK, through a real server on loopback (with the pace of a person lifted), to the
built client (`make web`) with its policy on, which decrypts, verifies, seals and stores each. The same steps are
measured in a chat of `--beside` messages first; the ratio says what length costs. Memory is the page's process, the
engine's worker included, after the browser was asked to collect what nobody needs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from files import memory, page_process
from playwright.sync_api import BrowserContext, expect, sync_playwright

from journeys.companions import Companion, company
from journeys.harness import BROWSER_ARGS, PHONE, chromium_path, served
from journeys.person import Person
from journeys.wires import Wire
from kith.sdk import Client, Room

MB = 1_000_000
LIFTED = ("-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); from serve import main; main()")
NEEDLE = "oystercatcher"
AT_ONCE = 8

OPENED = """async (name) => {
    const began = performance.now();
    const row = [...document.querySelectorAll('a[href^="#/c/"]')].find((a) => a.textContent.includes(name));
    row.click();
    while (!document.querySelector('[role=log] .bubble')) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""
TO_THE_TOP = """async () => {
    const log = document.querySelector('[role=log]');
    const frame = () => new Promise(requestAnimationFrame);
    let longest = 0, nodes = 0, last = performance.now();
    const began = last;
    const tick = async () => {
        await frame();
        const now = performance.now();
        longest = Math.max(longest, now - last);
        nodes = Math.max(nodes, document.querySelectorAll('*').length);
        last = now;
    };
    const first = () => log.querySelector('li[data-message]')?.dataset.message;
    for (;;) {
        const before = first();
        do {
            log.scrollTop = 0;
            await tick();
        } while (first() === before && log.querySelector('.earlier'));
        if (!log.querySelector('.earlier')) break;
    }
    return {ms: performance.now() - began, longest, nodes};
}"""
TO_THE_END = """async () => {
    const began = performance.now();
    let pressed = 0;
    for (let down; (down = document.querySelector('button.down')) && performance.now() - began < 20000;) {
        if (performance.now() - began >= pressed * 3000) {
            down.click();
            pressed++;
        }
        await new Promise(requestAnimationFrame);
    }
    return performance.now() - began;
}"""
TYPED = """async (text) => {
    const field = document.querySelector('#message'), times = [];
    field.focus();
    for (const letter of text) {
        const began = performance.now();
        document.execCommand('insertText', false, letter);
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b);
}"""
ARRIVES = """(text) => new Promise((done) => {
    const look = () => [...document.querySelectorAll('.bubble .text')].some((one) => one.textContent.trim() === text);
    const seen = new MutationObserver(() => {
        if (!look()) return;
        seen.disconnect();
        done(performance.timeOrigin + performance.now());
    });
    seen.observe(document.body, {subtree: true, childList: true, characterData: true});
    self.watching = true;
})"""


@dataclass
class Measured:
    """What one chat cost."""

    count: int
    steps: dict[str, float]


@contextmanager
def setting(folder: Path) -> Iterator[tuple[Person, Companion, Path]]:
    """One browser with a profile on disk, and somebody who writes to it."""
    with ExitStack() as stack:
        lifted = (*LIFTED, str(Path(__file__).parent / "delivery"))
        server = stack.enter_context(served(folder, program=lifted))
        talker = stack.enter_context(company(folder, server)).join("Tal Long")
        playwright = stack.enter_context(sync_playwright())
        profile = folder / "Ada"
        context: BrowserContext = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium_path(), args=BROWSER_ARGS, base_url=server.origin, viewport=PHONE
        )
        stack.callback(context.close)
        ada = Person(context, "Ada Long", Wire())
        ada.sign_up()
        ada.at_chats()
        yield ada, talker, profile


def meet(ada: Person, talker: Companion) -> Room:
    """They get a chat."""
    ada.request(talker.handle, "First words")
    ada.sees_request_sent()
    room = talker.accepts()
    talker.reads(room, "First words")
    return room


def fill(ada: Person, talker: Companion, room: Room, until: int, done: int) -> float:
    """Messages number `done` to `until`, sent as fast as they are taken; seconds until the browser has them all."""
    ada.home()

    async def talk(client: Client) -> None:
        chat = client.room(room.id)
        for begin in range(done, until, AT_ONCE):
            numbers = range(begin, min(begin + AT_ONCE, until))
            await asyncio.gather(*(chat.send(text_of(number)) for number in numbers))

    began = time.perf_counter()
    talker.does(talk, patience_s=900)
    print(f"sent {until}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    expect(ada.chat_row(talker.name)).to_contain_text(text_of(until - 1), timeout=900_000)
    return time.perf_counter() - began


def text_of(number: int) -> str:
    """Words as people write them, short and long; one in two hundred is worth finding."""
    return f"Message {number}" + " and some more words" * (number % 7) + (f" {NEEDLE}" if number % 200 == 50 else "")


def measure(ada: Person, talker: Companion, room: Room, profile: Path, count: int) -> Measured:
    """Every step once, in a page that was just opened."""
    page = ada.page
    steps: dict[str, float] = {}
    page.goto("/#/")
    page.reload()
    ada.at_chats()
    expect(ada.chat_row(talker.name)).to_be_visible()
    print("measuring", file=sys.stderr, flush=True)
    steps["open the chat, ms"] = page.evaluate(OPENED, talker.name)
    expect(ada.log.locator(".bubble").first).to_be_visible()
    # What is new begins in the middle of the chat; what follows is about its end.
    steps["from the first new message to the end, ms"] = page.evaluate(TO_THE_END)
    steps["elements on the page"] = page.evaluate("document.querySelectorAll('*').length")
    steps["memory after opening, MB"] = settled_memory(ada, profile)
    print("typing", file=sys.stderr, flush=True)
    typed = page.evaluate(TYPED, "What a long chat this is")
    steps["a key until it is drawn, median, ms"] = typed[len(typed) // 2]
    steps["the slowest key, ms"] = typed[-1]
    page.get_by_role("textbox", name="Message").fill("")
    text = f"Arriving at {count}"
    watched = page.evaluate_handle(f"() => {{ self.arrived = ({ARRIVES})({text!r}); }}")
    watched.dispose()
    sent = time.time() * 1000
    talker.says(room, text)
    steps["a message from the other side until it is drawn, ms"] = page.evaluate("() => self.arrived") - sent
    print("scrolling", file=sys.stderr, flush=True)
    up = page.evaluate(TO_THE_TOP)
    steps["scroll to the top, ms per 1,000 messages"] = up["ms"] / count * 1000
    steps["longest frame on the way, ms"] = up["longest"]
    steps["most elements on the way"] = up["nodes"]
    steps["memory at the top, MB"] = settled_memory(ada, profile)
    expect(ada.log.locator(".bubble").first).to_contain_text("First words")
    print("at the top", file=sys.stderr, flush=True)
    steps["back to the end, ms"] = page.evaluate(TO_THE_END)
    print("searching", file=sys.stderr, flush=True)
    ada.go("#/search")
    began = time.perf_counter()
    ada.fill("Words to find", NEEDLE)
    found = page.get_by_role("link").filter(has_text=NEEDLE)
    expect(found.first).to_be_visible()
    steps["search until the first is found, ms"] = (time.perf_counter() - began) * 1000
    hits = sum(NEEDLE in text_of(number) for number in range(count))
    expect(page.get_by_text(f"Found {hits} message")).to_be_visible(timeout=60_000)
    steps["search of everything, ms per 1,000 messages"] = (time.perf_counter() - began) * 1_000_000 / count
    return Measured(count, steps)


def settled_memory(ada: Person, profile: Path) -> float:
    """What the page's process holds once nobody needs the rest."""
    session = ada.context.new_cdp_session(ada.page)
    session.send("HeapProfiler.collectGarbage")
    session.detach()
    return memory(page_process(profile), "VmRSS") / MB


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--beside", type=int, default=600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, setting(Path(name)) as (ada, talker, profile):
        room = meet(ada, talker)
        fill(ada, talker, room, asked.beside, 0)
        short = measure(ada, talker, room, profile, asked.beside)
        seconds = fill(ada, talker, room, asked.count, asked.beside)
        long = measure(ada, talker, room, profile, asked.count)
    each = seconds / (asked.count - asked.beside) * 1000
    print(f"sent, received, verified and stored: {each:.1f} ms a message ({seconds:.0f} s)\n")
    print(f"| step | {short.count} messages | {long.count} |\n|---|---|---|")
    for step, value in long.steps.items():
        print(f"| {step} | {short.steps[step]:.0f} | {value:.0f} |")
    print(f"\nload {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    main()
