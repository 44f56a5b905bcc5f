"""Whether a database and the diaries of its devices agree: what was acknowledged is there once, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import apsw

from durability.lean import Diary
from durability.village import Member, Said, Village, said_in

_MESSAGE = 1


@dataclass
class Verdict:
    """What a look at the disk found."""

    acked: int = 0
    lost: int = 0
    """Acknowledged, and not there."""
    doubled: int = 0
    """There at more than one position."""
    wrong: list[str] = field(default_factory=list)
    """Everything else that must not be."""

    def __iadd__(self, other: Verdict) -> Self:
        self.acked += other.acked
        self.lost += other.lost
        self.doubled += other.doubled
        self.wrong += other.wrong
        return self

    @property
    def good(self) -> bool:
        """Nothing lost, nothing doubled, nothing out of order."""
        return not (self.lost or self.doubled or self.wrong)


@dataclass(frozen=True)
class Stored:
    """The rows that matter, read from a closed server's database."""

    bodies: dict[tuple[str, int], Said]
    mailbox: set[tuple[str, str, int]]
    """(device, room, position)"""
    heads: dict[str, int]
    integrity: str


def read(database: Path) -> Stored:
    """Open as SQLite does after a crash: the log is recovered first."""
    connection = apsw.Connection(str(database))
    try:
        integrity = str(connection.execute("PRAGMA integrity_check").get)
        bodies = connection.execute("SELECT room, room_pos, body FROM bodies WHERE kind = ?", (_MESSAGE,))
        mailbox = "SELECT device, room, room_pos FROM mailbox WHERE kind = ?"
        return Stored(
            {(str(room), int(position)): said_in(bytes(body)) for room, position, body in bodies},
            {(str(d), str(r), int(p)) for d, r, p in connection.execute(mailbox, (_MESSAGE,))},
            {str(r): int(p) for r, p in connection.execute("SELECT room, room_pos FROM heads")},
            integrity,
        )
    finally:
        connection.close()


def judge(stored: Stored, village: Village, diaries: Mapping[str, Diary]) -> Verdict:
    """Compare: every acknowledged message is stored or was received, at one position, and the order is kept."""
    verdict = Verdict(wrong=[fault for diary in diaries.values() for fault in diary.faults])
    if stored.integrity != "ok":
        verdict.wrong.append(f"integrity: {stored.integrity}")
    for room, members in village.rooms.items():
        verdict += _judge_room(stored, room, members, diaries)
    return verdict


def _judge_room(stored: Stored, room: str, members: list[Member], diaries: Mapping[str, Diary]) -> Verdict:
    verdict = Verdict()
    places: dict[int, Said] = {position: said for (where, position), said in stored.bodies.items() if where == room}
    for member in members:
        for position, said in diaries[member.device].received.items():
            if places.setdefault(position, said) != said:
                verdict.wrong.append(f"{position} of {room} holds {places[position]}, {member.device} got {said}")
    verdict.doubled = sum(count > 1 for count in Counter(places.values()).values())
    for member in members:
        verdict += _judge_writer(stored, member, members, diaries, places)
    if places and max(places) > stored.heads[room]:
        verdict.wrong.append(f"the head of {room} is {stored.heads[room]}, behind {max(places)}")
    if sorted(places) != list(range(min(places, default=0), min(places, default=0) + len(places))):
        verdict.wrong.append(f"the positions of {room} have gaps: {sorted(places)}")
    return verdict


def _judge_writer(
    stored: Stored, member: Member, members: list[Member], diaries: Mapping[str, Diary], places: dict[int, Said]
) -> Verdict:
    diary, verdict = diaries[member.device], Verdict()
    for number, position in diary.accepted.items():
        verdict.acked += 1
        there = places.get(position) == Said(member.device, number)
        reached = all(
            (other.device, member.room, position) in stored.mailbox or position in diaries[other.device].received
            for other in members
            if other.device != member.device
        )
        verdict.lost += not (there and reached)
    numbers = [
        said.number
        for _, said in sorted(places.items())
        if said.device == member.device and said.number not in diary.put_off
    ]
    if numbers != sorted(numbers):
        verdict.wrong.append(f"the messages of {member.device} are out of order: {numbers}")
    return verdict
