"""Recording refusals that concern the person herself: once a day per cause, however often she runs into it."""

from __future__ import annotations

from kith.ledger.database import Tx
from kith.ledger.decision import Decision, Facts
from kith.ledger.limits import DAY
from kith.ledger.log import record
from kith.messaging import store
from kith.messaging.outcomes import Code, Refusal


def refused(
    tx: Tx,
    policy: str,
    account: str,
    decision: Decision,
    facts: Facts,
    *,
    code: Code,
    cause: str = "",
    retry_after_ms: int | None = None,
) -> Refusal:
    """The refusal, with the id of its recorded decision. `cause` tells apart what one rule refuses for.

    Without the daily ring a client that keeps trying would fill the ledger with one and the same reason.
    """
    rule = f"{policy}/{decision.reasons[0].rule}/{cause}"
    known = tx.one(store.REFUSAL, who=account, by_rule=rule)
    if known is not None and tx.now - DAY < known.at_ms <= tx.now:
        made = known.decision
    else:
        made = record(tx, policy, account, decision, facts)
        tx.run(store.REFUSAL_FORGET, who=account, by_rule=rule)
        tx.put(store.refusals, account=account, rule=rule, decision=made, at_ms=tx.now)
    return Refusal(code, decision.reasons[0].because, made, retry_after_ms)
