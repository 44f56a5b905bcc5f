"""The one writer of measures, whoever asked for them: impose with a reason, reverse at once."""

from __future__ import annotations

from uuid import uuid4

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.decision import Decision, Facts, Reason
from kith.ledger.events import MeasureImposed, MeasureReversed
from kith.ledger.log import record
from kith.ledger.signals import Changed
from kith.people import store
from kith.people.ladder import Step
from kith.people.limits import DEFAULT, Limits
from kith.people.standing import Measure, Standing, standing_of

POLICY = "people.enforcement"


def impose(
    tx: Tx,
    account: str,
    step: Step,
    *,
    rule: str,
    because: str,
    source: str,
    facts: Facts,
    limits: Limits = DEFAULT,
) -> str:
    """Put a measure in force and return its id; the decision is recorded with its facts.

    `because` is what the person reads. `source` is `rule:<id>` or `case:<id>`. Asked again by the same
    source for what already holds, it answers with the measure that does: askers may repeat themselves.
    An unknown account is a mistake of the caller (LookupError).
    """
    if tx.one(store.ACCOUNT, id=account) is None:
        raise LookupError(f"no account {account}")
    until = tx.now + limits.warning_ms if step.what == "warning" and step.until_ms is None else step.until_ms
    same = _already(tx, account, step, until, rule=rule, source=source)
    if same is not None:
        return same
    outcome = Decision("allow" if step.what == "warning" else "refuse", (Reason(rule, because),))
    decision = record(tx, POLICY, account, outcome, {**facts, "what": step.what, "source": source})
    measure = str(uuid4())
    tx.append(
        MeasureImposed(
            measure=measure,
            account=account,
            what=step.what,
            rule=rule,
            because=because,
            source=source,
            decision=decision,
            until_ms=until,
            limit=step.limit,
        )
    )
    tx.publish(Changed(account, "standing"))
    return measure


def _already(tx: Tx, account: str, step: Step, until: int | None, *, rule: str, source: str) -> str | None:
    for row in tx.all(store.MEASURES_OF, whose=account):
        same = (row.what, row.rule, row.source, row.most) == (step.what, rule, source, step.limit)
        covers = row.until_ms is None or (until is not None and row.until_ms >= until)
        if same and row.reversed_ms is None and (covers or source.startswith("case:")) and _holds(row, tx.now):
            return str(row.measure)
    return None


def _holds(row: Row, now: int) -> bool:
    return row.until_ms is None or now < row.until_ms


def reverse(tx: Tx, measure: str, because: str) -> bool:
    """Take a measure back; everything it forbade is allowed at once. False when there was nothing to do."""
    row = tx.one(store.MEASURE, id=measure)
    if row is None or row.reversed_ms is not None:
        return False
    tx.append(MeasureReversed(measure=measure, account=row.account, because=because))
    tx.publish(Changed(row.account, "standing"))
    return True


def measures_of(reader: Reader, account: str, limits: Limits = DEFAULT) -> list[Measure]:
    """Every measure against an account, oldest first."""
    return [_measure(row, limits) for row in reader.all(store.MEASURES_OF, whose=account)]


def measure_of(reader: Reader, measure: str, limits: Limits = DEFAULT) -> tuple[str, Measure] | None:
    """`(account, measure)`, for whoever judges an appeal."""
    row = reader.one(store.MEASURE, id=measure)
    return None if row is None else (row.account, _measure(row, limits))


def standing(reader: Reader, account: str, limits: Limits = DEFAULT) -> Standing:
    """What the account may do now."""
    return standing_of(measures_of(reader, account, limits), reader.now)


def _measure(row: Row, limits: Limits) -> Measure:
    appealable = row.appeal_state is None and row.reversed_ms is None
    return Measure(
        id=row.measure,
        what=row.what,
        rule=row.rule,
        because=row.because,
        since_ms=row.since_ms,
        until_ms=row.until_ms,
        limit=row.most,
        appeal=row.appeal_state,
        appeal_until_ms=row.since_ms + limits.appeal_ms if appealable else None,
        reversed_ms=row.reversed_ms,
    )
