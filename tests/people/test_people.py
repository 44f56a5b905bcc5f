"""Connections, blocks, birthdays, limits, passwords, texts; and the ledger that rebuilds it all."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Table

from kith.ledger import log
from kith.ledger.database import Database, Reader
from kith.ledger.events import RoomCreated
from kith.ledger.limits import DAY, HOUR
from kith.ledger.signals import Appended, Changed, HushChanged
from kith.people import (
    blocks,
    connections,
    devices,
    enforcement,
    facts,
    flows,
    hushes,
    ladder,
    passwords,
    protections,
    sessions,
    standards,
    store,
)
from kith.people.ages import Placed
from kith.people.buckets import Bucket, Charge, Fleeting, charge, place_of, take
from kith.people.controls import Controls
from kith.people.limits import Limits, Rate
from kith.people.projections import PROJECTORS
from people.conftest import START, Caller, Clock, World

TEEN = Placed("16-17", START + DAY)
OPEN = Controls(read_receipts=True, typing=True)


# --- connections and blocks -----------------------------------------------------------------------


def test_a_connection_goes_both_ways_and_ends_for_both(world: World) -> None:
    """Granting twice or ending twice changes nothing."""
    ana, marco = world.account("ana"), world.account("marco")
    world.do(connections.grant, marco, ana)
    count = len(world.events())
    world.do(connections.grant, ana, marco)
    assert len(world.events()) == count
    assert world.ask(connections.connected, ana, marco)
    assert world.ask(connections.connected, marco, ana)
    assert world.ask(connections.of, ana) == [marco]
    world.do(connections.end, ana, marco)
    world.do(connections.end, ana, marco)
    assert len(world.events()) == count + 1
    assert world.ask(connections.of, marco) == []
    world.do(connections.grant, ana, marco)
    assert world.ask(connections.connected, ana, marco)


def test_a_list_of_connections_names_the_room(world: World) -> None:
    """With the room that was made for the two; once over, it says so without a cause."""
    ana, marco = world.account("ana"), world.account("marco")
    world.do(connections.grant, ana, marco)
    world.do(lambda tx: tx.append(RoomCreated(room="room-1", one=marco, other=ana)))
    row = world.ask(connections.listed, ana)[0]
    assert (row.account, row.handle, row.room, row.state) == (marco, "marco", "room-1", "connected")
    world.do(blocks.block, marco, ana)
    assert world.ask(connections.listed, ana)[0].state == "restricted"


def test_a_block_is_at_once_and_silent(world: World) -> None:
    """The connection ends, only the blocker is told, and lifting it brings nothing back."""
    ana, marco = world.account("ana"), world.account("marco")
    world.do(connections.grant, ana, marco)
    assert world.do(blocks.block, ana, marco) is True
    assert world.ask(blocks.blocked, ana, marco)
    assert not world.ask(blocks.blocked, marco, ana)
    assert world.ask(blocks.either, marco, ana)
    assert not world.ask(connections.connected, ana, marco)
    assert {signal.account for signal in world.heard if isinstance(signal, Changed)} == {ana}
    world.do(blocks.unblock, ana, marco)
    assert not world.ask(blocks.blocked, ana, marco)
    assert not world.ask(connections.connected, ana, marco)


def test_blocking_over_http_is_listed_and_lifted(caller: Caller, world: World) -> None:
    """Blocking twice is blocking once; blocking nobody or oneself is refused in words."""
    me = caller.sign_up("ana").json()["account_id"]
    marco = caller.with_token(None).sign_up("marco").json()["account_id"]
    world.do(connections.grant, me, marco)
    assert [caller.call("PUT", f"/blocks/{marco}").status_code for _ in range(2)] == [204, 204]
    assert [(b["account"], b["handle"]) for b in caller.call("GET", "/blocks").json()] == [(marco, "marco")]
    assert caller.call("PUT", "/blocks/nobody").status_code == 404
    assert caller.call("PUT", f"/blocks/{me}").status_code == 400
    assert caller.call("DELETE", f"/blocks/{marco}").status_code == 204
    assert caller.call("GET", "/blocks").json() == []


def test_an_id_of_somebody_one_never_met_is_an_id_of_nobody(caller: Caller) -> None:
    """The list of blocked people names nobody whose id was merely guessed or seen elsewhere."""
    caller.sign_up("ana")
    marco = caller.with_token(None).sign_up("marco").json()["account_id"]
    real, none = (caller.call("PUT", f"/blocks/{one}") for one in (marco, "b3b3c6a3-98c1-4f17-9c48-0f1f4fd6f6a1"))
    assert (real.status_code, real.content) == (none.status_code, none.content)
    assert caller.call("GET", "/blocks").json() == []


def test_blocking_is_limited_and_lifting_is_not(caller: Caller, world: World) -> None:
    """Trying ids at random comes to an end, known or not; after a while one more may be blocked."""
    caller.sign_up("ana")
    most = world.server.limits.block.size
    assert {caller.call("PUT", f"/blocks/{number}").status_code for number in range(most)} == {404}
    refused = caller.call("PUT", "/blocks/nobody")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limited")
    assert caller.call("DELETE", "/blocks/nobody").status_code == 204
    world.clock.now += world.server.limits.block.refill_ms
    assert caller.call("PUT", "/blocks/nobody").status_code == 404


# --- restricting ----------------------------------------------------------------------------------


def test_restricting_tells_nobody_but_ones_own_devices_and_ends_nothing(world: World) -> None:
    """Twice is once, and the connection stands; a block beside it comes and goes by itself."""
    ana, marco = world.account("ana"), world.account("marco")
    world.do(connections.grant, ana, marco)
    assert [world.do(hushes.hush, ana, marco) for _ in range(2)] == [True, True]
    assert world.ask(hushes.hushed, ana, marco)
    assert not world.ask(hushes.hushed, marco, ana)
    assert world.ask(connections.connected, ana, marco)
    heard = [signal for signal in world.heard if not isinstance(signal, Appended)]
    assert heard == [HushChanged(ana, marco, hushed=True), Changed(ana, "connections")]
    world.do(blocks.block, ana, marco)
    world.do(blocks.unblock, ana, marco)
    assert world.ask(hushes.hushed, ana, marco)
    world.do(hushes.unhush, ana, marco)
    world.do(hushes.unhush, ana, marco)
    assert world.ask(hushes.everyone) == []
    assert [type(event).__name__ for event in world.events()][-1] == "Unhushed"
    assert world.do(hushes.hush, ana, ana) is False
    assert world.do(hushes.hush, ana, "nobody") is False


def test_restricting_over_http_is_listed_lifted_and_exported_like_a_block(caller: Caller, world: World) -> None:
    """Only for whoever did it: the other side's export and lists have no trace of it, and hers have."""
    me = caller.sign_up("ana").json()["account_id"]
    other = caller.with_token(None)
    marco = other.sign_up("marco").json()["account_id"]
    world.do(connections.grant, me, marco)
    before = other.call("GET", "/me/export").content
    assert [caller.call("PUT", f"/hushes/{marco}").status_code for _ in range(2)] == [204, 204]
    listed = caller.call("GET", "/hushes").json()
    assert [(one["account"], one["handle"]) for one in listed] == [(marco, "marco")]
    assert other.call("GET", "/hushes").json() == []
    assert other.call("GET", "/me/export").content == before
    exported = caller.call("GET", "/me/export").json()
    assert exported["restricted_by_me"] == listed
    assert exported["history"][-1]["kind"] == "people:person:hushed"
    assert caller.call("PUT", f"/hushes/{me}").status_code == 400
    assert caller.call("DELETE", f"/hushes/{marco}").status_code == 204
    assert caller.call("GET", "/hushes").json() == []


