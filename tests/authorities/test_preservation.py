"""What a finished CyberTip rests on is kept whole, kept long enough, and then gone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from authorities.bureau import CANARY, Bureau
from kith.authorities import flows, preservation, sealed, store
from kith.authorities.journal import Answered
from kith.authorities.preservation import Bundle, a_year_after, bundle_of, intact
from kith.ledger.database import Row, Tx
from kith.ledger.events import PreservationEnded
from kith.ledger.limits import DAY
from kith.ledger.log import read_from
from kith.reports import keeping
from kith.reports.sealing import CannotOpen


def finished(bureau: Bureau) -> str:
    """A CyberTip that the receiver finished."""
    tip = bureau.approved()
    for answer in (Answered(200, 0, "4500001"), Answered(200, 0)):
        sending = bureau.do(flows.begin, tip, bureau.office)
        bureau.do(flows.settle, sending.entry, answer, bureau.office, 0.5)
    assert bureau.states(tip) == "FINISHED"
    return tip


def bundle(bureau: Bureau, tip: str) -> Bundle:
    """What is kept, opened."""
    [kept] = bureau.kept()

    def open_(reader: Any) -> Bundle:
        blob = reader.one(store.BUNDLE, id=kept.preservation).sealed
        return preservation.open_bundle(sealed.key_of(reader, tip, bureau.office.key), kept.preservation, blob)

    found: Bundle = bureau.ask(open_)
    return found


def rows_of(bureau: Bureau, table: str) -> list[Any]:
    """A table as a thief of the file sees it."""
    return list(apsw.Connection(str(bureau.path)).execute(f"SELECT * FROM {table}"))  # noqa: S608  a constant


def test_the_bundle_holds_report_evidence_account_and_journal(bureau: Bureau) -> None:
    """Everything that an investigator may ask for, with a manifest that fits."""
    tip = finished(bureau)
    found = bundle(bureau, tip)
    assert intact(found)
    names = set(found.parts)
    assert {
        "report.xml",
        "journal.json",
        "tip.json",
        "case.json",
        "reports.json",
        "coverage.json",
        "exhibits.json",
        "account.json",
        "envelopes.json",
    } <= names
    assert len([name for name in names if name.startswith("exhibits/")]) == 4
    assert all(CANARY.encode() in part for name, part in found.parts.items() if name.startswith("exhibits/"))
    assert found.parts["report.xml"] == bureau.read(tip).body
    assert b"192.0.2.7" in found.parts["account.json"]


def test_the_bundle_outlives_the_evidence_of_the_case(bureau: Bureau) -> None:
    """The case's key is destroyed after 180 days, this one is not."""
    tip = finished(bureau)
    bureau.clock.now += 181 * DAY
    assert bureau.do(keeping.forget, bureau.desk.limits, bureau.desk.blobs, flows.holds_case) == 1
    assert rows_of(bureau, "exhibits") == []
    assert CANARY.encode() in b"".join(bundle(bureau, tip).parts.values())


