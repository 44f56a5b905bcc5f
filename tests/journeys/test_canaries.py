"""Ciphertext only: random words typed all over the client are searched for wherever they could have been kept."""

from __future__ import annotations

import base64
import contextlib
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Playwright, expect

from journeys.canaries import Canaries, memory_of
from journeys.harness import BROWSER_ARGS, PHONE, Server, chromium_path
from journeys.person import Person
from journeys.staff_browser import Review, Reviewer
from journeys.wires import Wire

HIDING_PLACES: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "capitals": lambda word: word.upper().encode(),
    "backwards": lambda word: word[::-1].encode(),
    "utf-16": lambda word: word.encode("utf-16-le"),
    "utf-16, the other order": lambda word: word.encode("utf-16-be"),
    "hex": lambda word: word.encode().hex().encode(),
    "hex in capitals": lambda word: word.encode().hex().upper().encode(),
    "base64": lambda word: base64.b64encode(word.encode()),
    "base64, one further": lambda word: base64.b64encode(b"x" + word.encode()),
    "base64, two further": lambda word: base64.b64encode(b"xy" + word.encode()),
    "base64 for addresses": lambda word: base64.urlsafe_b64encode(word.encode()),
    "base64 of utf-16": lambda word: base64.b64encode(word.encode("utf-16-le")),
    "deflated": lambda word: zlib.compress(b"before " + word.encode() + b" after"),
    "gzipped": lambda word: gzip.compress(word.encode() * 3),
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_the_search_finds_a_word_in_every_disguise(place: str, tmp_path: Path) -> None:
    """The control of everything below: what is there is found, in the middle of noise; what is not there is not."""
    hidden, absent = Canaries(), Canaries()
    (tmp_path / "deep").mkdir()
    noise = bytes(range(256)) * 40
    (tmp_path / "deep" / "file").write_bytes(noise + HIDING_PLACES[place](hidden.word("here")) + noise)
    assert hidden.found_under(tmp_path)
    assert hidden.found_under(tmp_path, apart_from=["deep"]) == []
    absent.word("never written")
    assert absent.found_under(tmp_path) == []


class Words(NamedTuple):
    """Four families of canaries."""

    private: Canaries
    """Messages, drafts, notes that nobody reports."""
    reported: Canaries
    """What is reported: in that request, and in the console page that opens it."""
    secret: Canaries
    """Passwords: in the requests that give them, and nowhere else."""
    public: Canaries
    """Display names and controls: they must be found."""


@pytest.fixture
def at_home(playwright_here: Playwright, server: Server, tmp_path: Path) -> Iterator[Callable[[str, str], Person]]:
    """Meets people whose browser profile lies in a folder that can be searched: `at_home(name, password)`."""
    with contextlib.ExitStack() as stack:

        def one(name: str, password: str) -> Person:
            wire = stack.enter_context(Wire())
            context = playwright_here.chromium.launch_persistent_context(
                tmp_path / name.split(maxsplit=1)[0],
                executable_path=chromium_path(),
                args=BROWSER_ARGS,
                base_url=server.origin,
                viewport=PHONE,
                locale="en-GB",
                proxy=wire.proxy,
            )
            stack.callback(context.close)
            person = Person(context, name, wire)
            person.password = password
            person.sign_up()
            person.at_chats()
            return person

        yield one


@pytest.mark.browser
def test_nothing_that_people_write_is_anywhere_in_clear(
    at_home: Callable[[str, str], Person], review: Review, server: Server, tmp_path: Path
) -> None:
    """Not on the server's disk, log or memory, in no request, in no browser's profile; what is reported only there."""
    words = Words(*(Canaries() for _ in range(4)))
    _, reported, secret, public = words
    ann = at_home("Ann Lake", secret.word("password-a"))
    ben = at_home("Ben Hill", secret.word("password-b"))

    they_write(ann, ben, words)
    a_case_is_decided(review("cara", "child-safety"), reported)
    ann.go("#/settings/profile")
    ann.fill("Name", public.word("name")[:50])
    ann.button("Save name").click()
    ann.sees("Saved.")
    the_profile_control(ben, public)

    in_the_servers_memory(server, words)
    codes = [ann.code, ben.code]
    for person in (ann, ben):
        assert person.surprises() == []
        person.context.close()
    server.stop()

    on_the_servers_disk(server, words, codes)
    on_the_wire([ann, ben], words, codes)
    in_the_profiles(tmp_path, words)


def they_write(ann: Person, ben: Person, words: Words) -> None:
    """Everywhere that takes words: first messages, answers, drafts, notes, offline, deleted chats."""
    private, reported, secret, _ = words
    ann.request("ben.hill", reported.word("first message"))
    ann.sees_request_sent()
    ben.accept("Ann Lake")
    ben.reads(reported.given[0])
    ben.report(reported.given[0], "Something sexual", minor=True, note=reported.word("note"))
    ben.button("Done").click()

    ann.open_chat("Ben Hill")
    ben.say(private.word("answer"))
    ann.reads(private.given[-1])
    ann.reply(private.given[-1], private.word("reply"))
    ben.reads(private.given[-1])
    ann.say("\n".join(private.word(f"long {at}") for at in range(60)))
    ben.sees(private.word("long 59").rsplit(".", 1)[0])
    ann.loses_network()
    ann.say(private.word("offline"))
    ann.sees_state(private.given[-1], "Waiting to send")
    ann.has_network_again()
    ben.reads(private.given[-1])
    ann.page.get_by_role("textbox", name="Message").fill(private.word("draft"))
    ann.home()
    a_file_is_sent(ann, ben, private)
    a_note_is_given_up(ben, private)
    ann.go("#/settings/password")
    ann.page.get_by_label("Show password").first.check()
    ann.fill("Current password", secret.word("typed and shown"))
    ann.page.reload()
    ann.open_chat("Ben Hill")
    ann.reads(private.given[0])