def test_who_one_never_met_is_restricted_like_nobody_and_not_for_ever(caller: Caller, world: World) -> None:
    """An id that was guessed gets the answer of an id of nobody; guessing has a limit, lifting has none."""
    caller.sign_up("ana")
    marco = caller.with_token(None).sign_up("marco").json()["account_id"]
    real, none = (caller.call("PUT", f"/hushes/{one}") for one in (marco, "b3b3c6a3-98c1-4f17-9c48-0f1f4fd6f6a1"))
    assert (real.status_code, real.content) == (none.status_code, none.content) == (404, none.content)
    most = world.server.limits.hush.size
    answers = [caller.call("PUT", f"/hushes/{number}").status_code for number in range(most - 1)]
    assert answers == [404] * (most - 2) + [429]
    assert caller.call("DELETE", "/hushes/nobody").status_code == 204


# --- ages move on ---------------------------------------------------------------------------------


def test_a_birthday_moves_the_band_and_keeps_the_door_closed(world: World) -> None:
    """On turning 18 nobody new can reach her until she opens the door herself."""
    mia = world.account("mia", TEEN)
    assert world.do(flows.advance_bands) == 0
    world.clock.now += DAY
    assert world.do(flows.advance_bands) == 1
    assert world.do(flows.advance_bands) == 0
    person = world.ask(facts.load, mia)
    assert (person.band, person.minor_as_target, person.controls.requests) == ("18+", False, "nobody")
    world.do(flows.set_controls, mia, "everyone")
    assert world.ask(facts.load, mia).controls.requests == "everyone"


