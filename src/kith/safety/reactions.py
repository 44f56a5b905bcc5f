"""This room reads the ledger from its own cursor: features, rules, and notices that follow a decision."""

from __future__ import annotations

from collections.abc import Callable

from kith.ledger.database import Tx
from kith.ledger.events import MeasureReversed, RequestSent
from kith.ledger.log import Recorded
from kith.safety import features, flows
from kith.safety.limits import DEFAULT, Limits

READER = "safety"


def reaction(modes: flows.Modes, limits: Limits = DEFAULT) -> Callable[[Tx, Recorded], None]:
    """The room's reader for these rule modes."""

    def react(tx: Tx, recorded: Recorded) -> None:
        event = recorded.event
        judged = features.observe(flows.Rows(tx, limits), event, recorded.at_ms, limits)
        if judged is not None:
            flows.judge(tx, judged, modes, limits)
        match event:
            case RequestSent(requester=requester, target=str(person)):
                flows.warn_newly_approached(tx, requester, person, limits)
            case MeasureReversed(measure=measure):
                flows.withdraw_with(tx, measure)

    return react


react = reaction({})
"""Every rule in shadow."""
