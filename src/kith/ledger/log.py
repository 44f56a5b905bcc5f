"""Append, read from a cursor, replay; and the record of every decision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import uuid4

import msgspec
from sqlalchemy import bindparam, delete, select

from kith.ledger import schema
from kith.ledger.database import Database, Projectors, Reader, Tx
from kith.ledger.decision import Decision, Facts
from kith.ledger.events import DecisionMade, Event, decode_event
from kith.ledger.schema import cursors, number, table, text


class Recorded(NamedTuple):
    """An event with its place and time in the ledger."""

    position: int
    at_ms: int
    event: Event


decisions = table(
    "decisions",
    text("decision", "id of the decision", key=True),
    number("at_ms", "when it was made"),
    text("policy", "which policy decided"),
    text("outcome", "allow, ask or refuse"),
    text("about", "whom it concerns"),
    text("reasons", "JSON: rules and sentences, with the audience of each"),
    text("facts", "JSON: what the policy was told"),
    purpose="every decision that limits or admits somebody, so that it can be explained",
    retention="life of the account concerned; 180 days for first contacts",
    kind="projection",
)

_AFTER = (
    select(schema.events)
    .where(schema.events.c.position > bindparam("after"))
    .order_by(schema.events.c.position)
    .limit(bindparam("most"))
)
_CURSOR = select(cursors.c.position).where(cursors.c.reader == bindparam("reader_"))
_FORGET_CURSOR = delete(cursors).where(cursors.c.reader == bindparam("reader_"))
_DECISION = select(decisions).where(decisions.c.decision == bindparam("id"))


def record(tx: Tx, policy: str, about: str, decision: Decision, facts: Facts) -> str:
    """Store a decision with its facts and reasons; returns its id, which `kith why` explains."""
    made = str(uuid4())
    tx.append(
        DecisionMade(
            decision=made,
            policy=policy,
            outcome=decision.outcome,
            about=about,
            reasons=decision.reasons,
            facts=dict(facts),
        )
    )
    return made


def _project_decision(tx: Tx, event: DecisionMade) -> None:
    tx.put(
        decisions,
        decision=event.decision,
        at_ms=tx.now,
        policy=event.policy,
        outcome=event.outcome,
        about=event.about,
        reasons=msgspec.json.encode(event.reasons).decode(),
        facts=msgspec.json.encode(event.facts).decode(),
    )


PROJECTORS: Projectors = {DecisionMade: (_project_decision,)}


def read_from(reader: Reader, after: int, most: int = 500) -> list[Recorded]:
    """Events after a position, oldest first."""
    rows = reader.all(_AFTER, after=after, most=most)
    return [Recorded(row.position, row.at_ms, decode_event(row.kind, row.body)) for row in rows]


def cursor_of(reader: Reader, name: str) -> int:
    """The last position that a named reader has dealt with; 0 at first."""
    return int(reader.value(_CURSOR, reader_=name) or 0)


def move_cursor(tx: Tx, name: str, position: int) -> None:
    """Remember, in the same transaction as what was done, how far a reader has come."""
    tx.run(_FORGET_CURSOR, reader_=name)
    tx.put(cursors, reader=name, position=position)


def every(database: Database) -> Iterator[Recorded]:
    """The whole ledger, oldest first."""
    position = 0
    while batch := database.read_now(read_from, position):
        yield from batch
        position = batch[-1].position


def replay(source: Database, into: Database) -> int:
    """Rebuild every projection in an empty database from another's events; returns how many were applied."""
    count = 0
    for recorded in every(source):
        into.clock = lambda at=recorded.at_ms: at  # type: ignore[misc]  # binds the time of this event
        into.write_now(lambda tx, event=recorded.event: tx.project(event))  # type: ignore[misc]
        count += 1
    return count
