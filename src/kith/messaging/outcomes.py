"""What flows of this room answer. A refusal is a value: edges turn it into HTTP or a REFUSED frame."""

from __future__ import annotations

from typing import Literal, NamedTuple

Code = Literal[
    "not_allowed",
    "restricted",
    "wrong_epoch",
    "epoch_too_old",
    "invalid",
    "untagged",
    "too_large",
    "limited",
    "absent",
    "conflict",
]


class Refusal(NamedTuple):
    """Nothing was stored. `details` is a sentence, except the current epoch for the two epoch codes.

    `decision` is the recorded reason of a refusal that concerns the person herself. `absent` is what does not
    exist or may not be known of.
    """

    code: Code
    details: str
    decision: str | None = None
    retry_after_ms: int | None = None


ABSENT = Refusal("absent", "There is nothing here, or it is not yours to see.")


class Accepted(NamedTuple):
    """Durable: place and time in the room, and the hub's frank when it is a message (None for commits)."""

    key: bytes
    room_pos: int
    timestamp: int
    room_seq: int | None = None
    hub_key_id: int | None = None
    server_frank: bytes | None = None
    proof: bytes | None = None
