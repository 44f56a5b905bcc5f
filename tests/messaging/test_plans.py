"""How SQLite finds the rows of a message: what runs for every message reads no row that it does not need."""

from __future__ import annotations

import re

import apsw
import pytest
from sqlalchemy import select
from sqlalchemy.sql import ClauseElement

from kith.ledger.database import compile_once
from kith.messaging import store
from messaging.town import Town

HOT = {
    "ANSWER": "PRIMARY KEY (device=? AND submit_key=?)",
    "ANSWERED": "PRIMARY KEY (device=? AND submit_key=?)",
    "ANSWERS_OLD": "PRIMARY KEY (device=?)",
    "BODY": "(room=? AND room_pos=? AND kind=?)",
    "BODY_GONE": "COVERING INDEX mailbox_by_place (room=? AND room_pos=? AND kind=?)",
    "FIRST_AFTER": "PRIMARY KEY (device=? AND mail>?)",
    "FIRST_BEFORE": "PRIMARY KEY (device=? AND mail<?)",
    "FIRST_OF_ALL": "COVERING INDEX mailbox_by_place (room=?)",
    "HEAD_MOVED": "(room=?)",
    "LAST_TURN": "PRIMARY KEY (device=?)",
    "MAIL": "PRIMARY KEY (device=? AND mail>?)",
    "MAILS_GONE": "INDEX mailbox_by_place (room=? AND room_pos=? AND kind=?)",
    "MAIL_GONE": "PRIMARY KEY (device=? AND mail=?)",
    "MAIL_ROW": "PRIMARY KEY (device=? AND mail=?)",
    "OLD_ROSTERS": "COVERING INDEX mailbox_rosters (at_ms<?)",
    "ROSTER_GONE": "INDEX mailbox_by_place (room=? AND room_pos=? AND kind=? AND device=?)",
    "WAITING_SINCE": "COVERING INDEX mailbox_by_place (room=? AND room_pos<?)",
    "WAITS_BEFORE": "PRIMARY KEY (device=? AND mail<?)",
}


def plan(connection: apsw.Connection, statement: ClauseElement) -> str:
    """What EXPLAIN QUERY PLAN says."""
    sql = compile_once(statement).sql
    nothing = dict.fromkeys(re.findall(r":(\w+)", sql))
    return "; ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", nothing))


@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_goes_by_its_key(town: Town, name: str) -> None:
    """Whatever indexes come and go."""
    said = plan(town.database._writer, getattr(store, name))
    assert HOT[name] in said
    assert "TEMP B-TREE FOR ORDER" not in said


@pytest.mark.parametrize("name", ["OLDEST_BODIES", "OLDEST_ENVELOPES", "OLDEST_BATCHES"])
def test_the_oldest_rows_come_in_the_order_of_the_table(town: Town, name: str) -> None:
    """Nothing is sorted to find them."""
    assert "TEMP B-TREE" not in plan(town.database._writer, getattr(store, name))


def test_a_search_without_an_index_is_told_apart(town: Town) -> None:
    """The control."""
    slow = select(store.mailbox).where(store.mailbox.c.about == "x").order_by(store.mailbox.c.at_ms)
    assert plan(town.database._writer, slow) == "SCAN mailbox; USE TEMP B-TREE FOR ORDER BY"
