"""What messages do to each other on a device: the same in every order of arrival, and nothing for those who may not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as with_
from itertools import count, permutations
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kith.protocol import changes
from kith.protocol import content as mimi
from kith.protocol.content import MimiContent
from kith.sdk import receive
from kith.sdk.effects import MAX_OF_ONE, MAX_REACTIONS, selected, standing
from kith.sdk.folding import HELD_MS, KEEP_MS, MAX_HELD, Folding, remember_end, sweep
from kith.sdk.records import FrankRecord, MessageRecord, message_key
from kith.sdk.vault import Vault
from protocol.franked import ALICE, BOB, ROOM
from sdk.meeting import CHEAP, PASSPHRASE

ROOM_ID = ROOM.rpartition("/")[2]
START = 1_700_000_000_000
HOUR = changes.HOUR_MS
FRANK = FrankRecord(context=b"c", server_frank=b"f" * 32, suite=1, proof=b"p")
_salts = count(1)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """A real store, emptied by each `Thread`."""
    opened = Vault.open(tmp_path_factory.mktemp("vault") / "v.kith", PASSPHRASE, CHEAP)
    yield opened
    opened.close()


def made(sender: str, build: Any, *about: Any, **how: Any) -> MimiContent:
    """Content with a salt of its own."""
    salt = next(_salts).to_bytes(16, "big")
    return cast("MimiContent", build(*about, salt=salt, sender_uri=sender, room_uri=ROOM, **how))


def row(content: MimiContent, seq: int, at_ms: int | None = None) -> MessageRecord:
    """The row of a message that was accepted with this number."""
    encoded = mimi.encode(content)
    identity = mimi.message_id(content.sender_uri, ROOM, encoded, content.salt)
    kind, words = receive.shown(content)
    return MessageRecord(
        kind="effect" if receive.unseen(content) else kind,
        id=identity.hex(),
        pos=seq,
        seq=seq,
        at_ms=START + seq if at_ms is None else at_ms,
        mine=False,
        sender=content.sender_uri,
        text=words,
        reply_to=content.in_reply_to.hex() if content.in_reply_to else None,
        content=encoded,
        frank=FRANK,
    )


@dataclass
class Thread:
    """A room's rows in a store."""

    vault: Vault
    now: int = START
    foreign: list[str] = field(default_factory=list)
    seqs: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        with self.vault.transaction():
            self.vault.clear()

    def take(self, one: MessageRecord) -> MessageRecord:
        """The row arrives."""
        key = message_key(ROOM_ID, one.seq or 0, one.pos)
        with self.vault.transaction():
            self.vault.put("messages", key, one)
            remember_end(self.vault, key, one)
            self.vault.put("ids", f"{ROOM_ID}/{one.id}", key)
            folding = Folding(self.vault, ROOM_ID, self.now)
            folding.added(key, one)
        self.foreign += folding.foreign
        return one

    def say(self, sender: str, build: Any, *about: Any, at_ms: int | None = None) -> MessageRecord:
        """Something arrives with the next number."""
        return self.take(row(made(sender, build, *about), next(self.seqs), at_ms))

    def at(self, one: MessageRecord) -> MessageRecord:
        """The row as it is now."""
        found = Folding(self.vault, ROOM_ID, self.now).find(one.id)
        assert found is not None
        return found[1]

    def rows(self) -> list[MessageRecord]:
        """All of them."""
        return [one for _, one in self.vault.scan("messages", f"{ROOM_ID}/", MessageRecord)]


def idb(one: MessageRecord) -> bytes:
    """Its id."""
    return bytes.fromhex(one.id)


# --- who may do what ------------------------------------------------------------------------------------------------


def test_an_edit_by_another_account_is_dropped_with_a_note(vault: Vault) -> None:
    """So is a deletion, and taking back somebody else's reaction; the control is their own."""
    thread = Thread(vault)
    said = thread.say(ALICE, mimi.text, "mine")
    liked = thread.say(BOB, mimi.reaction, idb(said), "👍")
    thread.say(BOB, mimi.edit, idb(said), "yours")
    thread.say(BOB, mimi.delete, idb(said))
    thread.say(ALICE, mimi.delete, idb(liked))
    assert thread.foreign == [BOB, BOB, ALICE]
    assert (thread.at(said).text, standing(thread.at(said))) == ("mine", {"👍": (BOB,)})
    thread.say(BOB, mimi.delete, idb(liked))
    thread.say(ALICE, mimi.edit, idb(said), "still mine")
    assert (thread.at(said).text, standing(thread.at(said)), len(thread.foreign)) == ("still mine", {}, 3)


