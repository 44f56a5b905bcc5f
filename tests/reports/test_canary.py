"""What was reported is nowhere but sealed: not in the database's files, not in events, not in logs, not in reprs."""

from __future__ import annotations

import base64
import logging
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from kith.people import enforcement
from kith.reports import flows, keeping, review
from kith.reports.review import Ruling
from reports.test_appeals import Suspended
from reports.test_review import SUSPEND, Open
from reports.world import World

CANARY = "Mornellregenpfeifer-8842"
PUBLIC = "Zwergschnepfe-5521"


def disguises(words: str) -> Iterator[tuple[str, bytes]]:
    """The words in every form in which they might lie about."""
    raw = words.encode()
    yield "plain", raw
    yield "utf-16", words.encode("utf-16-le")
    yield "hex", raw.hex().encode()
    yield "reversed", raw[::-1]
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw)
        yield f"base64 at {offset}", encoded[4 if offset else 0 : len(encoded) // 4 * 4 - 4]


def findings(folder: Path, words: str) -> set[str]:
    """Where and how the words are found in any file of a folder."""
    return {
        f"{file.name}: {how}"
        for file in folder.iterdir()
        for how, form in disguises(words)
        if form in file.read_bytes()
    }


@pytest.fixture
def lived(world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> tuple[World, str]:
    """A case from report to appeal with the canary in every text that anybody wrote; the world and all output."""
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as structured:
        me, them = world.account("me"), world.account(PUBLIC)
        chat = world.hub.chat(me, them)
        world.hub.say(chat, them, *[f"{CANARY} number {number}" for number in range(5)])
        forged = replace(world.hub.say(chat, me, f"{CANARY} mine")[0], server_frank=bytes(32))
        unreadable = replace(forged, content=CANARY.encode())
        world.report(chat, me, them, [*chat.items, forged, unreadable], note=f"{CANARY} my note")
        ada, ben = world.staff("ada", "reviewer"), world.staff("ben", "reviewer")
        [case] = world.open_cases()
        world.do(review.claim, ada, case.case, world.desk.limits)
        assert len(world.do(review.open_evidence, ada, case.case, None, world.desk)) == 8
        choice = replace(SUSPEND, reason=f"{CANARY} as I see it myself")
        assert world.do(review.decide, ada, case.case, choice, world.desk).allowed
        [measure] = world.ask(enforcement.measures_of, them)
        world.do(flows.appeal, them, measure.id, f"{CANARY} was not me", world.desk)
        [again] = world.open_cases()
        world.do(review.claim, ben, again.case, world.desk.limits)
        assert world.do(
            review.decide_appeal, ben, again.case, Ruling("upheld", f"{CANARY} so it was"), world.desk
        ).allowed
    printed = capfd.readouterr()
    return world, "\n".join([printed.out, printed.err, caplog.text, str(structured)])


def test_reported_words_are_in_no_file_and_no_log(lived: tuple[World, str]) -> None:
    """Database, write-ahead log and shared memory, in eight disguises; and whatever was printed or logged."""
    world, output = lived
    assert findings(world.path.parent, CANARY) == set()
    assert CANARY not in output


def test_a_public_name_is_found_by_the_same_search(lived: tuple[World, str]) -> None:
    """Control: a handle that is stored in clear is found, or the search above would prove nothing."""
    world, _ = lived
    assert findings(world.path.parent, PUBLIC)


def test_a_leak_would_be_found_in_any_disguise(tmp_path: Path) -> None:
    """Control: the words written down in each form are found in that form."""
    for number, (how, form) in enumerate(disguises(CANARY)):
        (tmp_path / str(number)).write_bytes(b"before " + form + b" after")
        assert f"{number}: {how}" in findings(tmp_path, CANARY)


def test_no_value_holds_the_words_and_sealed_ones_look_like_chance(lived: tuple[World, str]) -> None:
    """Table by table and column by column; what is sealed cannot be compressed, so there is no plain text in it."""
    world, _ = lived
    for (name,) in world.raw("select name from sqlite_master where type = 'table'"):
        for row in world.raw(f"select * from {name}"):  # noqa: S608  names of our own tables
            assert not any(CANARY in str(value) or CANARY.encode() in _bytes(value) for value in row), name
    sealed = world.raw("select sealed from exhibits union all select sealed from sealed_notes")
    assert len(sealed) == 8 + 4
    assert all(len(zlib.compress(value, 9)) >= len(value) for (value,) in sealed)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def test_destroyed_evidence_leaves_no_key_behind(world: World) -> None:
    """After the time of keeping, neither the wrapped key nor a sealed exhibit is in any file."""
    scene = Suspended(world)
    keys = [wrapped for (wrapped,) in world.raw("select wrapped from case_keys")]
    kept = [sealed for (sealed,) in world.raw("select sealed from exhibits")]
    assert keys
    assert kept
    world.clock.now += world.desk.limits.evidence_kept_ms + 1
    assert world.do(keeping.forget, world.desk.limits, world.desk.blobs, lambda *_: False) == 1
    world.raw("pragma wal_checkpoint(truncate)")
    everything = b"".join(file.read_bytes() for file in world.path.parent.iterdir())
    assert not any(thing in everything for thing in [*keys, *kept])
    assert scene.exhibits() == []


def test_before_destruction_the_key_is_there(world: World) -> None:
    """Control for the test above."""
    Open(world)
    [(wrapped,)] = world.raw("select wrapped from case_keys")
    world.raw("pragma wal_checkpoint(truncate)")
    assert any(wrapped in file.read_bytes() for file in world.path.parent.iterdir())