def test_a_band_long_overdue_moves_step_by_step(world: World) -> None:
    """After years without the job, each step is recorded."""
    world.account("kim", Placed("13-15", START + DAY))
    world.clock.now += 1000 * DAY
    assert [world.do(flows.advance_bands) for _ in range(3)] == [1, 1, 0]
    assert world.ask(facts.load, "kim").band == "18+"


@pytest.mark.parametrize(
    ("before", "to", "reviewed", "done"),
    [
        ("18+", "16-17", False, True),
        ("18+", "unknown", False, True),
        ("16-17", "18+", False, False),
        ("13-15", "16-17", False, False),
        ("13-15", "18+", True, True),
        ("18+", "13-15", True, True),
    ],
)
def test_an_age_is_lowered_at_a_word_and_raised_only_by_review(
    world: World, before: Any, to: Any, reviewed: bool, done: bool
) -> None:
    """Lowered without review: protected like a minor, judged like an adult."""
    ana = world.account("ana", Placed(before, None))
    assert world.do(flows.correct_band, ana, Placed(to, None), reviewed=reviewed) is done
    person = world.ask(facts.load, ana)
    assert person.band == (to if done else before)
    if done:
        assert person.minor_as_target is (to != "18+")
        assert person.minor_as_actor is (reviewed and to in ("13-15", "16-17"))


def test_a_lowered_age_stays_unreviewed_through_a_birthday(world: World) -> None:
    """Time alone does not confirm what nobody has looked at."""
    ana = world.account("ana")
    world.do(flows.correct_band, ana, Placed("13-15", START + DAY), reviewed=False)
    world.clock.now += DAY
    world.do(flows.advance_bands)
    person = world.ask(facts.load, ana)
    assert (person.band, person.minor_as_target, person.minor_as_actor) == ("16-17", True, False)


def test_protections_are_listed_with_their_end() -> None:
    """A minor's name the month they end and cannot be changed; an adult has the ones that everybody has."""
    teens = protections.protections("16-17", START, OPEN)
    adults = protections.protections("18+", None, OPEN)
    assert {p.id: p.until_ms for p in teens if p.until_ms} == dict.fromkeys(
        ("unconnected-adults", "groups-by-contacts", "contacts-hidden", "age-hidden"), START
    )
    assert not any(p.changeable for p in teens)
    assert {p.id for p in adults} == {p.id for p in teens if p.until_ms is None}
    unknown = protections.protections("unknown", None, OPEN)
    assert {p.id for p in unknown} == {p.id for p in teens}


def test_what_is_switched_off_is_listed_as_changeable() -> None:
    """Receipts, typing and a closed door: each line stands for one switch."""
    shown = protections.protections("18+", None, Controls("nobody"))
    assert [p.id for p in shown if p.changeable] == ["requests-closed", "read-receipts-off", "typing-off"]