def test_a_deletion_names_the_first_version_and_takes_every_version_with_it(vault: Vault) -> None:
    """Nothing of any version is to be seen; each stays as it was sent, for a report."""
    thread = Thread(vault)
    said = thread.say(ALICE, mimi.text, "one")
    edit = thread.say(ALICE, mimi.edit, idb(said), "two")
    thread.say(ALICE, mimi.delete, idb(said))
    late = thread.say(ALICE, mimi.edit, idb(said), "three")
    for one in (said, edit, late):
        assert (thread.at(one).text, thread.at(one).content, thread.at(one).frank) == ("", one.content, FRANK)
    assert [thread.at(one).kind for one in (said, edit, late)] == ["deleted", "effect", "effect"]
    thread.say(BOB, mimi.reaction, idb(said), "👍")
    assert not thread.at(said).reactions


def test_a_deletion_that_names_an_edit_takes_the_message(vault: Vault) -> None:
    """Another client may name the version it sees."""
    thread = Thread(vault)
    said = thread.say(ALICE, mimi.text, "one")
    edit = thread.say(ALICE, mimi.edit, idb(said), "two")
    thread.say(ALICE, mimi.delete, idb(edit))
    assert thread.at(said).kind == "deleted"


def test_what_the_program_says_itself_is_nobodys_to_change(vault: Vault) -> None:
    """A line of the program, a tombstone, a deletion: nothing happens, and nothing is said."""
    thread = Thread(vault)
    line = replace(row(made(ALICE, mimi.text, "x"), 99), kind="info", sender="", text="Ann joined the group.")
    thread.take(line)
    said = thread.say(ALICE, mimi.text, "one")
    gone = thread.say(ALICE, mimi.delete, idb(said))
    for target in (line, gone):
        thread.say(ALICE, mimi.edit, idb(target), "words in its mouth")
        thread.say(ALICE, mimi.delete, idb(target))
        thread.say(ALICE, mimi.reaction, idb(target), "👍")
    assert (thread.at(line).text, thread.at(line).reactions, thread.foreign) == ("Ann joined the group.", (), [])


@pytest.mark.parametrize(
    ("after", "done"), [(24 * HOUR, True), (25 * HOUR, True), (25 * HOUR + 1, False), (9999 * HOUR, False)]
)
def test_changes_count_for_a_day_and_an_hour_by_accepted_times(vault: Vault, after: int, done: bool) -> None:
    """The server's times decide, on every device alike."""
    thread = Thread(vault)
    said, other = (thread.say(ALICE, mimi.text, "one", at_ms=START) for _ in range(2))
    thread.say(ALICE, mimi.edit, idb(said), "two", at_ms=START + after)
    thread.say(ALICE, mimi.delete, idb(other), at_ms=START + after)
    assert (thread.at(said).text == "two") is done
    assert (thread.at(other).kind == "deleted") is done


def test_ten_edits_count_and_no_more(vault: Vault) -> None:
    """The eleventh is kept as evidence and changes nothing."""
    thread = Thread(vault)
    said = thread.say(ALICE, mimi.text, "0")
    for number in range(1, 13):
        thread.say(ALICE, mimi.edit, idb(said), str(number))
    assert (thread.at(said).text, len(thread.at(said).edits)) == ("10", 10)
    late = Thread(vault)
    said = late.take(row(made(ALICE, mimi.text, "0"), 1))
    edits = [row(made(ALICE, mimi.edit, idb(said), str(number)), 1 + number) for number in range(1, 13)]
    for edit in reversed(edits):
        late.take(edit)
    assert (late.at(said).text, len(late.at(said).edits)) == ("10", 10)
    assert [late.at(edit).keep_ms is not None for edit in edits] == [False] * 10 + [True] * 2


def test_reactions_of_one_person_and_of_all_are_bounded(vault: Vault) -> None:
    """Nobody makes a row heavy to read, also by taking back and giving again."""
    thread = Thread(vault)
    said = thread.say(ALICE, mimi.text, "hi")
    for _ in range(MAX_OF_ONE + 3):
        liked = thread.say(BOB, mimi.reaction, idb(said), "👍")
        thread.say(BOB, mimi.delete, idb(liked))
    assert len(thread.at(said).reactions) == MAX_OF_ONE
    for number in range(MAX_REACTIONS):
        thread.say(f"{BOB[:-3]}{number:03}", mimi.reaction, idb(said), "🎉")
    assert len(thread.at(said).reactions) == MAX_REACTIONS


def test_what_belongs_elsewhere_is_not_seen() -> None:
    """Receipts and typing in the durable class, and a timer, are no messages."""
    for build, *about in ((mimi.text, "words"), (changes.timer, 300)):
        content = made(ALICE, build, *about)
        assert receive.unseen(content) is (build is changes.timer)
    for kind in ("application/mimi-message-status", "application/x.kith.typing"):
        part = mimi.SinglePart(content_type=kind, content=b"", disposition=mimi.SESSION)
        assert receive.unseen(with_(made(ALICE, mimi.text, ""), part=part))


