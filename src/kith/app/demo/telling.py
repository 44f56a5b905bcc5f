"""What the town tells the house: JSON, one line each, on its stdout."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec


class Progress(msgspec.Struct, tag_field="told", tag="progress", frozen=True):
    """So many are here, or so much of the story is told."""

    what: Literal["moving", "story"]
    done: int
    of: int


class Expects(msgspec.Struct, tag_field="told", tag="expects", frozen=True):
    """Two people, by handle, of whom the printed one is to agree."""

    asker: str
    asked: str


class Ready(msgspec.Struct, tag_field="told", tag="ready", frozen=True):
    """The story is told; everybody is at home."""


Told: TypeAlias = Progress | Expects | Ready
_LINE: msgspec.json.Decoder[Told] = msgspec.json.Decoder(Told)


def line(told: Told) -> bytes:
    """As it stands on stdout."""
    return msgspec.json.encode(told) + b"\n"


def heard(said: bytes) -> Told:
    """What a line says; msgspec.DecodeError for anything else."""
    return _LINE.decode(said)
