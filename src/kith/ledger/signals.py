"""Doorbells rung after a COMMIT: `tx.publish(signal)`. Losing one loses nothing; the rows are durable."""

from __future__ import annotations

from typing import Literal, NamedTuple

What = Literal["requests", "connections", "standing", "notices", "reports", "links"]


class MailArrived(NamedTuple):
    """A device has new rows in its mailbox; of a message also in which room and by whom."""

    device: str
    room: str | None = None
    by: str | None = None


class DeviceSignedOut(NamedTuple):
    """A device's session ended; its open connections close at once."""

    device: str


class PushChanged(NamedTuple):
    """A device asked to be woken, otherwise than before, or not any more."""

    device: str


class HushChanged(NamedTuple):
    """Somebody's messages may not wake a person's devices any more, or may again."""

    by: str
    account: str
    hushed: bool


class Changed(NamedTuple):
    """A person should fetch something again (MAIL kind notice)."""

    account: str
    what: What


class Delivered(NamedTuple):
    """A device of another account has acked everything in a room up to this position."""

    room: str
    room_pos: int
    to_account: str


class Appended(NamedTuple):
    """The ledger has events up to this position; readers with a cursor go on."""

    position: int