# --- orders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 50])
def test_answers_that_lead_back_into_their_own_chain_are_no_answers(vault: Vault, length: int) -> None:
    """Of any length one walks; the control is a chain that ends."""
    thread = Thread(vault)
    ids = [bytes([1, n]) + b"i" * 30 for n in range(length)]
    for at, own in enumerate(ids):
        stored = replace(row(made(ALICE, mimi.text, "x"), at + 1), id=own.hex(), reply_to=ids[(at + 1) % length].hex())
        thread.take(stored)
    folding = Folding(vault, ROOM_ID, START)
    first = folding.find(ids[0].hex())
    assert first is not None
    assert folding.loops(first[1])
    thread.take(replace(first[1], id=ids[-1].hex(), reply_to=None, seq=length, pos=length))
    assert not folding.loops(replace(first[1], id="02" * 32))


def test_an_effect_waits_for_its_target_a_bounded_time_and_in_bounded_number(vault: Vault) -> None:
    """Then it is as if it had never been said."""
    thread = Thread(vault)
    said = row(made(ALICE, mimi.text, "one"), 1)
    edit = row(made(ALICE, mimi.edit, idb(said), "two"), 2)
    thread.take(edit)
    thread.now += HELD_MS
    thread.take(said)
    assert thread.at(said).text == "two"
    thread = Thread(vault)
    thread.take(edit)
    thread.now += HELD_MS + 1
    thread.take(said)
    assert thread.at(said).text == "one"
    thread = Thread(vault)
    for number in range(MAX_HELD + 9):
        thread.take(row(made(BOB, mimi.edit, b"\x01" * 32, "flood"), 10 + number))
    assert len(vault.keys("meta", "held/")) == len(vault.keys("meta", "holds/")) == MAX_HELD
    for number in range(MAX_HELD - 1):
        thread.take(row(made(ALICE, mimi.edit, b"\x01" * 32, "flood"), 100 + number))
    thread.take(edit)  # one's own flood takes one's own places, and nobody else's
    thread.take(said)
    assert thread.at(said).text == "two"
    assert len(vault.keys("meta", "held/")) == len(vault.keys("meta", "holds/")) == 2 * MAX_HELD - 1
    thread.now += HELD_MS + 1
    again = row(made(ALICE, mimi.text, "later"), 300)
    thread.take(row(made(ALICE, mimi.edit, idb(again), "later still"), 201))  # those over time made room
    thread.take(again)
    assert thread.at(again).text == "later still"


Step = tuple[str, int, int]


@st.composite
def talks(draw: st.DrawFn) -> list[Step]:
    """What two people do: (verb, who, which of the earlier messages)."""
    verbs = st.sampled_from(("say", "reply", "edit", "delete", "react", "swap", "several"))
    return draw(st.lists(st.tuples(verbs, st.integers(0, 1), st.integers(0, 30)), min_size=2, max_size=14))


def spoken(talk: list[Step]) -> list[MessageRecord]:
    """The rows of a talk, numbered."""
    rows: list[MessageRecord] = []
    for verb, who, which in talk:
        sender = (ALICE, BOB)[who]
        about = rows[which % len(rows)] if rows else None
        content = made(sender, mimi.text, f"words {len(rows)}")
        if about is not None and verb != "say":
            content = _done(verb, sender, idb(about))
        rows.append(row(content, len(rows) + 1, START + len(rows) * 3 * HOUR))
    return rows


def _done(verb: str, sender: str, target: bytes) -> MimiContent:
    symbol = ("👍", "❤️", "🎉")[target[5] % 3]
    match verb:
        case "reply":
            return made(sender, mimi.reply, target, "an answer")
        case "edit":
            return made(sender, mimi.edit, target, f"better {target.hex()[:6]}")
        case "delete":
            return made(sender, mimi.delete, target)
        case "swap":
            return with_(made(sender, mimi.reaction, target, symbol), replaces=target, in_reply_to=None)
        case "several":
            one, other = (made(sender, mimi.reaction, target, each).part for each in (symbol, "🙏"))
            part = mimi.MultiPart(semantics=mimi.PROCESS_ALL, parts=(one, other))
            return with_(made(sender, mimi.reaction, target, symbol), part=part)
        case _:
            return made(sender, mimi.reaction, target, symbol)


def looks(rows: list[MessageRecord]) -> list[tuple[Any, ...]]:
    """What a reader sees of each row."""
    return [
        (one.id, one.kind, one.text, one.edited, [mark.id for mark in one.edits], standing(one), one.content)
        for one in rows
    ]


