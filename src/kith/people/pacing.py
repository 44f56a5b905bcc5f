"""Limits as routes meet them: count an act before it is tried, or say how long to wait."""

from __future__ import annotations

from typing import Final

from kith.ledger.database import Database
from kith.ledger.problem import Problem
from kith.people.buckets import Charge, charge
from kith.people.server import ServerFacts

TOO_OFTEN: Final = "That was tried too often. Wait a little, then try again."


async def within(database: Database, server: ServerFacts, *charges: Charge) -> None:
    """Count an act against limits; a Problem (`limited`) with the time to wait when one is used up."""
    wait = await database.write(charge, server.ticket_key, charges)
    if wait is not None:
        raise Problem("limited", TOO_OFTEN, retry_after_ms=wait)