# --- what others see of reading and writing -------------------------------------------------------


def seen(world: World, account: str) -> tuple[bool, bool]:
    """Whether others see that she has read, and that she writes."""
    controls = world.ask(facts.load, account).controls
    return controls.read_receipts, controls.typing


@pytest.mark.parametrize(("band", "on"), [("13-15", False), ("16-17", False), ("unknown", False), ("18+", True)])
def test_reading_and_writing_are_seen_of_adults_only_unless_chosen(world: World, band: Any, on: bool) -> None:
    """Off for minors and for whom no age is known; each switch is her own to change."""
    ana = world.account("ana", Placed(band, None))
    assert seen(world, ana) == (on, on)
    world.do(flows.set_controls, ana, read_receipts=not on)
    assert seen(world, ana) == (not on, on)
    world.do(flows.set_controls, ana, typing=not on)
    assert seen(world, ana) == (not on, not on)
    assert world.ask(facts.load, ana).controls.requests == "everyone"


@pytest.mark.parametrize("band", ["13-15", "16-17", "unknown"])
def test_an_age_corrected_below_eighteen_switches_them_off_at_once(world: World, band: Any) -> None:
    """And her later choice to have them stays."""
    ana = world.account("ana")
    world.do(flows.correct_band, ana, Placed(band, None), reviewed=False)
    assert seen(world, ana) == (False, False)
    world.do(flows.set_controls, ana, typing=True)
    world.do(flows.correct_band, ana, Placed("13-15", None), reviewed=True)
    assert seen(world, ana) == (False, True)


def test_a_birthday_changes_neither_way(world: World) -> None:
    """The protections of a minor are kept until she opts out."""
    mia, kim = world.account("mia", TEEN), world.account("kim", TEEN)
    world.do(flows.set_controls, kim, read_receipts=True)
    world.clock.now += DAY
    assert world.do(flows.advance_bands) == 2
    assert seen(world, mia) == (False, False)
    assert seen(world, kim) == (True, False)


def test_choosing_what_is_already_so_writes_nothing(world: World) -> None:
    """No event, no doorbell."""
    ana = world.account("ana")
    count = len(world.events())
    world.do(flows.set_controls, ana, "everyone", read_receipts=True, typing=True)
    world.do(flows.set_controls, "nobody-at-all", "everyone")
    assert len(world.events()) == count


# --- devices --------------------------------------------------------------------------------------


def test_one_more_device_than_allowed_signs_out_the_one_longest_unseen(world: World) -> None:
    """Refusing instead would lock out whoever lost her devices."""
    from people.conftest import arrival  # noqa: PLC0415

    ana, first, _ = world.signed_up("ana")
    added = []
    for _ in range(Limits().devices):
        world.clock.now += 2 * HOUR
        done = world.do(flows.sign_in, ana, verified_hash="none", arrival=arrival())
        added.append(done.device)
    assert world.ask(devices.device_owner, first) is None
    assert all(world.ask(devices.device_owner, device) == ana for device in added)


def test_a_password_changed_meanwhile_signs_nobody_in(world: World) -> None:
    """Between verifying and the transaction, the hash may have changed."""
    from people.conftest import arrival  # noqa: PLC0415

    ana, _, _ = world.signed_up("ana")
    assert world.do(flows.sign_in, ana, verified_hash="older", arrival=arrival()) is None
    assert world.do(flows.change_password, ana, verified_hash="older", new_hash="x") is False


# --- limits ---------------------------------------------------------------------------------------

RATE = Rate(3, 1000)


@given(st.lists(st.integers(min_value=-5000, max_value=5000), max_size=60))
def test_no_stretch_of_time_holds_more_than_a_bucket_allows(steps: list[int]) -> None:
    """However the clock jumps: at most the size, and one more per refill of time that really passed forward."""
    now, granted, forward, bucket = START, 0, 0, None
    for step in steps:
        now += step
        forward += max(0, step)
        bucket, wait = take(bucket, RATE, now)
        granted += wait is None
        assert 0 <= bucket.level <= RATE.size * RATE.refill_ms
    assert granted <= RATE.size + forward // RATE.refill_ms


