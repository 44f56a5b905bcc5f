"""Recording refusals that concern the person herself: once a day per cause, however often she runs into it."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Tx
from kith.ledger.decision import Decision, Facts
from kith.ledger.limits import DAY
from kith.ledger.log import record
from kith.messaging import store
from kith.messaging.outcomes import Code, Refusal


class Begun(NamedTuple):
    """How often somebody began a conversation in the last 24 hours, by each of the doors."""

    requests: int
    invitations: int
    joins: int
    first_request_ms: int | None


def begun_today(reader: Reader, account: str) -> Begun:
    """What a measure's daily limit counts."""
    since = reader.now - DAY
    requests = reader.one(store.REQUESTS_SINCE, who=account, since=since)
    invitations = int(reader.value(store.INVITED_SINCE, who=account, since=since))
    joins = int(reader.value(store.JOINS_SINCE, who=account, own=0, since=since))
    if requests is None:
        return Begun(0, invitations, joins, None)
    return Begun(int(requests.sent), invitations, joins, requests.first_ms)


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
