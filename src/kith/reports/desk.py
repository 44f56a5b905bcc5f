"""What flows of this room need of the server: the evidence key, the numbers, and attachments."""

from __future__ import annotations

from dataclasses import dataclass, field

from kith.reports.attachments import Blobs, Nowhere, Viewing
from kith.reports.limits import Limits
from kith.reports.sealing import EvidenceKey


@dataclass(frozen=True, slots=True)
class Desk:
    """Made once by app and handed to every flow."""

    key: EvidenceKey
    limits: Limits = field(default_factory=Limits)
    server: str = ""
    """The HOST of every URI."""
    blobs: Blobs = field(default_factory=Nowhere)
    viewing: Viewing = field(default_factory=Viewing)