def test_waiting_as_long_as_told_is_enough() -> None:
    """The wait that a refusal names is exact."""
    bucket = Bucket(0, START)
    wait = take(bucket, RATE, START).retry_after_ms
    assert wait is not None
    assert take(bucket, RATE, START + wait - 1).retry_after_ms == 1
    assert take(bucket, RATE, START + wait).retry_after_ms is None


def test_limits_survive_a_restart_and_name_nobody(world: World) -> None:
    """The rows are there after opening the file again; they hold no address and no handle."""
    charges = (Charge("sign-in", "from 192.0.2.7", Rate(1, HOUR)), Charge("sign-in", "as ana", Rate(9, HOUR)))
    assert world.do(charge, b"k" * 32, charges) is None
    again = Database(world.database.path, PROJECTORS, clock=Clock(START + 1))
    assert again.write_now(charge, b"k" * 32, charges) == HOUR - 1
    rows = again.read_now(lambda reader: reader.all(store.buckets.select()))
    again.close_now()
    assert len(rows) == 2
    assert not any("192.0.2.7" in row.bucket or "ana" in row.bucket for row in rows)


def test_a_refused_act_counts_against_no_limit(world: World) -> None:
    """One used-up limit does not eat the others."""
    narrow, wide = Charge("a", "x", Rate(1, HOUR)), Charge("b", "x", Rate(2, HOUR))
    assert world.do(charge, b"k", (narrow, wide)) is None
    assert world.do(charge, b"k", (narrow, wide)) == HOUR
    assert world.do(charge, b"k", (wide,)) is None
    assert world.do(charge, b"k", (wide,)) == HOUR


def test_fleeting_limits_are_bounded() -> None:
    """A flood of addresses cannot fill the memory."""
    fleeting = Fleeting(most=10)
    for number in range(100):
        assert fleeting.charge(str(number), RATE, START) is None
    assert len(fleeting._buckets) == 10


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("not an address", "elsewhere"),
    ],
)
def test_one_household_is_one_place(address: str, place: str) -> None:
    """Somebody with a whole IPv6 network has one limit, not 2^64."""
    assert place_of(address) == place


# --- passwords and texts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "fine"),
    [
        ("correct horse", True),
        ("ünïcödé wörds", True),
        ("a1b2c3d4e5", True),
        ("short", False),
        ("x" * 257, False),
        ("password", False),
        ("PASSWORD1", False),
        ("aaaaaaaaaaaa", False),
        ("ana.lopez", False),
        ("Ana.Lopez99", False),
        ("zepol.ana1", False),
        ("ana.lopez is a person", True),
    ],
)
def test_passwords_that_are_easily_guessed_are_refused(password: str, fine: bool) -> None:
    """Too short, too common, or the handle again; each with a sentence."""
    assert (passwords.flaw(password, "ana.lopez") is None) is fine


def test_the_hash_of_nobody_is_in_the_present_form_and_opens_nothing() -> None:
    """Otherwise it would cost another time than a real one."""
    assert passwords.is_outdated(passwords.NOBODY) is False
    assert passwords._matches(passwords.NOBODY, "anything") is False
    assert passwords._matches(passwords.hash_now("correct horse"), "correct horse") is True
    assert passwords._matches("not a hash", "correct horse") is False


def test_a_crowd_is_asked_to_come_back(world: World) -> None:
    """Beyond the queue nothing is hashed; afterwards there is room again, and the limits say how much."""
    server = replace(world.server, limits=Limits(hashing_threads=1, hashing_queue=2))

    async def crowd() -> list[Any]:
        tries = (server.hasher.verify(None, "correct horse") for _ in range(4))
        together = await asyncio.gather(*tries, return_exceptions=True)
        return [*together, await server.hasher.verify(None, "correct horse")]

    answers = asyncio.run(crowd())
    server.hasher.close()
    assert [type(answer) for answer in answers] == [bool, bool, passwords.Busy, passwords.Busy, bool]


