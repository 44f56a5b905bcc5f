"""What flows of this room need of the server: the evidence key and the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from kith.reports.limits import Limits
from kith.reports.sealing import EvidenceKey


@dataclass(frozen=True, slots=True)
class Desk:
    """Made once by app and handed to every flow."""

    key: EvidenceKey
    limits: Limits = field(default_factory=Limits)
