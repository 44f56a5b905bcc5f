"""The age question: what it answers, and what it leaves behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.ledger.database import Reader, Row
from kith.ledger.limits import DAY, HOUR
from kith.ledger.schema import metadata
from kith.people import retention, store, tickets
from kith.people.ages import Placed
from people.conftest import START, Caller, World

KEY = b"k" * 32
PLACED = Placed("16-17", START + DAY)


def test_a_band_comes_back_with_a_ticket(caller: Caller) -> None:
    """Band and ticket, nothing else."""
    answer = caller.call("POST", "/age", {"year": 2009, "month": 3})
    assert answer.status_code == 201
    assert set(answer.json()) == {"ticket", "band"}
    assert answer.json()["band"] == "16-17"


def test_a_date_that_is_none_is_asked_again(caller: Caller) -> None:
    """A slip of the finger is not an answer, and starts no wait."""
    assert caller.call("POST", "/age", {"year": 2009, "month": 13}).status_code == 400
    assert caller.call("POST", "/age", {"year": 2009, "month": 3}).status_code == 201


def test_another_date_does_not_help_for_a_day(caller: Caller, world: World) -> None:
    """Whatever is typed, the answer is the same to the byte, for age and for account; then the wait is over."""
    grown_up = caller.ticket()
    refused = caller.call("POST", "/age", {"year": 2018, "month": 3})
    assert refused.status_code == 403
    for body in ({"year": 1990, "month": 5}, {"year": 2009, "month": 13}, {"year": 2018, "month": 3}):
        again = caller.call("POST", "/age", body)
        assert (again.status_code, again.content) == (403, refused.content)
    account = {"handle": "ana", "display_name": "Ana", "password": "correct horse battery", "device_name": "Phone"}
    version = caller.call("GET", "/terms").json()["version"]
    form = {**account, "ticket": grown_up, "terms_version": version}
    assert caller.call("POST", "/accounts", form).content == refused.content
    world.clock.now += DAY - HOUR
    assert caller.call("POST", "/age", {"year": 1990, "month": 5}).status_code == 403
    world.clock.now += HOUR
    assert caller.call("POST", "/age", {"year": 1990, "month": 5}).status_code == 201


def _files(world: World) -> bytes:
    path = Path(world.database.path)
    return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))


def _all_rows(world: World) -> dict[str, list[Row]]:
    def rows(reader: Reader) -> dict[str, list[Row]]:
        return {table.name: reader.all(table.select()) for table in metadata.sorted_tables}

    return dict(world.ask(rows))


def test_a_refused_child_leaves_nothing_but_the_wait(caller: Caller, world: World) -> None:
    """No event, no row, no address, no date: one hash with an expiry. The control is planted and found."""
    agent = "canary-agent-7f3a"
    refused = caller.http.post("/api/v1/age", json={"year": 2019, "month": 11}, headers={"User-Agent": agent})
    assert refused.status_code == 403
    rows = {name: len(rows) for name, rows in _all_rows(world).items() if rows}
    assert rows == {"waits": 1, "buckets": 1}
    everything = _files(world)
    for trace in (b"2019", agent.encode(), b"testclient", b"2019-11"):
        assert trace not in everything
    world.do(lambda tx: tx.put(store.profiles, account="c", handle=agent, skeleton="c", display_name="c"))
    assert agent.encode() in _files(world)  # the control: what is stored is found
    world.clock.now += DAY
    world.do(retention.sweep)
    assert world.ask(lambda reader: reader.all(store.waits.select())) == []


def test_no_date_of_birth_is_kept_of_anybody(caller: Caller, world: World) -> None:
    """Of an account, the band and the month after the next one begins; the year typed is nowhere."""
    account = caller.sign_up("ana", year=1987, month=11).json()["account_id"]
    row = world.ask(lambda reader: reader.one(store.ACCOUNT, id=account))
    assert (row.band, row.band_ends_ms) == ("18+", None)
    whole_number = re.compile(r"(?<![0-9A-Za-z])1987(?![0-9A-Za-z])")
    kept = [str(value) for rows in _all_rows(world).values() for row in rows for value in row.values()]
    assert kept
    assert not any(whole_number.search(value) for value in kept)
    assert whole_number.search('{"year":1987}')  # the control


def test_a_ticket_is_good_for_its_hour() -> None:
    """Until then it carries the band; after that, nothing."""
    ticket = tickets.issue(KEY, PLACED, START + HOUR)
    assert tickets.redeem(KEY, ticket, START + HOUR - 1) == PLACED
    assert tickets.redeem(KEY, ticket, START + HOUR) is None
    assert tickets.redeem(b"x" * 32, ticket, START) is None


@given(at=st.integers(min_value=0, max_value=200), put=st.characters(max_codepoint=126, min_codepoint=33))
def test_an_altered_ticket_is_none(at: int, put: str) -> None:
    """Any other character anywhere, and the band is not believed."""
    ticket = tickets.issue(KEY, PLACED, START + HOUR)
    altered = ticket[: at % len(ticket)] + put + ticket[at % len(ticket) + 1 :]
    assert (tickets.redeem(KEY, altered, START) is None) is (altered != ticket)


@pytest.mark.parametrize("typed", ["", ".", "a.b", "é.é", "=" * 300, "a" * 10_000, "AAAA." + "A" * 43])
def test_what_is_no_ticket_is_none(typed: str) -> None:
    """Nothing typed in its place raises."""
    assert tickets.redeem(KEY, typed, START) is None