def test_one_password_has_one_spelling() -> None:
    """A keyboard that composes letters and one that does not type the same password."""
    assert passwords._matches(passwords.hash_now("Zoe\u0308 likes tea"), passwords._normalised("Zoë likes tea"))


def test_standards_have_unique_ids_and_short_sentences() -> None:
    """Readable at 13: no sentence beyond 25 words, no word that accuses or shouts."""
    ids = [standard.id for standard in standards.STANDARDS]
    assert len(ids) == len(set(ids)) == len(standards.BY_ID)
    texts = [s.text for s in standards.STANDARDS] + [t.text for t in standards.TERMS]
    texts += [p.text for p in protections.protections("13-15", START, Controls("nobody"))]
    for text in texts:
        assert all(len(sentence.split()) <= 25 for sentence in re.split(r"[.?]\s*", text)), text
        assert not re.search(
            r"\b(suspicious|danger|unsafe|violation|encrypt\w*|franking|session)\b|!", text, re.IGNORECASE
        ), text


# --- replay ---------------------------------------------------------------------------------------


def _projections(database: Database) -> dict[str, list[Any]]:
    def rows(reader: Reader) -> dict[str, list[Any]]:
        return {table.name: sorted(reader.all(table.select()), key=repr) for table in _MINE}

    return database.read_now(rows)


_MINE = (
    store.accounts,
    store.devices,
    store.connections,
    store.blocks,
    store.hushes,
    store.measures,
    store.key_log,
    store.key_log_nodes,
    store.key_tree,
    store.key_versions,
)


def test_every_projection_of_this_room_is_replayed() -> None:
    """A new projection must join the list below it."""
    described = {table for table in vars(store).values() if isinstance(table, Table)}
    assert {table for table in described if table.info["kind"] == "projection"} == set(_MINE)


def test_replaying_the_ledger_rebuilds_every_projection(world: World, tmp_path: Path) -> None:
    """After a life full of events, an empty database that is told them all holds the same rows."""
    ana, phone, _ = world.signed_up("ana.b")
    mia, _, _ = world.signed_up("mia", TEEN)
    marco = world.account("marco")
    world.do(flows.set_identity, ana, aik=b"a" * 32, sealed_aik=b"s" * 60, auth_hash=b"h" * 32, reset=False)
    world.do(flows.set_identity, ana, aik=b"b" * 32, sealed_aik=b"s" * 60, auth_hash=b"h" * 32, reset=True)
    world.do(connections.grant, ana, mia)
    world.do(connections.grant, ana, marco)
    world.do(lambda tx: tx.append(RoomCreated(room="r", one=ana, other=mia)))
    world.clock.now += 5
    made = world.do(
        enforcement.impose, marco, ladder.suspended(), rule="spam", because="Slow down.", source="case:1", facts={}
    )
    world.do(blocks.block, ana, marco)
    world.do(blocks.unblock, ana, marco)
    world.do(blocks.block, mia, marco)
    world.do(hushes.hush, ana, marco)
    world.do(hushes.unhush, ana, marco)
    world.do(hushes.hush, ana, mia)
    world.do(enforcement.reverse, made, "It was a mistake.")
    world.clock.now += 2 * DAY
    world.do(flows.advance_bands)
    world.do(flows.correct_band, marco, Placed("unknown", None), reviewed=False)
    world.do(flows.set_controls, ana, "nobody", typing=False)
    world.do(flows.set_controls, mia, read_receipts=True)
    world.do(sessions.destroy, ana, phone)
    live = _projections(world.database)
    assert all(live.values())  # the control: every table has something to lose
    empty = Database(tmp_path / "again.db", {**PROJECTORS, **log.PROJECTORS}, clock=Clock(0))
    empty.create_tables()
    assert log.replay(world.database, empty) == len(world.events())
    rebuilt = _projections(empty)
    empty.close_now()
    assert rebuilt == live
