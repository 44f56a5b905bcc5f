"""What flows of this room need of the server."""

from __future__ import annotations

from dataclasses import dataclass, field

from kith.authorities.draft import Operator
from kith.authorities.environment import Destination, may_send_to
from kith.authorities.limits import DEFAULT, Limits
from kith.ledger.decision import Decision
from kith.reports.sealing import EvidenceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Made once by app and handed to every flow. Without an endpoint and credentials nothing is sent."""

    server: str
    key: EvidenceKey = field(repr=False)
    operator: Operator = field(default_factory=Operator)
    destination: Destination = field(default_factory=Destination)
    has_credentials: bool = False
    limits: Limits = DEFAULT

    def may_send(self) -> Decision:
        """Whether reports may leave the server at all."""
        return may_send_to(self.destination, has_credentials=self.has_credentials)
