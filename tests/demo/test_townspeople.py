"""The printed people, before and beside the town."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from kith.app.demo import residents
from kith.app.wiring import projectors
from kith.ledger.database import Database
from kith.people import connections, devices, facts, passwords
from kith.reports import staffing


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty server."""
    made = Database(tmp_path / "kith.db", projectors())
    made.create_tables()
    yield made
    made.close_now()


def account(database: Database, handle: str) -> str:
    """The account behind a handle."""
    found = database.read_now(facts.by_handle, handle)
    assert found is not None
    return found


def signed_up(database: Database, handle: str, age: int) -> str:
    """An account with this handle."""
    person = residents.Printed(handle, handle.title(), age, "irrelevant words", "")
    database.write_now(residents.sign_up, person, passwords.hash_now(person.password))
    return account(database, handle)


def test_printed_people_have_a_password_and_no_device(database: Database) -> None:
    """The visitor's browser is to be the first device."""
    for person in residents.PEOPLE:
        made = signed_up(database, person.handle, person.age)
        assert database.read_now(devices.registered, made) == []
        assert database.read_now(devices.identity, made) is None


@pytest.mark.parametrize("year", [2026, 2027, 2030])
@pytest.mark.parametrize("month", [1, 2, 6, 12])
def test_ages_are_right_whenever_the_demo_is_made(year: int, month: int) -> None:
    """15 is always 13-15 and 34 always an adult."""
    now = int(dt.datetime(year, month, 15, tzinfo=dt.UTC).timestamp() * 1000)
    assert residents.placed(15, now).band == "13-15"
    assert residents.placed(34, now).band == "18+"


def test_printed_passwords_are_ones_that_people_could_choose() -> None:
    """The demo follows the product's own rules."""
    for person in residents.PEOPLE:
        assert passwords.flaw(person.password, person.handle) is None
    for member in residents.STAFF:
        assert staffing.password_will_do(member.password).allowed


def test_agreeing_connects_only_whom_the_story_names_and_never_an_adult_with_a_minor(database: Database) -> None:
    """The house agrees by the product's own flows, so its rules hold here too."""
    noor, mira = signed_up(database, "noor", 15), signed_up(database, "mira", 34)
    tomas, emil = signed_up(database, "tomas", 41), signed_up(database, "emil", 71)
    database.write_now(residents.say_yes, "tomas", "noor")
    assert not database.read_now(connections.connected, tomas, noor)
    database.write_now(residents.say_yes, "noor", "emil")
    assert not database.read_now(connections.connected, noor, emil), "he has not said yes yet"
    database.write_now(residents.say_yes, "tomas", "mira")
    assert not database.read_now(connections.connected, tomas, mira), "he has not asked"
