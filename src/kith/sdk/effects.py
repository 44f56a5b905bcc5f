"""What a message does to an earlier row of its room, and what a report shows. Pure.

The rows of a room end the same in whatever order its messages arrive: what counts is their numbers (room_seq) and
accepted times, never the moment in which this device learned of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from kith.protocol.changes import MAX_EDITS, Change, Edit, React, Withdraw, delete_counts, edit_counts
from kith.sdk.records import Doing, EditMark, MessageRecord, ReactionMark

MAX_REACTIONS: Final = 300
"""Kept with one message, taken-back ones counted; and of one person: nobody makes a row heavy to read."""
MAX_OF_ONE: Final = 12
SHOWN: Final = ("text", "unsupported")
"""Kinds of rows that can be changed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The row as it is now, and what became of it."""

    what: Literal["edit", "delete", "react"]
    base: MessageRecord


Outcome: TypeAlias = Changed | Literal["foreign", "buried", "nothing"]
"""foreign: of somebody else, dropped with a note. buried: shown nowhere, because it says something about what is
deleted, or was said once too often."""


def base_of(via: MessageRecord) -> str | None:
    """The message that a row is, or changes; None when that is not known or there is none."""
    if via.kind != "effect":
        return via.id
    return via.doing.base if via.doing is not None and via.doing.what in ("edit", "react") else None


def doing_of(change: Change, row: MessageRecord, via: MessageRecord, base: MessageRecord) -> Doing:
    """What an effect does, once its target is known: `via` is the row it names, `base` the message behind that."""
    match change:
        case Edit():
            return Doing(what="edit", base=base.id)
        case Withdraw():
            return Doing(what="withdraw", base=base.id)
        case React():
            return Doing(what="react", base=base.id, first=_first(via) or row.id)
        case _:
            assert_never(change)


def _first(via: MessageRecord) -> str | None:
    return via.doing.first if via.doing is not None else None


def fold(row: MessageRecord, change: Change, via: MessageRecord, base: MessageRecord) -> Outcome:
    """What `row` makes of `base`. Both stand in one room and were accepted, so they have numbers."""
    fresh = isinstance(change, React) and not change.instead
    if not fresh and via.sender != row.sender:
        return "foreign" if via.sender and base.kind != "gone" else "nothing"
    reaction = _first(via) is not None
    if base.kind in ("deleted", "gone"):
        counts = isinstance(change, Edit) and not reaction and edit_counts(base.at_ms, row.at_ms, 0)
        return "buried" if counts else "nothing"
    if base.kind not in SHOWN:
        return "nothing"
    match change:
        case React(symbols=symbols, instead=instead):
            return _reacted(base, row, symbols, via) if reaction is instead else "nothing"
        case Withdraw():
            return _reacted(base, row, (), via) if reaction else _deleted(base, row)
        case Edit():
            return "nothing" if reaction else _edited(base, row)
        case _:
            assert_never(change)


def _deleted(base: MessageRecord, row: MessageRecord) -> Outcome:
    if not delete_counts(base.at_ms, row.at_ms):
        return "nothing"
    return Changed("delete", hidden(base, "deleted"))


def hidden(row: MessageRecord, kind: Literal["deleted", "gone"], keep_ms: int | None = None) -> MessageRecord:
    """The row without anything to see; its proof and bytes stay for a while, so that it can be reported."""
    bare = replace(row, kind=kind, text="", edited=False, edits=(), reactions=(), vanish_ms=None, fades_s=None)
    return replace(bare, reply_to=None, forwarded=0, keep_ms=keep_ms)


def _edited(base: MessageRecord, row: MessageRecord) -> Outcome:
    if not edit_counts(base.at_ms, row.at_ms, 0) or any(one.id == row.id for one in base.edits):
        return "nothing"
    marks = sorted([*base.edits, EditMark(id=row.id, seq=row.seq or 0)], key=lambda one: one.seq)
    if any(one.id == row.id for one in marks[MAX_EDITS:]):
        return "buried"
    return Changed("edit", replace(base, edited=True, edits=tuple(marks[:MAX_EDITS])))


def _reacted(base: MessageRecord, row: MessageRecord, symbols: tuple[str, ...], via: MessageRecord) -> Outcome:
    first = _first(via) or row.id
    before = next((one for one in base.reactions if one.first == first), None)
    seq = row.seq or 0
    if before is not None:
        if before.seq >= seq:  # a newer word about this reaction was here first
            return Changed("react", base)
        now = replace(before, symbols=symbols, seq=seq)
        return Changed("react", replace(base, reactions=tuple(now if one is before else one for one in base.reactions)))
    if _first(via) is not None:  # about a reaction that there was no room for
        return "nothing"
    mark = ReactionMark(first=first, since=seq, sender=row.sender, symbols=symbols, seq=seq)
    kept = _room_for((*base.reactions, mark), row.sender)
    return Changed("react", replace(base, reactions=kept)) if mark in kept else "nothing"


def _room_for(marks: tuple[ReactionMark, ...], sender: str) -> tuple[ReactionMark, ...]:
    """The earliest ones, of one person and in all: so the same ones stay on every device."""
    ordered = sorted(marks, key=lambda one: one.since)
    own = [one for one in ordered if one.sender == sender]
    over = {one.first for one in own[MAX_OF_ONE:]}
    return tuple(one for one in ordered if one.first not in over)[:MAX_REACTIONS]


def standing(row: MessageRecord) -> dict[str, tuple[str, ...]]:
    """Who reacts with each symbol (accounts, each once), in the order in which the symbols came."""
    found: dict[str, list[str]] = {}
    for mark in row.reactions:
        for symbol in mark.symbols:
            people = found.setdefault(symbol, [])
            if mark.sender not in people:
                people.append(mark.sender)
    return {symbol: tuple(people) for symbol, people in found.items()}


def own_reactions(row: MessageRecord, account: str) -> list[ReactionMark]:
    """Somebody's reactions that stand."""
    return [one for one in row.reactions if one.sender == account and one.symbols]


def selected(rows: Sequence[MessageRecord], upto: str | None, most: int) -> list[MessageRecord]:
    """What a report shows by itself, of proven rows in order: the newest `most` up to the reported message.

    With the edits of that message, which are newer than it, and the originals of edits that are older than the rest.
    """
    end = len(rows) if upto is None else next((at + 1 for at, row in enumerate(rows) if row.id == upto), 0)
    if end == 0:
        return []
    later = [row for row in rows[end:] if _edits(row) == upto] if upto is not None else []
    before = list(rows[:end])
    room = max(1, most - len(later))
    near = before[-room:]
    wanted = {_edits(row) for row in (*near, *later)} - {None}
    older = [row for row in before[:-room] if row.id in wanted]
    kept = [*older, *near[min(len(older), len(near) - 1) :], *later]
    return kept[-most:]


def _edits(row: MessageRecord) -> str | None:
    return row.doing.base if row.doing is not None and row.doing.what == "edit" else None
