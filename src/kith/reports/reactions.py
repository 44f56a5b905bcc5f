"""Cases that behaviour rules ask for: this room reads the ledger from its own cursor."""

from __future__ import annotations

from collections.abc import Callable, Collection

from kith.ledger.database import Tx
from kith.ledger.events import CaseProposed
from kith.ledger.log import Recorded
from kith.reports import flows
from kith.reports.limits import Limits

READER = "reports"


def reaction(child_safety_rules: Collection[str] = (), limits: Limits | None = None) -> Callable[[Tx, Recorded], None]:
    """The room's reader. Cases of `child_safety_rules` go to the child-safety queue."""
    numbers = limits or Limits()

    def react(tx: Tx, recorded: Recorded) -> None:
        match recorded.event:
            case CaseProposed(account=account, rule=rule):
                flows.propose(tx, account, rule, numbers, child=rule in child_safety_rules)

    return react


react = reaction()
"""No rule is about children in particular."""
