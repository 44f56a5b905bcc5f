"""The people of the benchmark: accounts, signed-in devices and rooms in a server's folder, made once and kept.

Rooms stand as their events leave them, at epoch 1; no group stands behind them, for the server never decrypts. Each
sender gets a complete SUBMIT frame whose idempotency key, franking tag and first payload bytes the generator renews.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.app import setting_up
from kith.app.wiring import Kith
from kith.ledger import log
from kith.ledger.database import Tx
from kith.ledger.events import (
    AccountCreated,
    DeviceRegistered,
    DeviceSignedIn,
    EpochAdvanced,
    MembershipStarted,
)
from kith.messaging import store as messaging
from kith.messaging.flows import groups, requests, roster
from kith.people import devices, sessions
from kith.people import store as people
from kith.people.connections import grant
from kith.protocol import frames
from kith.protocol.franking import build_aad
from kith.protocol.signing import public_bytes
from kith.protocol.wire import vector

NAME = "kith.localhost"
PORT, STAFF_PORT = 18470, 18471
"""Written into the folder; a run replaces them with free ones."""
EPOCH = 1
PAYLOAD = 1024
"""Bytes of ciphertext in a message."""
TOKEN_BYTES = 64
EVERYTHING = 1_000_000_000
_KEY, _TAG, _MARK = b"K" * 16, b"T" * 32, b"PAYLOAD STARTS.."


class Device(NamedTuple):
    """A signed-in device: whose, its id, its session token."""

    account: str
    device: str
    token: str


class Seat(NamedTuple):
    """A client of the generator: who connects, in which room (by number and id), and whether it sends."""

    device: Device
    number: int
    room: str
    sends: bool


class Shape(NamedTuple):
    """Rooms of one size: how many, of how many accounts with how many devices each; one sender, or all send."""

    name: str
    rooms: int
    accounts: int
    devices: int
    all_send: bool


PAIRS = Shape("pairs", 100, 2, 1, all_send=True)
SHAPES = (PAIRS, Shape("rooms10", 20, 5, 2, all_send=False), Shape("rooms100", 4, 50, 2, all_send=False))
CROWD, DEVICES_EACH = "crowd", 10


def prepared(cache: Path, crowd: int) -> Path:
    """A folder with `server/` and one traffic file for each shape; made when the code that shapes it has changed."""
    folder = cache / f"town-{crowd}-{_fingerprint()}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        for older in cache.glob(f"town-{crowd}-*"):
            shutil.rmtree(older)
        fresh = cache / f"new-{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        _build(fresh, crowd)
        fresh.rename(folder)
    return folder


def _fingerprint() -> str:
    """Of everything that shapes tables and rows."""
    source = Path(setting_up.__file__).parents[1]
    names = ("store.py", "projections.py", "schema.py", "events.py", "sessions.py", "keys.py", "settings.py")
    files = [file for file in sorted(source.rglob("*.py")) if file.name in names]
    return hashlib.sha256(b"".join(file.read_bytes() for file in [*files, Path(__file__)])).hexdigest()[:12]


def _build(folder: Path, crowd: int) -> None:
    data = folder / "server"
    origin, staff = f"http://localhost:{PORT}", f"http://staff.localhost:{STAFF_PORT}"
    setting_up.create(data, name=NAME, origin=origin, staff_origin=staff, port=PORT, staff_port=STAFF_PORT)
    kith = Kith(data)
    try:
        for shape in SHAPES:
            seats = kith.database.write_now(_rooms, shape)
            (folder / f"{shape.name}.traffic").write_bytes(traffic(seats))
        seats = kith.database.write_now(_crowd, crowd)
        (folder / f"{CROWD}.traffic").write_bytes(traffic(seats))
        kith.database.write_now(_all_read, [reaction.reader for reaction in kith._reactions()])  # noqa: SLF001
    finally:
        kith.database.close_now()


def _rooms(tx: Tx, shape: Shape) -> list[Seat]:
    seats = []
    for number in range(shape.rooms):
        members = [_device(tx, account) for account in _accounts(tx, shape.accounts) for _ in range(shape.devices)]
        room = _room(tx, members)
        seats += [Seat(one, number, room, shape.all_send or one is members[0]) for one in members]
    return seats


def _crowd(tx: Tx, count: int) -> list[Seat]:
    """Devices that only connect."""
    accounts = list(_accounts(tx, -(-count // DEVICES_EACH)))
    return [Seat(_device(tx, accounts[n // DEVICES_EACH]), n, "", sends=False) for n in range(count)]


def _accounts(tx: Tx, count: int) -> Iterable[str]:
    for _ in range(count):
        account = str(uuid4())
        handle = f"b{account[:8]}{account[9:13]}"
        tx.append(AccountCreated(account=account, band="18+"))
        tx.put(people.profiles, account=account, handle=handle, skeleton=handle, display_name=handle)
        yield account


def _device(tx: Tx, account: str) -> Device:
    made = Device(account, str(uuid4()), sessions.new_token())
    tx.append(DeviceSignedIn(account=account, device=made.device))
    sessions.begin(tx, account, made.device, token=made.token, share=sessions.new_share(), name="Bench")
    key = public_bytes(Ed25519PrivateKey.generate())
    tx.put(people.device_keys, account=account, **devices.DeviceRow(made.device, key, tx.now, b"c" * 64)._asdict())
    tx.append(DeviceRegistered(account=account, device=made.device))
    return made


def _room(tx: Tx, members: list[Device]) -> str:
    """A room whose group has all of these devices, at epoch 1."""
    accounts = list(dict.fromkeys(member.account for member in members))
    room = _direct(tx, *accounts) if len(accounts) == 2 else _group(tx, *accounts)
    added = {member.device: member.account for member in members}
    tx.append(EpochAdvanced(room=room, epoch=EPOCH, device=members[0].device, added=added))
    for account in accounts:
        tx.append(MembershipStarted(room=room, account=account, first_seq=1))
    tx.run(messaging.HEAD_EPOCH, id=room, new_epoch=EPOCH, pos=1, at=tx.now, info=b"")
    return room


def _direct(tx: Tx, one: str, other: str) -> str:
    """The room of two people who are connected."""
    grant(tx, one, other)
    return requests.room_for(tx, one, other)


def _group(tx: Tx, owner: str, *members: str) -> str:
    """A group with these people on its roster."""
    room = groups.create(tx, owner, groups.Words("Bench", ""))
    if not isinstance(room, str):
        raise TypeError(f"the group was refused: {room}")
    for account in members:
        roster.enter(tx, account, room, "member", by=owner, vouched=True)
    return room


def _all_read(tx: Tx, readers: list[str]) -> None:
    """What was made here is no news: nobody has to be told, and no run begins with a backlog."""
    last = 0
    while batch := log.read_from(tx, last, 10_000):
        last = batch[-1].position
    for reader in readers:
        log.move_cursor(tx, reader, last)


def traffic(seats: list[Seat]) -> bytes:
    """The generator's file: where the renewable parts of a frame lie, then room, role, token and frame of each seat."""
    sample = submit_frame(str(uuid4()))
    body = message(uuid4().bytes)
    payload_at = sample.index(_MARK)
    places = (sample.index(_KEY), sample.index(_TAG), payload_at, payload_at - body.index(_MARK))
    rooms = max(seat.number for seat in seats) + 1
    head = b"KBT1" + struct.pack("=8I", len(seats), rooms, len(sample), *places, PAYLOAD)
    parts = [head]
    for seat in seats:
        parts.append(struct.pack("=2I", seat.number, seat.sends) + seat.device.token.encode().ljust(TOKEN_BYTES, b"\0"))
        if seat.sends:
            parts.append(submit_frame(seat.room))
    return b"".join(parts)


def submit_frame(room: str) -> bytes:
    """SUBMIT, in the layout that all rooms share."""
    return frames.encode(frames.Submit(_KEY, room, message(UUID(room).bytes)))


def message(group_id: bytes) -> bytes:
    """A PrivateMessage (RFC 9420, section 6.3) with a made-up ciphertext of `PAYLOAD` bytes and a franking tag."""
    ciphertext = _MARK + os.urandom(PAYLOAD - len(_MARK))
    head = b"\0\1\0\2" + vector(group_id) + EPOCH.to_bytes(8, "big") + b"\1" + vector(build_aad(_TAG))
    return head + vector(b"s" * 28) + vector(ciphertext)


if __name__ == "__main__":
    print(prepared(Path(sys.argv[1]), int(sys.argv[2])))
