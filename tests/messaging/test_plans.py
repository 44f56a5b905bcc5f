"""How SQLite finds the rows of a message: what runs for every message reads no row that it does not need."""

from __future__ import annotations

import re

import apsw
import pytest
from sqlalchemy import select
from sqlalchemy.sql import ClauseElement

from kith.ledger.database import Tx, compile_once
from kith.ledger.signals import Delivered
from kith.messaging import store
from kith.messaging.flows import delivery
from kith.protocol.frames import MESSAGE
from messaging.town import Town

HOT = {
    "ANSWER": "PRIMARY KEY (device=? AND submit_key=?)",
    "ANSWERED": "PRIMARY KEY (device=? AND submit_key=?)",
    "ANSWERS_OLD": "PRIMARY KEY (device=?)",
    "BODY": "(room=? AND room_pos=? AND kind=?)",
    "BODY_GONE": "COVERING INDEX mailbox_by_place (room=? AND room_pos=? AND kind=?)",
    "FIRST_AFTER": "PRIMARY KEY (device=? AND mail>?)",
    "FIRST_WAITING": "COVERING INDEX mailbox_by_place (room=?)",
    "FIRST_BEFORE": "PRIMARY KEY (device=? AND mail<?)",
    "HEAD_MOVED": "(room=?)",
    "LAST_TURN": "PRIMARY KEY (device=?)",
    "MAIL": "PRIMARY KEY (device=? AND mail>?)",
    "MAILS_GONE": "INDEX mailbox_by_place (room=? AND room_pos=? AND kind=?)",
    "MAIL_GONE": "PRIMARY KEY (device=? AND mail=?)",
    "MAIL_ROW": "PRIMARY KEY (device=? AND mail=?)",
    "OLD_ROSTERS": "COVERING INDEX mailbox_rosters (at_ms<?)",
    "PLACES_WAITING": "COVERING INDEX sqlite_autoindex_bodies_1 (room=?)",
    "PLACE_BACK": "COVERING INDEX sqlite_autoindex_bodies_1 (room=?)",
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


def test_among_very_many_mails_a_room_is_not_looked_for(town: Town) -> None:
    """An answer then waits with them; the control, one mail fewer, is looked through and tells."""

    def fill(tx: Tx, count: int) -> None:
        for position in range(count):
            delivery.post(tx, "phone", MESSAGE, "other", position)

    town.do(fill, store.LOOKED_AT - 1)
    assert not town.ask(delivery.unsent_before, "phone", 0, "room", 9)
    town.do(fill, 1)
    assert town.ask(delivery.unsent_before, "phone", 0, "room", 9)
    assert not town.ask(delivery.unsent_before, "phone", 1, "room", 9)
    assert not town.ask(delivery.unsent_before, "laptop", 0, "room", 9)


def test_a_hint_tells_only_what_is_known(town: Town) -> None:
    """As far as nothing earlier waits; nothing where very many mails stand before; everything when none does."""

    def hinted(tx: Tx, mail: int, position: int) -> list[object]:
        delivery.hint_to(tx, "ben", "phone", "room", [delivery.Received(position, mail)])
        told, tx.signals = tx.signals, []
        return told

    def fill(tx: Tx, room: str, count: int) -> None:
        for position in range(1, count + 1):
            delivery.post(tx, "phone", MESSAGE, room, position)

    town.do(fill, "other", 5)
    town.do(fill, "room", 3)
    assert town.do(hinted, 6, 1) == [Delivered("room", 1, "ben")]
    assert town.do(hinted, 8, 3) == []
    town.do(lambda tx: [tx.run(store.MAIL_GONE, whose="phone", which=mail) for mail in (6, 7)])
    assert town.do(hinted, 8, 3) == [Delivered("room", 3, "ben")]
    town.do(lambda tx: tx.run(store.MAIL_GONE, whose="phone", which=8))
    town.do(fill, "third", store.LOOKED_AT)
    assert town.do(hinted, store.LOOKED_AT + 50, 4) == []
