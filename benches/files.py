"""What attachments cost in Chromium: up and down beside plain fetch of as many bytes, and the memory they take.

python benches/files.py [--sizes 10 60] [--repeat 3]

The built client (`make web`) on a real server on loopback. Memory is the peak of the page's process, its worker
included, over what it was just before; files are read from disk, so that only the engine's own use shows.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from playwright.sync_api import BrowserContext, sync_playwright

from journeys.harness import BROWSER_ARGS, chromium_path, served
from journeys.person import Person, connect
from journeys.test_playing import KEEP_THE_WORKER, room_of, the_file
from journeys.wires import Wire

MB = 1_000_000

PLAIN_UP = """async () => {
    const file = document.querySelector('#bench').files[0];
    const size = 4 * 1048576 * Math.floor(file.size / (4 * 1048576)), began = performance.now();
    const json = {'Content-Type': 'application/json'};
    const begun = await fetch('/api/v1/blobs', {method: 'POST', headers: json, body: JSON.stringify({size})});
    const {blob, piece} = await begun.json();
    for (let at = 0; at < size; at += piece) {
        const headers = {'Content-Type': 'application/octet-stream', 'Upload-Offset': String(at)};
        const body = file.slice(at, Math.min(at + piece, size));
        await fetch(`/api/v1/blobs/${blob}`, {method: 'PATCH', headers, body});
    }
    self.plain = blob;
    return {ms: performance.now() - began, bytes: size};
}"""
PLAIN_DOWN = """async (blob) => {
    const began = performance.now();
    const reader = (await fetch(`/api/v1/blobs/${blob}`, {cache: 'no-store'})).body.getReader();
    let bytes = 0;
    for (;;) {
        const {done, value} = await reader.read();
        if (done) return {ms: performance.now() - began, bytes};
        bytes += value.length;
    }
}"""
SEND = """async ([room, kind]) => {
    const bytes = document.querySelector('#bench').files[0], began = performance.now();
    const sides = {width: null, height: null, thumbhash: null};
    const time = {duration_ms: null, waveform: null, poster: null};
    const type = kind === 'video' ? 'video/webm' : 'application/octet-stream';
    const file = {...sides, ...time, alt: '', bytes, kind, type, name: bytes.name};
    await self.ask('send', {room, text: '', files: [file]});
    const kept = performance.now() - began;
    for (;;) {
        const {messages} = await self.ask('thread', {room});
        const ms = performance.now() - began;
        if (messages.every(({delivery}) => delivery !== 'waiting')) return {ms, kept, bytes: bytes.size};
        await new Promise((soon) => setTimeout(soon, 10));
    }
}"""
FETCH = """async (which) => {
    const began = performance.now();
    const {blob} = await self.ask('file', which);
    return {ms: performance.now() - began, bytes: blob.size};
}"""
FIRST_BYTES = """async (which) => {
    const began = performance.now();
    const {url} = await self.ask('play', which);
    const film = document.createElement('video');
    await new Promise((done) => {
        film.onerror = film.onloadedmetadata = done;
        film.src = url;
    });
    const ms = performance.now() - began;
    film.src = '';
    await self.ask('stop_playing', {url});
    return {ms, bytes: 0};
}"""


def page_process(profile: Path) -> int:
    """The process of the page, its worker included: the largest renderer of the browser with this profile."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        if "--type=renderer" in command and f"--user-data-dir={profile} " in command:
            found.append((memory(int(folder.name), "VmRSS"), int(folder.name)))
    return max(found)[1]


def memory(pid: int, what: str) -> int:
    """VmRSS, or VmHWM (its peak), in bytes."""
    lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")), 0)


def peak(pid: int, work: Callable[[], dict[str, float]]) -> tuple[dict[str, float], int]:
    """What `work` measured, and by how much the process grew at most meanwhile."""
    (Path("/proc") / str(pid) / "clear_refs").write_text("5")
    before = memory(pid, "VmRSS")
    result = work()
    return result, memory(pid, "VmHWM") - before


@contextmanager
def two_people(folder: Path) -> Iterator[tuple[Person, Person]]:
    """Two browsers with profiles on disk, and a chat."""
    with ExitStack() as stack:
        server = stack.enter_context(served(folder))
        playwright = stack.enter_context(sync_playwright())

        def meet(name: str) -> Person:
            profile = folder / name.split(maxsplit=1)[0]
            context: BrowserContext = playwright.chromium.launch_persistent_context(
                profile, executable_path=chromium_path(), args=BROWSER_ARGS, base_url=server.origin
            )
            stack.callback(context.close)
            person = Person(context, name, Wire())
            person.sign_up()
            person.at_chats()
            return person

        two = connect(meet, "Ada Bench", "Bob Bench")
        for person, other in (two, two[::-1]):
            person.context.add_init_script(KEEP_THE_WORKER)
            person.page.evaluate("async () => { await navigator.serviceWorker.ready; }")
            person.page.reload()
            person.open_chat(other.name)
            person.page.evaluate(
                "() => document.body.append("
                "Object.assign(document.createElement('input'), {type: 'file', id: 'bench', hidden: true}))"
            )
        yield two


def once(ada: Person, bob: Person, folder: Path, size: int, number: int) -> dict[str, tuple[float, int]]:
    """Milliseconds and growth of every step, for one file of this size."""
    file = folder / f"file-{number}.webm"
    file.write_bytes(b"\x1a\x45\xdf\xa3" + secrets.token_bytes(size - 4))
    ada.page.locator("#bench").set_input_files(file)
    room = room_of(ada.page)
    ours, theirs = page_process(folder / "Ada"), page_process(folder / "Bob")
    steps: dict[str, tuple[dict[str, float], int]] = {}
    steps["plain up"] = peak(ours, lambda: ada.page.evaluate(PLAIN_UP))
    blob = ada.page.evaluate("self.plain")
    steps["up"] = peak(ours, lambda: ada.page.evaluate(SEND, [room, "file"]))
    which = the_file(bob.page, room, file.name)
    steps["plain down"] = peak(theirs, lambda: bob.page.evaluate(PLAIN_DOWN, blob))
    steps["down"] = peak(theirs, lambda: bob.page.evaluate(FETCH, which))
    film = folder / f"film-{number}.webm"
    file.rename(film)
    ada.page.locator("#bench").set_input_files(film)
    ada.page.evaluate(SEND, [room, "video"])
    played = the_file(bob.page, room, film.name)
    steps["first bytes of a film"] = peak(theirs, lambda: bob.page.evaluate(FIRST_BYTES, played))
    film.unlink()
    kept = steps["up"][0]["kept"]
    result = {name: (measured["ms"], grown) for name, (measured, grown) in steps.items()}
    return {**result, "of that, sealing": (kept, 0)}


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 60], help="MB")
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, two_people(Path(name)) as (ada, bob):
        print("| step | MB | ms: median (least–most) | process grows at most by, MB |\n|---|---|---|---|")
        for size in asked.sizes:
            runs = [once(ada, bob, Path(name), size * MB, size * 100 + at) for at in range(asked.repeat)]
            for step in runs[0]:
                times = [run[step][0] for run in runs]
                grown = max(run[step][1] for run in runs) / MB
                span = f"{statistics.median(times):.0f} ({min(times):.0f}–{max(times):.0f})"
                print(f"| {step} | {size} | {span} | {grown:.0f} |", flush=True)
    print(f"\nload {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    main()