@pytest.mark.parametrize(
    "talk",
    [
        [("say", 0, 0), ("edit", 0, 0), ("delete", 0, 0)],
        [("say", 0, 0), ("react", 0, 0), ("edit", 0, 1), ("delete", 0, 0)],
        [("say", 0, 0), ("react", 1, 0), ("swap", 1, 1), ("delete", 1, 1)],
        [("say", 0, 0), ("edit", 0, 0), ("edit", 0, 1), ("react", 1, 2)],
    ],
    ids=[
        "an edit and a deletion",
        "an edit of a reaction",
        "a changed reaction taken back",
        "what names an edit of an edit",
    ],
)
def test_every_order_of_a_few_ends_in_the_same_thread(vault: Vault, talk: list[Step]) -> None:
    """Whole, where a random order might not come by."""
    rows = spoken(talk)
    ends = []
    for order in permutations(rows):
        thread = Thread(vault)
        for one in order:
            thread.take(one)
        ends.append(looks(thread.rows()))
    assert all(end == ends[0] for end in ends)


@settings(max_examples=60, deadline=None)
@given(talks(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_ends_in_the_same_thread(vault: Vault, talk: list[Step], chance: random.Random) -> None:
    """Edits, deletions and reactions, their targets before or after them."""
    rows = spoken(talk)
    straight = Thread(vault)
    for one in rows:
        straight.take(one)
    expected = looks(straight.rows())
    mixed = list(rows)
    chance.shuffle(mixed)
    shuffled = Thread(vault)
    for one in mixed:
        shuffled.take(one)
    assert looks(shuffled.rows()) == expected


# --- put away, and reported -----------------------------------------------------------------------------------------


def test_what_was_deleted_stays_reportable_for_seven_days_and_then_is_forgotten(vault: Vault) -> None:
    """The bytes and the proof, of the message and its edit; then neither, and the places stay."""
    thread = Thread(vault)
    said = thread.say(ALICE, mimi.text, "nasty")
    edit = thread.say(ALICE, mimi.edit, idb(said), "nastier")
    thread.say(ALICE, mimi.delete, idb(said))
    assert sweep(vault, START + KEEP_MS - 1) == set()
    assert thread.at(edit).content == edit.content
    assert thread.at(said).content == said.content
    assert sweep(vault, START + KEEP_MS) == {ROOM_ID}
    for one in (said, edit):
        kept = thread.at(one)
        assert (kept.content, kept.frank, kept.text, kept.seq) == (None, None, "", one.seq)
    assert not vault.keys("meta", "due/")


def test_what_disappears_is_gone_by_the_clock_and_reportable_a_week_longer(vault: Vault) -> None:
    """Unread it does not begin; deleted meanwhile it stays deleted."""
    thread = Thread(vault)
    fading = replace(row(made(BOB, mimi.text, "psst"), 1), fades_s=300)
    thread.take(fading)
    assert sweep(vault, START + 10**9) == set()
    key = message_key(ROOM_ID, 1, 1)
    with vault.transaction():
        Folding(vault, ROOM_ID, START).read(key, fading)
    assert sweep(vault, START + 299_999) == set()
    assert sweep(vault, START + 300_000) == {ROOM_ID}
    gone = thread.at(fading)
    assert (gone.kind, gone.text, gone.content) == ("gone", "", fading.content)
    with vault.transaction():
        Folding(vault, ROOM_ID, START + 300_000).read(key, gone)
    sweep(vault, START + 300_000 + KEEP_MS)
    assert thread.at(fading).content is None


def test_a_report_takes_originals_and_edits_along(vault: Vault) -> None:
    """Thirty at most, ending at the reported one; its edits are newer, an original may be far above."""
    thread = Thread(vault)
    first = thread.say(ALICE, mimi.text, "kind words")
    between = [thread.say(BOB, mimi.text, str(number)) for number in range(40)]
    thread.say(ALICE, mimi.edit, idb(first), "a threat")
    last = thread.say(BOB, mimi.text, "help")
    rows = thread.rows()
    shown = selected(rows, last.id, 30)
    assert len(shown) == 30
    assert (shown[0].id, shown[-1].id) == (first.id, last.id)
    about_first = [one.text for one in selected(rows, first.id, 30)]
    assert about_first == ["a threat", "a threat"]  # the row as it reads now, and the edit's own
    assert [one.id for one in selected(rows, between[-1].id, 30)] == [one.id for one in between[-30:]]
    assert selected(rows, None, 3)[0].id == first.id
    assert selected(rows, "ff" * 32, 30) == []
    assert selected(rows, first.id, 30)[0].content == first.content
