"""Sealed things in the database: the key of a case, its exhibits and notes, moving and destroying them.

The one place where evidence is written and read, so that what `sealing` promises holds everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec

from kith.ledger import audit
from kith.ledger.database import Reader, Tx
from kith.ledger.events import EvidenceDestroyed
from kith.reports import attachments, store
from kith.reports.attachments import Blobs
from kith.reports.evidence import Examined, Exhibit, Said
from kith.reports.limits import Limits
from kith.reports.sealing import CannotOpen, CaseKey, EvidenceKey


class Opened(NamedTuple):
    """An exhibit or note that was just read, with the id it stands under."""

    id: str
    said: Said


def key_of(tx: Tx, case: str, key: EvidenceKey) -> CaseKey:
    """The data key of a case, made at first need."""
    wrapped = tx.value(store.WRAPPED_KEY, of_case=case)
    if wrapped is not None:
        return key.unwrap(case, wrapped)
    fresh = CaseKey.fresh(case)
    tx.put(store.case_keys, case=case, wrapped=key.wrap(case, fresh))
    return fresh


def usable(reader: Reader, case: str, key: EvidenceKey) -> bool:
    """Whether something can be sealed under this case; not after its key was altered or the evidence key replaced."""
    wrapped = reader.value(store.WRAPPED_KEY, of_case=case)
    try:
        return wrapped is None or bool(key.unwrap(case, wrapped))
    except CannotOpen:
        return False


def keep_report(
    tx: Tx, key: CaseKey, report: str, note: str, examined: Examined, *, blobs: Blobs, proven_only: bool
) -> None:
    """Seal what was reported. `proven_only`: a flood of made-up items must not fill the disk."""
    kept = [exhibit for exhibit in examined.exhibits if exhibit.verified or not proven_only]
    for place, exhibit in enumerate(kept):
        made = _put_exhibit(tx, key, report, place, exhibit)
        attachments.keep(tx, blobs, (key.case, report, made), exhibit.parts)
    if note:
        put_note(tx, key, report, "report", note)
    tx.put(
        store.coverage,
        report=report,
        case=key.case,
        gaps=_json([(gap.first, gap.last) for gap in examined.gaps]),
        omitted_tail=examined.omitted_tail,
        equivocations=_json(examined.equivocations),
        unkept=len(examined.exhibits) - len(kept),
    )


def _put_exhibit(tx: Tx, key: CaseKey, report: str, place: int, exhibit: Exhibit) -> str:
    made = str(uuid4())
    tx.put(
        store.exhibits,
        exhibit=made,
        case=key.case,
        report=report,
        place=place,
        side=exhibit.side,
        flaw=exhibit.flaw,
        room_seq=exhibit.room_seq,
        accepted_ms=exhibit.accepted_ms,
        sealed=key.seal(made, exhibit.item),
    )
    return made


def put_note(tx: Tx, key: CaseKey, note: str, kind: str, words: str) -> None:
    """Seal what somebody wrote in their own words. `kind`: report, appeal or decision."""
    tx.put(store.notes, note=note, case=key.case, kind=kind, sealed=key.seal(note, words.encode()))


def open_things(
    reader: Reader, case: str, sealed: Iterable[tuple[str, bytes]], key: EvidenceKey, read: Callable[[bytes], Said]
) -> list[Opened]:
    """Open what belongs to a case; nothing once its key is destroyed. CannotOpen when something was altered."""
    wrapped = reader.value(store.WRAPPED_KEY, of_case=case)
    if wrapped is None:
        return []
    case_key = key.unwrap(case, wrapped)
    return [Opened(thing, read(case_key.open(thing, content))) for thing, content in sealed]


def raw(reader: Reader, case: str, exhibit: str, key: EvidenceKey) -> bytes | None:
    """The exact bytes of an exhibit of this case; None when there is none or its key is destroyed."""
    wrapped = reader.value(store.WRAPPED_KEY, of_case=case)
    row = next((e for e in reader.all(store.EXHIBITS, of_case=case) if e.exhibit == exhibit), None)
    return None if wrapped is None or row is None else key.unwrap(case, wrapped).open(exhibit, row.sealed)


def read_note(words: bytes) -> Said:
    """A note as it was written."""
    return Said(kind="note", text=words.decode())


def move(tx: Tx, case: str, into: str, key: EvidenceKey) -> None:
    """Seal everything anew under another case: evidence opens only under the case it belongs to."""
    old, new = key_of(tx, case, key), key_of(tx, into, key)
    for e in tx.all(store.EXHIBITS, of_case=case):
        moved = new.seal(e.exhibit, old.open(e.exhibit, e.sealed))
        tx.run(store.SET_EXHIBIT, id=e.exhibit, to_case=into, new_sealed=moved)
    for note in tx.all(store.SEALED_NOTES, of_case=case):
        moved = new.seal(note.note, old.open(note.note, note.sealed))
        tx.run(store.SET_NOTE, id=note.note, to_case=into, new_sealed=moved)
    tx.run(store.MOVE_COVERAGE, of_case=case, to_case=into)
    tx.run(store.MOVE_ATTACHMENTS, of_case=case, to_case=into)
    tx.run(store.FORGET_KEY, of_case=case)


FORGOTTEN_AT_ONCE: Final = 50
"""Cases whose evidence one flow destroys; a flow stays short."""


def forget(tx: Tx, limits: Limits, blobs: Blobs, held: Callable[[Reader, str], bool]) -> int:
    """Destroy key and evidence of cases closed long ago, appeal included; how many. `held(reader, case)` keeps one.

    Returns `FORGOTTEN_AT_ONCE` when there may be more.
    """
    before, done = tx.now - limits.evidence_kept_ms, 0
    for row in tx.all(store.EXPIRED_CASES, before_ms=before):
        if done == FORGOTTEN_AT_ONCE:
            break
        appealed = tx.one(store.LATE_APPEAL_OF, of_case=row.case, before_ms=before) is not None
        if not appealed and not held(tx, row.case):
            attachments.release(tx, blobs, row.case)
            _destroy(tx, row.case)
            done += 1
    return done


def _destroy(tx: Tx, case: str) -> None:
    for statement in (
        store.FORGET_KEY,
        store.FORGET_EXHIBITS,
        store.FORGET_NOTES,
        store.FORGET_COVERAGE,
        store.FORGET_VIEWS,
    ):
        tx.run(statement, of_case=case)
    tx.append(EvidenceDestroyed(case=case))
    audit.write(tx, audit.Access(actor="server", role="retention", action="evidence.destroyed", object=case, case=case))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
