"""Films and sounds play through the service worker while they come, from any place in them, and never unverified."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from journeys.conftest import meeting
from journeys.harness import Server
from journeys.person import Person, connect
from journeys.test_files import adds, chosen, sends
from sdk.films import MADE_BY, PLACE, film, pictures_and_sound

pytestmark = pytest.mark.browser

MIB = 1024 * 1024
KEEP_THE_WORKER = """
    const Real = Worker;
    self.Worker = class extends Real {
        constructor(url, options) {
            super(url, options);
            if (options?.name === 'kith') self.kith = this;
        }
    };
    self.ask = (op, args) => new Promise((done, failed) => {
        const id = `test ${crypto.randomUUID()}`;
        const heard = ({data}) => {
            if (data.id !== id) return;
            self.kith.removeEventListener('message', heard);
            if (data.error) failed(new Error(`${op}: ${data.error.message}`)); else done(data.result);
        };
        self.kith.addEventListener('message', heard);
        self.kith.postMessage({id, op, args});
    });
"""
"""Lets a test ask the engine as the screens do, in the built client with its policy."""

A_TONE = """(seconds) => {
    const rate = 44100, head = new DataView(new ArrayBuffer(44));
    const text = (at, word) => [...word].forEach((c, i) => head.setUint8(at + i, c.charCodeAt(0)));
    const number = (at, value) => head.setUint32(at, value, true);
    const short = (at, value) => head.setUint16(at, value, true);
    const samples = new Int16Array(rate * seconds);
    for (let i = 0; i < samples.length; i++) samples[i] = 8000 * Math.sin(i / 20) + (i >> 16);
    text(0, 'RIFF'); number(4, 36 + samples.byteLength); text(8, 'WAVEfmt ');
    number(16, 16); short(20, 1); short(22, 1); number(24, rate); number(28, rate * 2); short(32, 2); short(34, 16);
    text(36, 'data'); number(40, samples.byteLength);
    return new Blob([head, samples], {type: 'audio/wav'});
}"""
"""A WAV file: any place in it can be played when the bytes around it are there."""

SEND = """async ([room, kind, type, name, blob]) => {
    const sides = {width: null, height: null, thumbhash: null};
    const time = {duration_ms: null, waveform: null, poster: null};
    await self.ask('send', {room, text: '', files: [{...sides, ...time, alt: '', bytes: blob, kind, type, name}]});
}"""


@pytest.fixture(scope="module")
def friends_here(browser: Browser, server: Server) -> Iterator[tuple[Person, Person]]:
    """Two people with a chat, whose pages let the test ask their engines and are looked after by a service worker."""
    with meeting(browser, server, "playing") as meet:
        two = connect(meet, "Ida Playing", "Jon Playing")
        for person, other in (two, two[::-1]):
            person.context.add_init_script(KEEP_THE_WORKER)
            person.page.evaluate("async () => { await navigator.serviceWorker.ready; }")
            person.page.reload()
            person.open_chat(other.name)
            expect(person.log.locator(".bubble").first).to_be_visible()
            assert person.page.evaluate("navigator.serviceWorker.controller !== null")
        yield two


def room_of(page: Page) -> str:
    """The chat of these two."""
    return str(page.evaluate("async () => (await self.ask('chats', {}))[0].room"))


def the_file(page: Page, room: str, name: str) -> dict[str, Any]:
    """Where the file of this name is, as soon as its message is there."""
    found: dict[str, Any] = page.evaluate(
        """async ([room, name]) => {
            for (;;) {
                const {messages} = await self.ask('thread', {room});
                for (const one of messages) for (const file of one.files) {
                    if (one.seq === null || file.name !== name) continue;
                    return {room, id: one.id, part: file.part, state: file.state};
                }
                await new Promise((soon) => setTimeout(soon, 50));
            }
        }""",
        [room, name],
    )
    return found


def pieces_asked(person: Person) -> list[int]:
    """Which pieces the person's engine asked the server for, from now on: the list grows."""
    asked: list[int] = []

    def note(request: Request) -> None:
        span = re.match(r"bytes=(\d+)-", request.headers.get("range", ""))
        if "/api/v1/blobs/" in request.url and request.method == "GET" and span:
            asked.append(int(span[1]) // MIB)

    person.context.on("request", note)
    return asked


def test_a_long_sound_plays_from_its_end_without_the_middle(friends_here: tuple[Person, Person]) -> None:
    """The player seeks; the pieces there are fetched, verified and played, most of the others never asked for."""
    ida, jon = friends_here
    room = room_of(ida.page)
    ida.page.evaluate(
        f"async (room) => ({SEND})([room, 'voice', 'audio/wav', 'tone.wav', ({A_TONE})(240)])",
        room,
    )
    which = the_file(jon.page, room, "tone.wav")
    assert which["state"] == "remote"
    asked = pieces_asked(jon)
    played = jon.page.evaluate(
        """async ({room, id, part}) => {
            const {url} = await self.ask('play', {room, id, part});
            const sound = self.sound = new Audio();
            const event = (name) => new Promise((done, failed) => {
                sound.addEventListener(name, done, {once: true});
                sound.addEventListener('error', () => failed(new Error(sound.error.message)), {once: true});
            });
            const known = event('loadedmetadata');
            sound.preload = 'metadata';
            sound.src = url;
            await known;
            const there = event('seeked');
            sound.currentTime = 230;
            await there;
            return {url, duration: sound.duration, at: sound.currentTime};
        }""",
        which,
    )
    assert re.fullmatch(r"/media/[0-9a-f]{32}", played["url"])
    assert (round(played["duration"]), round(played["at"])) == (240, 230)
    assert 230 * 88_200 // MIB in asked
    assert len(set(asked)) < 15, f"of 21 pieces: {asked}"

    # The address is for players: a script of the page gets nothing, and nobody else knows what it means.
    answers = jon.page.evaluate(
        """async (url) => [await fetch(url), await fetch('/media/' + '0'.repeat(32))].map((answer) => answer.status)""",
        played["url"],
    )
    assert answers == [404, 404]
    jon.expects("a status of 404")
    jon.page.evaluate("async (url) => { self.sound.src = ''; await self.ask('stop_playing', {url}); }", played["url"])
    cached = jon.page.evaluate(
        """async () => {
            const all = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
            return all.flat().map(({url}) => url);
        }"""
    )
    assert cached
    assert [url for url in cached if "/media/" in url or "/api/" in url] == []


def test_a_film_recorded_here_plays_there(friends_here: tuple[Person, Person]) -> None:
    """A canvas is filmed, sent, and played by the other browser from verified pieces."""
    ida, jon = friends_here
    room = room_of(ida.page)
    ida.page.evaluate(
        f"""async (room) => {{
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 96;
            const paint = canvas.getContext('2d');
            const recorder = new MediaRecorder(canvas.captureStream(25), {{mimeType: 'video/webm;codecs=vp8'}});
            const parts = [];
            recorder.ondataavailable = ({{data}}) => parts.push(data);
            const over = new Promise((done) => {{ recorder.onstop = done; }});
            recorder.start();
            for (let i = 0; i < 30; i++) {{
                paint.fillStyle = `hsl(${{i * 12}} 80% 50%)`;
                paint.fillRect(0, 0, 96, 96);
                await new Promise((next) => setTimeout(next, 40));
            }}
            recorder.stop();
            await over;
            await ({SEND})([room, 'video', 'video/webm', 'canvas.webm', new Blob(parts, {{type: 'video/webm'}})]);
        }}""",
        room,
    )
    which = the_file(jon.page, room, "canvas.webm")
    seen = jon.page.evaluate(
        """async ({room, id, part}) => {
            const {url} = await self.ask('play', {room, id, part});
            const film = document.createElement('video');
            film.muted = true;
            document.body.append(film);
            const over = new Promise((done, failed) => {
                film.onended = done;
                film.onerror = () => failed(new Error(film.error.message));
            });
            film.src = url;
            await film.play();
            await over;
            film.remove();
            await self.ask('stop_playing', {url});
            return {width: film.videoWidth, at: film.currentTime};
        }""",
        which,
    )
    assert seen["width"] == 96
    assert seen["at"] > 0
    assert the_file(jon.page, room, "canvas.webm")["state"] == "here"


def bytes_of(page: Page, which: dict[str, Any]) -> bytes:
    """A file as it is after its ciphertext was fetched, verified and opened on this side."""
    url: str = page.evaluate(
        """async ({room, id, part}) => {
            const {blob} = await self.ask('file', {room, id, part});
            return new Promise((done) => {
                const reader = new FileReader();
                reader.onload = () => done(reader.result);
                reader.readAsDataURL(blob);
            });
        }""",
        which,
    )
    return base64.b64decode(url.partition(",")[2])


def test_a_film_from_a_phone_arrives_without_its_place(friends_here: tuple[Person, Person]) -> None:
    """One that plays here, and one that this browser can only pass on; the controls say where they were made."""
    ida, jon = friends_here
    room = room_of(ida.page)
    for name, codec, arrives_as in (("VID_20260412.mp4", "libvpx-vp9", "video.mp4"), ("old.mp4", "mpeg4", "old.mp4")):
        original = film("mp4", codec)
        assert [secret.encode() in original for secret in (PLACE, MADE_BY)] == [True, True]
        tray = adds(ida, chosen(name, original, "video/mp4"))
        expect(tray.get_by_text("may say where and when")).to_have_count(0)
        sends(ida)
        arrived = bytes_of(jon.page, the_file(jon.page, room, arrives_as))
        assert [secret.encode() in arrived for secret in (PLACE, MADE_BY)] == [False, False]
        assert pictures_and_sound(arrived) == pictures_and_sound(original)
    assert not any(PLACE in body.decode(errors="replace") for _, body in ida.traffic.requests)


def test_a_page_that_calls_itself_a_film_is_not_played(friends_here: tuple[Person, Person]) -> None:
    """The bytes decide: the player gets an error, the chat goes on, nothing runs."""
    ida, jon = friends_here
    room = room_of(ida.page)
    ida.page.evaluate(
        f"""async (room) => {{
            const text = '<!doctype html><script>self.ran = 1</script>' + ' '.repeat(5000);
            const page = new Blob([text], {{type: 'video/webm'}});
            await ({SEND})([room, 'video', 'video/webm', 'page.webm', page]);
        }}""",
        room,
    )
    which = the_file(jon.page, room, "page.webm")
    outcome = jon.page.evaluate(
        """async ({room, id, part}) => {
            const {url} = await self.ask('play', {room, id, part});
            const film = document.createElement('video');
            const told = await new Promise((done) => {
                film.onerror = () => done('error');
                film.onloadedmetadata = () => done('played');
                film.src = url;
            });
            const {blob} = await self.ask('file', {room, id, part});
            return [told, blob.type];
        }""",
        which,
    )
    assert outcome == ["error", "application/octet-stream"]
    assert jon.page.evaluate("self.ran === undefined")
    jon.expects("a status of 404")
    ida.say("still here")
    jon.reads("still here")


def test_a_device_of_an_older_version_gets_a_place_for_files(browser: Browser, server: Server) -> None:
    """The stores of version 1 stay as they are, and the new one comes beside them."""
    with meeting(browser, server, "older") as meet:
        kim = meet("Kim Older", joined=False)
        kim.page.goto("/manifest.webmanifest")
        kim.page.evaluate(
            """async () => {
                const opening = indexedDB.open('kith', 1);
                const names = ['keys', 'groups', 'trees', 'messages', 'outbox', 'meta', 'reports'];
                await new Promise((done) => {
                    opening.onupgradeneeded = () => names.forEach((name) => opening.result.createObjectStore(name));
                    opening.onsuccess = done;
                });
                opening.result.close();
            }"""
        )
        kim.page.goto("/")
        kim.sign_up()
        kim.at_chats()
        stores = kim.page.evaluate(
            """async () => {
                const opening = indexedDB.open('kith');
                await new Promise((done) => { opening.onsuccess = done; });
                const found = [opening.result.version, ...opening.result.objectStoreNames];
                opening.result.close();
                return found;
            }"""
        )
        assert stores == [2, "blobs", "groups", "keys", "messages", "meta", "outbox", "reports", "trees"]


def test_a_film_that_ends_on_the_server_while_it_plays_says_so(friends_here: tuple[Person, Person]) -> None:
    """Its rest is asked for, is gone, and the player's place says that calmly; the chat goes on."""
    ida, jon = friends_here
    room = room_of(ida.page)
    jon.say("Do send it")
    ida.reads("Do send it")
    # Sound is enough for a player, and its every place is known.
    ida.page.evaluate(f"async (room) => ({SEND})([room, 'video', 'video/webm', 'gone.webm', ({A_TONE})(240)])", room)
    the_file(jon.page, room, "gone.webm")
    jon.log.get_by_role("button", name="Play video").last.click()
    film = jon.log.locator("video")
    expect(film).to_be_visible()
    film.evaluate("""(film) => new Promise((plays) => {
        const look = () => (film.currentTime > 0 ? plays() : setTimeout(look, 50));
        look();
    })""")
    gone = {"error": {"code": "not_found", "message": "There is no such file."}}
    jon.expects("404", "net::ERR_")
    jon.context.route("**/api/v1/blobs/**", lambda route: route.fulfill(status=404, json=gone))
    film.evaluate("(film) => { film.currentTime = 230; }")
    expect(jon.log.get_by_text("This file is no longer available. Ask Ida Playing to send it again.")).to_be_visible(
        timeout=60_000
    )
    jon.context.unroute("**/api/v1/blobs/**")
    ida.say("Never mind the film")
    jon.reads("Never mind the film")
