"""A prepared server folder: rooms of people with devices, made once and copied for every run of a proof."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kith.app import setting_up
from kith.app.wiring import projectors
from kith.ledger.database import Database, wall_clock
from kith.protocol.franking import build_aad
from kith.protocol.wire import vector
from messaging.mls import HOST, Group, Phone
from messaging.town import Clock, Town

TAGGED = build_aad(b"f" * 32)
_MARK = b"durable!"


class Said(NamedTuple):
    """What a message of these proofs says: which device wrote it, and its number there, from 0."""

    device: str
    number: int


@dataclass(frozen=True)
class Member:
    """A device, its session, and the room in which it writes."""

    account: str
    device: str
    token: str
    room: str
    epoch: int
    group_id: bytes

    def message(self, number: int, chance: random.Random, epoch: int | None = None, most: int = 600) -> bytes:
        """A valid message of that number, with padding of a random length."""
        said = _MARK + self.device.encode() + number.to_bytes(8, "big") + chance.randbytes(chance.randrange(most))
        at = (self.epoch if epoch is None else epoch).to_bytes(8, "big")
        head = b"\0\1\0\2" + vector(self.group_id) + at + b"\1" + vector(TAGGED)
        return head + vector(b"s" * 28) + vector(said)


def said_in(body: bytes) -> Said:
    """Read a message back; raises ValueError for one that nobody here wrote."""
    start = body.index(_MARK) + len(_MARK)
    return Said(body[start : start + 36].decode(), int.from_bytes(body[start + 36 : start + 44], "big"))


@dataclass(frozen=True)
class Village:
    """Who lives on a prepared server, room by room."""

    rooms: dict[str, list[Member]]

    @property
    def members(self) -> list[Member]:
        """Everybody."""
        return [member for room in self.rooms.values() for member in room]

    def others(self, member: Member) -> list[Member]:
        """The devices to which this one's messages go."""
        return [other for other in self.rooms[member.room] if other.device != member.device]


def furnish(town: Town, rooms: int, devices: int = 2) -> Village:
    """Pairs of connected people, each pair in a group of so many devices (at least two)."""
    return Village(dict(_furnish_room(town, number, devices) for number in range(rooms)))


def _furnish_room(town: Town, number: int, devices: int) -> tuple[str, list[Member]]:
    ana, ben = town.person(f"ana{number}"), town.person(f"ben{number}")
    phones = [town.phone(ben if place % 2 else ana) for place in range(devices)]
    room = town.connect(ana, ben)
    for phone in phones:
        town.stock(phone, 1)
    group = town.group(room, *phones)
    for phone in phones:  # the Welcomes are not what is proven here
        town.ack(phone, *(mail.mail for mail in town.mail(phone)))
    return room, [_member(town, group, phone) for phone in phones]


def _member(town: Town, group: Group, phone: Phone) -> Member:
    token = town.tokens[phone.device]
    return Member(phone.account, phone.device, token, group.room, group.epoch, group.group_id)


def build(data: Path, ports: tuple[int, int], rooms: int, devices: int = 2) -> Village:
    """A server's folder with a village in it, ready for `kith serve --data`."""
    port, staff_port = ports
    setting_up.create(
        data,
        name=HOST,
        origin=f"http://localhost:{port}",
        staff_origin=f"http://staff.localhost:{staff_port}",
        port=port,
        staff_port=staff_port,
    )
    database = Database(data / "kith.db", projectors())
    try:
        return furnish(Town(database, Clock(wall_clock())), rooms, devices)
    finally:
        database.close_now()


def new_seed() -> int:
    """A seed for a run that was given none; every proof prints the one it used."""
    return int.from_bytes(os.urandom(4), "big")
