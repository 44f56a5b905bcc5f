"""`kith why ID`: the decision, its rule, facts and outcome, and the chain of events that name the id."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
from sqlalchemy import bindparam, or_, select

from kith.ledger import schema
from kith.ledger.database import Database, Reader, Row
from kith.ledger.decision import Reason
from kith.ledger.log import decisions

_NAMING = (
    select(schema.events)
    .where(schema.events.c.body.contains(bindparam("id")))
    .order_by(schema.events.c.position)
    .limit(200)
)
_DECISIONS = (
    select(decisions)
    .where(or_(decisions.c.decision == bindparam("id"), decisions.c.about == bindparam("id")))
    .order_by(decisions.c.at_ms)
    .limit(50)
)
_NAMED = select(decisions).where(decisions.c.decision == bindparam("id"))


def explain(data: Path, identifier: str) -> str:
    """Everything the ledger can say about an id, as text."""
    if not identifier.strip():
        return "Say which: make why ID=<the id of a decision, account, report, request, case or measure>"
    database = Database(data / "kith.db", {})
    try:
        return database.read_now(story, identifier.strip().lower())
    finally:
        database.close_now()


def story(reader: Reader, identifier: str) -> str:
    """The decisions about an id, then the events that name it."""
    events = reader.all(_NAMING, id=identifier)
    made = {row.decision: row for row in reader.all(_DECISIONS, id=identifier)}
    for event in events:  # an event that rests on a decision names it
        named = msgspec.json.decode(event.body).get("decision")
        if named and named not in made and (row := reader.one(_NAMED, id=named)):
            made[named] = row
    if not events and not made:
        return f"Nothing here is called {identifier}."
    parts = [_decision(row) for row in sorted(made.values(), key=lambda row: row.at_ms)]
    if events:
        parts.append("Events that name it:\n" + "\n".join(_event(row) for row in events))
    return "\n\n".join(parts)


def _decision(row: Row) -> str:
    reasons = msgspec.json.decode(row.reasons, type=list[Reason])
    facts = msgspec.json.decode(row.facts, type=dict[str, object])
    lines = [f"Decision {row.decision}", f"  when     {_time(row.at_ms)}", f"  policy   {row.policy}"]
    lines += [f"  outcome  {row.outcome}", f"  about    {row.about}"]
    lines += [f"  rule     {r.rule}: {r.because}" + (" (staff only)" if r.audience == "staff" else "") for r in reasons]
    lines += [f"  fact     {name} = {value}" for name, value in facts.items()]
    return "\n".join(lines)


def _event(row: Row) -> str:
    body = {k: v for k, v in msgspec.json.decode(row.body).items() if k not in {"type", "reasons", "facts"}}
    told = " ".join(f"{name}={value}" for name, value in body.items())
    return f"  {row.position:>7}  {_time(row.at_ms)}  {row.kind}  {told}"


def _time(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
