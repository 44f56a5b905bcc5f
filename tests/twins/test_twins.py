"""Both clients receive the same conversations, of people who say whatever they like, and show the same."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kith.app import web as built
from kith.protocol import attachments, changes, content, franking
from kith.protocol.uris import account_uri, device_uri
from kith.reports import evidence
from kith.sdk import effects, folding, receive
from twins.fuzz import differ, difference
from twins.sides import Sdk, Web, sdk, web
from twins.talk import HOST, ME, MY_TABLET, ROOM_URI, Scenario, Talk, conversation, text

DOSE = 15
"""Conversations in each run of the suite; `fuzz.py` does as many as one likes."""
FOUND = (306, 1141, 2195)
"""Seeds that found something once: a change that waited too long, a line too few, a byte order mark before words."""
PLANTED_WITHIN = 60
"""Conversations within which a planted fault must show."""
MOST_WORK = 600
"""Records that one message may open: the 300 reactions of a row are one record, 64 effects may wait for it."""


@pytest.fixture(scope="module")
def node() -> Iterator[Web]:
    """The web engine."""
    built.engine()
    with web() as running:
        yield running


Play = Callable[[Callable[[Sdk], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Runs something with the SDK's side."""

    def run(what: Callable[[Sdk], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with sdk(tmp_path, monkeypatch) as python:
                await what(python)

        asyncio.run(whole())

    return run


def test_both_clients_show_the_same_of_whatever_is_said(play: Play, node: Web) -> None:
    """Nothing throws, and nothing of a conversation looks different; seeds are those of `fuzz.py`."""

    async def all_of_them(python: Sdk) -> None:
        for seed in (*FOUND, *range(1, DOSE + 1)):
            assert await differ(python, node, conversation(seed)) is None, f"fuzz.py --seed {seed} --count 1"

    play(all_of_them)


# --- controls -------------------------------------------------------------------------------------------------------

_fold, _shown = effects.fold, receive.shown


def _trusting(row: Any, change: Any, via: Any, base: Any) -> Any:
    return _fold(row, change, replace(via, sender=row.sender), base)


PLANTED: dict[str, tuple[Any, str, Any]] = {
    "anybody changes anything": (folding, "fold", _trusting),
    "an edit counts for ever": (effects, "edit_counts", lambda *_: True),
    "a deletion counts for ever": (effects, "delete_counts", lambda *_: True),
    "another time counts as a timer": (changes, "TIMES", (*changes.TIMES, 301)),
    "other space around a media type": (attachments, "bare_type", lambda one: one.split(";")[0].strip().lower()),
    "words lose their edges": (receive, "shown", lambda one: (_shown(one)[0], _shown(one)[1].strip())),
    "anything is one emoji": (changes, "is_one_emoji", bool),
    "a content may be longer": (content, "MAX_PART_DEPTH", 5),
    "one file more is shown": (attachments, "MAX_FILES", 11),
    "a blob's address may end in a new line": (attachments, "_URL", re.compile(attachments._URL.pattern + "\n?")),
}


def test_planted_faults_are_found(play: Play, node: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: one client that differs a little is noticed."""

    async def noticed(python: Sdk) -> bool:
        for seed in range(1, PLANTED_WITHIN + 1):
            if await differ(python, node, conversation(seed)) is not None:
                return True
        return False

    async def one_after_another(python: Sdk) -> None:
        for fault, (module, name, instead) in PLANTED.items():
            with monkeypatch.context() as planted:
                planted.setattr(module, name, instead)
                assert await noticed(python), f"nobody noticed: {fault}"

    play(one_after_another)


# --- floods ---------------------------------------------------------------------------------------------------------


def _reactions(talk: Talk, to: bytes, many: int) -> None:
    for _ in range(many):
        talk.says(1 + talk.rng.randrange(2), [2, "", 1, "text/plain", "👍".encode()], reply=to)


def _edits(talk: Talk, to: bytes, many: int) -> None:
    for number in range(many):
        talk.says(1, text(f"{number}" + "x" * 4000), replaces=to)


def _held(talk: Talk, _to: bytes, many: int) -> None:
    for number in range(many):
        talk.says(1 + number % 2, text("later"), replaces=b"\x01" + number.to_bytes(31, "big"))


def _chain(talk: Talk, to: bytes, many: int) -> None:
    for _ in range(many):
        to = talk.says(1, text("again"), replaces=to)


def _answers(talk: Talk, to: bytes, many: int) -> None:
    for _ in range(many):
        to = talk.says(1, text("again"), reply=to)


def _foreign(talk: Talk, _to: bytes, many: int) -> None:
    mine = talk.says(0, text("mine"))
    for _ in range(many):
        talk.says(2, [1, "", 0], replaces=mine)


def _awaited(talk: Talk, _to: bytes, many: int) -> None:
    late = talk.made(1, text("late"))
    message = talk.knows(1, late, "late")
    for _ in range(many):
        talk.says(1, [2, "", 1, "text/plain", "👍".encode()], reply=message)
    talk.deliver(1, late)


FLOODS: dict[str, Callable[[Talk, bytes, int], None]] = {
    "reactions to one message": _reactions,
    "edits of one message": _edits,
    "changes of what never comes": _held,
    "edits of edits of edits": _chain,
    "answers to answers": _answers,
    "deletions of what is not theirs": _foreign,
    "reactions before their message": _awaited,
}


def _flood(kind: str, many: int) -> Scenario:
    talk = Talk(7)
    FLOODS[kind](talk, talk.says(1, text("first")), many)
    return talk.scenario(kind)


def _grows(work: list[int]) -> bool:
    """Whether a late message costs more than an early one."""
    return max(work[-40:-1]) > 2 * max(work[60:100]) + 20


def test_a_flood_costs_each_message_the_same(play: Play, node: Web) -> None:
    """However much came before, one more message opens a bounded number of records; and both clients still agree."""

    async def every_kind(python: Sdk) -> None:
        for kind in FLOODS:
            scenario = _flood(kind, 140)
            ours, theirs = await python.run(scenario), node.run(scenario)
            assert difference(ours["looks"], theirs["looks"]) is None, kind
            for work in (ours["work"], theirs["work"]):
                assert not _grows(work), f"{kind}: {work}"
                assert max(work) < MOST_WORK, f"{kind}: {work}"

    play(every_kind)


def test_the_measure_of_work_sees_a_scan_of_everything(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a client that looks through the whole thread for each message does not pass."""
    real = folding.Folding.added

    def scanning(self: folding.Folding, key: str, row: Any) -> None:
        self._vault.scan("messages", "", type(row))
        real(self, key, row)

    async def scanned(python: Sdk) -> None:
        monkeypatch.setattr(folding.Folding, "added", scanning)
        assert max((await python.run(_flood("answers to answers", 300)))["work"]) > 300

    play(scanned)


def test_whatever_was_said_can_be_read_as_evidence() -> None:
    """A reviewer's page of any bytes is words or says that they are unreadable; it never fails."""
    context = franking.Context(account_uri(HOST, ME), ROOM_URI, 1, device_uri(HOST, MY_TABLET), 1, 1, 1)
    proof = franking.Proof.decode(bytes.fromhex(_flood("answers to answers", 1)["steps"][0]["hub"][5]))
    for seed in range(1, 30):
        for step in conversation(seed)["steps"]:
            if "plaintext" in step:
                item = franking.ReportItem(bytes.fromhex(step["plaintext"]), context, bytes(32), 1, proof)
                assert evidence.read_exhibit(item.encode()).kind
