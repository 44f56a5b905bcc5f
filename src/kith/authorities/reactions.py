"""A child-safety decision leads to a draft: this room reads the ledger from its own cursor."""

from __future__ import annotations

from collections.abc import Callable

from kith.authorities import flows
from kith.authorities.office import Office
from kith.ledger.database import Tx
from kith.ledger.events import CaseDecided
from kith.ledger.log import Recorded
from kith.reports.taxonomy import BY_ID

READER = "authorities"


def reaction(office: Office) -> Callable[[Tx, Recorded], None]:
    """The room's reader. No gate asks for media: words alone are reportable."""

    def react(tx: Tx, recorded: Recorded) -> None:
        match recorded.event:
            case CaseDecided(case=case, staff=staff, policy=policy, action=action):
                if action != "no_action" and policy in BY_ID and BY_ID[policy].child_safety:
                    flows.draft(tx, case, staff, office)

    return react
