"""What flows of this room need of the server: the evidence key, the numbers, and attachments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from kith.reports.attachments import Blobs, Nowhere, Viewing
from kith.reports.limits import Limits
from kith.reports.looks import Painted
from kith.reports.sealing import EvidenceKey

Paint: TypeAlias = Callable[[AsyncIterator[bytes]], Awaitable[Painted | None]]
"""Makes a picture anew from the bytes of one, where nothing it could do matters; None when it cannot. Given by app."""


async def no_paint(pieces: AsyncIterator[bytes]) -> Painted | None:  # noqa: ARG001  it has no brush
    """A server that makes none: no picture is shown."""
    return None


@dataclass(frozen=True, slots=True)
class Desk:
    """Made once by app and handed to every flow."""

    key: EvidenceKey
    limits: Limits = field(default_factory=Limits)
    server: str = ""
    """The HOST of every URI."""
    blobs: Blobs = field(default_factory=Nowhere)
    viewing: Viewing = field(default_factory=Viewing)
    paint: Paint = no_paint