def test_evidence_of_a_tip_that_is_not_done_is_held(bureau: Bureau) -> None:
    """A draft that waits must not lose what it rests on."""
    bureau.drafted()
    bureau.clock.now += 400 * DAY
    assert bureau.do(keeping.forget, bureau.desk.limits, bureau.desk.blobs, flows.holds_case) == 0


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2027, 3, 1, 12, tzinfo=UTC)),
        (datetime(2027, 3, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime(2028, 2, 29, 1, tzinfo=UTC), datetime(2029, 3, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_year_is_a_calendar_year_and_never_a_day_short(since: datetime, until: datetime) -> None:
    """365 days would be too few across a leap day."""
    assert a_year_after(int(since.timestamp() * 1000) + 7) == int(until.timestamp() * 1000) + 7


def test_it_is_destroyed_neither_early_nor_late(bureau: Bureau) -> None:
    """With the clock set forward: a millisecond before it is there, at the moment it is gone."""
    tip = finished(bureau)
    [kept] = bureau.kept()
    assert kept.until_ms == a_year_after(bureau.clock.now)
    bureau.clock.now = kept.until_ms - 1
    assert bureau.do(preservation.end_due) == 0
    assert CANARY.encode() in b"".join(bundle(bureau, tip).parts.values())
    bureau.clock.now = kept.until_ms
    assert bureau.do(preservation.end_due) == 1
    assert bureau.do(preservation.end_due) == 0
    assert bureau.kept()[0].ended_ms == kept.until_ms
    for table in ("tip_keys", "tip_papers", "tip_calls", "preserved_bundles"):
        assert rows_of(bureau, table) == []
    assert bureau.do(flows.read, bureau.second, tip, bureau.office) == flows.DESTROYED


def test_destroying_the_key_destroys_every_copy(bureau: Bureau) -> None:
    """A backup of the sealed bytes from before opens no more, even with the server's evidence key."""
    tip = finished(bureau)
    [kept] = bureau.kept()
    backup = bureau.ask(lambda reader: reader.one(store.BUNDLE, id=kept.preservation)).sealed
    bureau.clock.now = kept.until_ms
    bureau.do(preservation.end_due)
    with pytest.raises(CannotOpen):
        bureau.ask(lambda reader: sealed.key_of(reader, tip, bureau.office.key))
    assert CANARY.encode() not in backup


def test_its_end_is_an_event_and_an_entry(bureau: Bureau) -> None:
    """So that destruction can be proven, and happened once."""
    finished(bureau)
    bureau.clock.now = bureau.kept()[0].until_ms
    bureau.do(preservation.end_due)
    events = [row.event for row in bureau.ask(read_from, 0, 1000) if isinstance(row.event, PreservationEnded)]
    assert len(events) == len(bureau.entries("preservation.ended")) == 1


def test_integrity_is_checked_every_week_and_damage_is_said(bureau: Bureau) -> None:
    """Whole: an entry that says so. A flipped bit: named, week after week."""
    finished(bureau)
    [kept] = bureau.kept()
    assert bureau.do(preservation.check_integrity, bureau.office) == []
    assert bureau.entries("preservation.checked") == []
    bureau.clock.now += 7 * DAY
    assert bureau.do(preservation.check_integrity, bureau.office) == []
    assert [row.outcome for row in bureau.entries("preservation.checked")] == ["done"]
    assert bureau.kept()[0].damaged_ms is None

    def damage(tx: Tx) -> None:
        row = Row(tx.one(store.BUNDLE, id=kept.preservation) or {})
        tx.run(store.BUNDLE_GONE, id=kept.preservation)
        flipped = bytes([row.sealed[0] ^ 1]) + row.sealed[1:]
        tx.put(store.bundles, **{**row, "sealed": flipped})

    bureau.do(damage)
    for _ in range(2):
        bureau.clock.now += 7 * DAY
        assert bureau.do(preservation.check_integrity, bureau.office) == [kept.preservation]
        assert bureau.kept()[0].damaged_ms == bureau.clock.now


def test_a_manifest_tells_a_missing_an_added_and_a_changed_part() -> None:
    """The parts must be exactly those."""
    whole = bundle_of({"a": b"1", "b": b"2"})
    assert intact(whole)
    for parts in ({"a": b"1"}, {"a": b"1", "b": b"2", "c": b""}, {"a": b"1", "b": b"3"}):
        assert not intact(Bundle(parts, whole.manifest))


def test_nothing_of_it_is_on_disk_in_clear(bureau: Bureau, tmp_path: Path) -> None:
    """Journal, paper and bundle are sealed; the control finds what is public."""
    finished(bureau)
    bureau.reopened()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert CANARY.encode() not in stored
    assert b"Sturmvogel" not in stored
    assert b"4500001" in stored
