"""The accounts that the demo prints: two people without a device yet, and staff. Made by flows, once."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import NamedTuple

from sqlalchemy import bindparam, select

from kith.ledger.database import Database, Reader, Tx
from kith.messaging import store as rooms
from kith.messaging.flows import requests
from kith.people import ages, connections, facts, flows, passwords, sessions, standards
from kith.people import store as people
from kith.people.flows import Arrival
from kith.reports import staffing
from kith.reports.staff_roles import Role


class Printed(NamedTuple):
    """A person of the demo whom the visitor becomes by signing in."""

    handle: str
    name: str
    age: int
    password: str
    hint: str


class PrintedStaff(NamedTuple):
    """A member of staff of the demo."""

    login: str
    roles: tuple[Role, ...]
    password: str
    hint: str


PEOPLE = (
    Printed("mira", "Mira", 34, "seven paper boats", "neighbours write to you; a group and a request wait"),
    Printed("noor", "Noor", 15, "a kite in october", "see what is on at 15; the film club invites you"),
)
STAFF = (
    PrintedStaff("rev", ("reviewer",), "lantern by the door", "a proven report and an appeal wait"),
    PrintedStaff("kim", ("child-safety",), "harbour at sunrise", "a child's report waits; a CyberTip needs two"),
    PrintedStaff("lee", ("child-safety",), "walnut and copper", "the second of the two"),
    PrintedStaff("ada-admin", ("admin",), "forty blue chairs", "roles and the staff log"),
)
NOTICED = "bruno"
"""The townsperson whom the rule about mass contact limits."""
_NOWHERE = "127.0.0.1"


async def move_in(database: Database) -> None:
    """Make whoever is missing."""
    for person in PEOPLE:
        if await database.read(facts.by_handle, person.handle) is None:
            hashed = await asyncio.to_thread(passwords.hash_now, person.password)
            await database.write(sign_up, person, hashed)
    for member in STAFF:
        if (await database.read(staffing.find_login, member.login)).staff is None:
            hashed = await asyncio.to_thread(staffing.hash_password, member.password)
            await database.write(staffing.add_staff, member.login, hashed, member.roles)


def sign_up(tx: Tx, person: Printed, password_hash: str) -> None:
    """A person who signed up somewhere and signed out again: a handle and a password, no device, no identity key."""
    arrival = Arrival(
        token=sessions.new_token(), share=sessions.new_share(), name="demo", address=_NOWHERE, agent="kith demo"
    )
    done = flows.sign_up(
        tx,
        placed(person.age, tx.now),
        handle=person.handle,
        display_name=person.name,
        password_hash=password_hash,
        terms_version=standards.VERSION,
        arrival=arrival,
    )
    if done is not None:
        flows.remove_device(tx, done.account, done.device)


def placed(age: int, now: int) -> ages.Placed:
    """The band of somebody of this age, six months after a birthday."""
    today = dt.datetime.fromtimestamp(now / 1000, dt.UTC)
    months = today.year * 12 + today.month - 1 - age * 12 - 6
    band = ages.place(months // 12, months % 12 + 1, now)
    assert isinstance(band, ages.Placed)  # noqa: S101  the ages above are ages
    return band


def say_yes(tx: Tx, asker: str, asked: str) -> None:
    """Agree in the name of a printed account: accept what `asker` sent her, or send her own request to `asked`."""
    one, other = facts.by_handle(tx, asker), facts.by_handle(tx, asked)
    printed = {person.handle for person in PEOPLE}
    if one is None or other is None or connections.connected(tx, one, other):
        return
    open_requests = tx.all(rooms.OPEN_BETWEEN, asker=one, asked=other)
    if asker in printed and not open_requests:
        requests.ask(tx, one, handle=asked)
    if asked in printed:
        for row in open_requests:
            requests.accept(tx, other, row.request)


_LIMITED = (
    select(people.measures.c.decision)
    .where(people.measures.c.account == bindparam("whom"))
    .order_by(people.measures.c.since_ms)
    .limit(1)
)


def decision_to_explain(reader: Reader) -> str | None:
    """The decision that limited the seller; None before the story got there."""
    account = facts.by_handle(reader, NOTICED)
    return None if account is None else reader.value(_LIMITED, whom=account)