def a_file_is_sent(ann: Person, ben: Person, private: Canaries) -> None:
    """Its name, its bytes and the words beside it; she gets it, and saves it outside of the profile."""
    ann.open_chat("Ben Hill")
    name, content = f"{private.word('file-name')}.txt", f"{private.word('file content')}\n" * 3000
    ann.page.get_by_test_id("attach-file").set_input_files(
        {"name": name, "mimeType": "text/plain", "buffer": content.encode()}
    )
    ann.say(private.word("caption"))
    ben.reads(private.given[-1])
    with ben.page.expect_download() as saving:
        ben.log.get_by_role("button", name=re.compile("^Save ")).click()
    assert Path(saving.value.path()).read_text() == content
    ann.home()


def a_note_is_given_up(ben: Person, private: Canaries) -> None:
    """A report that is written and not sent leaves nothing behind."""
    ben.tap_message("reply")
    ben.button("Report").click()
    ben.button("Bullying or threats").click()
    ben.fill("Anything else we should know? (optional)", private.word("given up note"))
    ben.close_sheet()


def a_case_is_decided(cara: Reviewer, reported: Canaries) -> None:
    """The words show in the page that answers the click, and nowhere before; a CyberTip is drafted from them."""
    cara.take("Child safety")
    assert reported.found_in(cara.page.content().encode()) == []
    cara.open_all()
    expect(cara.page.locator(".words").first).to_have_text(reported.given[0])
    cara.judge(cara.page.locator("li.exhibit.reported").first, "Breaks the standards")
    cara.decide("child-safety", "No new conversations", days=7)
    cara.button("Read it").click()
    expect(cara.page.get_by_text(re.compile(reported.marker)).first).to_be_visible()


def the_profile_control(person: Person, public: Canaries) -> None:
    """A word that is put into the browser's stores in clear, to be found there later."""
    person.page.evaluate(
        """async (word) => {
            const opening = indexedDB.open('control', 1);
            await new Promise((done) => {
                opening.onupgradeneeded = () => opening.result.createObjectStore('words');
                opening.onsuccess = done;
            });
            const writing = opening.result.transaction('words', 'readwrite', {durability: 'strict'});
            writing.objectStore('words').put({text: word}, 'one');
            await new Promise((done) => { writing.oncomplete = done; });
            await (await caches.open('control')).put('/control', new Response(word));
        }""",
        public.word("control"),
    )


def in_the_servers_memory(server: Server, words: Words) -> None:
    """While it runs; only where the system lets a parent look into its child."""
    assert server.process is not None
    with contextlib.suppress(PermissionError):
        pieces = list(memory_of(server.process.pid))
        assert any(words.public.found_in(piece, inflating=False) for piece in pieces), "the display name is there"
        assert [hit for piece in pieces for hit in words.private.found_in(piece, inflating=False)] == []


def on_the_servers_disk(server: Server, words: Words, codes: list[str]) -> None:
    """Database, write-ahead log, settings, and everything the server printed; its key files are not for reading."""
    folder = server.data
    assert [hit for hit in words.public.found_under(folder) if hit.startswith("kith.db")], "the display name is there"
    assert words.public.found_under(folder, apart_from=["kith.db", "kith.db-wal"]) == []
    for kind in (words.private, words.reported, words.secret):
        assert kind.found_under(folder, apart_from=["keys"]) == []
        assert kind.found_in(server.log.read_bytes()) == []
    everything = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    for code in codes:
        assert plainly(code) not in everything
        assert "".join(code.split()).encode() not in everything


def plainly(code: str) -> bytes:
    """A recovery code as it is read out."""
    return "-".join(code.split()).encode()


def on_the_wire(people: list[Person], words: Words, codes: list[str]) -> None:
    """Every body and frame of every worker, and every byte that left the browser unframed."""
    private, reported, secret, _ = words
    for person in people:
        traffic = person.traffic
        assert len(traffic.frames) > 3
        assert traffic.bodies("/api/v1/accounts")
        assert secret.found_in(b"\n".join(traffic.bodies("/api/v1/accounts"))), "the password is there"
        bodies = [(what, body) for what, body in traffic.requests if body] + [("frame", one) for one in traffic.frames]
        assert [what for what, body in bodies if private.found_in(body)] == []
        assert {what.rpartition("/")[2] for what, body in bodies if reported.found_in(body)} <= {"reports"}
        assert {what.rpartition("/")[2] for what, body in bodies if secret.found_in(body)} == {"accounts"}
        assert private.found_in(bytes(person.wire.sent)) == []
        assert secret.found_in(bytes(person.wire.sent)), "the wire was recorded"
        for code in codes:
            assert not any("".join(code.split()).encode() in body for _, body in bodies)
    ben = people[1]
    assert any(reported.found_in(body) for body in ben.traffic.bodies("/api/v1/reports")), "the report is there"


def in_the_profiles(folder: Path, words: Words) -> None:
    """IndexedDB, Cache Storage, session files, caches: all that a browser wrote."""
    control = words.public.found_under(folder)
    assert [hit for hit in control if "IndexedDB" in hit], "the control is there"
    assert [hit for hit in control if "CacheStorage" in hit], "the control is there"
    for kind in (words.private, words.reported, words.secret):
        assert kind.found_under(folder) == []
