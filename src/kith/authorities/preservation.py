"""What a finished CyberTip rests on, kept sealed for a year (18 USC 2258A(h)), looked at, and destroyed.

The bundle is JSON of named parts with a manifest of their SHA-256 hashes, sealed as a whole under the
CyberTip's data key. Ending it destroys that key, and with it everything sealed under it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import msgspec

from kith.authorities import casefile, sealed, store
from kith.authorities.office import Office
from kith.ledger import audit
from kith.ledger.database import Reader, Row, Tx
from kith.ledger.events import PreservationEnded, PreservationStarted
from kith.reports.sealing import CannotOpen, CaseKey

SERVER = "server"
ROLE = "retention"
CHECKED_AT_ONCE = 20
"""Bundles looked at in one flow; a flow stays short."""


class Bundle(msgspec.Struct, frozen=True):
    """Named parts, and what each must hash to."""

    parts: dict[str, bytes]
    manifest: dict[str, str]

    def __repr__(self) -> str:
        return f"Bundle({len(self.parts)} parts)"


class Kept(NamedTuple):
    """What is held, for the console: never a word of it."""

    preservation: str
    tip: str
    case: str
    since_ms: int
    until_ms: int
    ended_ms: int | None
    checked_ms: int | None
    damaged_ms: int | None
    sealed_hash: str | None


def a_year_after(ms: int) -> int:
    """The same moment of the next year, in UTC; from 29 February to 1 March, so never a day short."""
    at = datetime.fromtimestamp(ms // 1000, UTC)
    try:
        then = at.replace(year=at.year + 1)
    except ValueError:
        then = at.replace(year=at.year + 1, month=3, day=1)
    return int(then.timestamp()) * 1000 + ms % 1000


def bundle_of(parts: dict[str, bytes]) -> Bundle:
    """Parts with their manifest."""
    return Bundle(parts, {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()})


def intact(bundle: Bundle) -> bool:
    """Every part is there and hashes to what the manifest says."""
    return bundle_of(bundle.parts).manifest == bundle.manifest


def start(tx: Tx, tip: Row, office: Office) -> str:
    """Keep what this CyberTip rests on, from now on for a year; in the transaction that records its end."""
    key = sealed.key_of(tx, tip.tip, office.key)
    paper = tx.one(store.PAPER, id=tip.tip)
    parts = casefile.evidence_parts(tx, tip.case, tip.account, office.key)
    if paper is not None and paper.sealed_xml is not None:
        parts["report.xml"] = sealed.open_xml(key, paper.sealed_xml)
    parts["journal.json"] = msgspec.json.encode(tx.all(store.CALLS_OF, of_tip=tip.tip))
    parts["tip.json"] = msgspec.json.encode(tx.one(store.TIP, id=tip.tip))
    made = str(uuid4())
    blob = key.seal(made, msgspec.json.encode(bundle_of(parts)))
    tx.put(
        store.bundles, preservation=made, sealed=blob, sealed_hash=hashlib.sha256(blob).hexdigest(), checked_ms=tx.now
    )
    tx.append(PreservationStarted(preservation=made, tip=tip.tip, case=tip.case, until_ms=a_year_after(tx.now)))
    _enter(tx, "preservation.started", made, tip.case, after=hashlib.sha256(blob).digest())
    return made


def list_kept(reader: Reader) -> list[Kept]:
    """Everything held, next to end first."""
    return [
        Kept(
            preservation=row.preservation,
            tip=row.tip,
            case=row.case,
            since_ms=row.since_ms,
            until_ms=row.until_ms,
            ended_ms=row.ended_ms,
            checked_ms=row.checked_ms,
            damaged_ms=row.damaged_ms,
            sealed_hash=row.sealed_hash,
        )
        for row in reader.all(store.PRESERVED)
    ]


def check_integrity(tx: Tx, office: Office) -> list[str]:
    """Look at bundles not looked at for a week; the ids of those that are damaged, each also in the staff log."""
    due = tx.all(store.BUNDLES_TO_CHECK, before=tx.now - office.limits.check_integrity_ms)
    damaged = []
    for row in due[:CHECKED_AT_ONCE]:
        good = _is_good(tx, row, office)
        _enter(tx, "preservation.checked", row.preservation, row.case, outcome="done" if good else "failed")
        # A damaged one is looked at again next week too, so that it stays in sight.
        tx.run(store.BUNDLE_CHECKED, id=row.preservation, at=tx.now, damaged=None if good else tx.now)
        if not good:
            damaged.append(str(row.preservation))
    return damaged


def _is_good(reader: Reader, row: Row, office: Office) -> bool:
    bundle = reader.one(store.BUNDLE, id=row.preservation)
    if bundle is None or hashlib.sha256(bundle.sealed).hexdigest() != bundle.sealed_hash:
        return False
    try:
        return intact(open_bundle(sealed.key_of(reader, row.tip, office.key), row.preservation, bundle.sealed))
    except (CannotOpen, msgspec.DecodeError):
        return False


def open_bundle(key: CaseKey, preservation: str, blob: bytes) -> Bundle:
    """The bundle; CannotOpen when it was altered or its key is destroyed."""
    return msgspec.json.decode(key.open(preservation, blob), type=Bundle)


def end_due(tx: Tx) -> int:
    """Destroy what was kept long enough: not a moment early; returns how many."""
    due = tx.all(store.PRESERVATION_DUE, now=tx.now)
    for row in due:
        destroy_sealed(tx, row.tip)
        tx.run(store.BUNDLE_GONE, id=row.preservation)
        tx.append(PreservationEnded(preservation=row.preservation, tip=row.tip, case=row.case))
        _enter(tx, "preservation.ended", row.preservation, row.case)
    return len(due)


def destroy_sealed(tx: Tx, tip: str) -> None:
    """Destroy a CyberTip's key and everything sealed under it."""
    tx.run(store.KEY_DESTROYED, id=tip)
    tx.run(store.PAPER_GONE, id=tip)
    tx.run(store.CALLS_GONE, of_tip=tip)


def _enter(tx: Tx, action: str, object_: str, case: str, *, outcome: str = "done", after: bytes | None = None) -> None:
    audit.write(
        tx,
        audit.Access(
            actor=SERVER,
            role=ROLE,
            action=action,
            object=object_,
            case=case,
            purpose="preservation",
            outcome=outcome,
            after=after,
        ),
    )
