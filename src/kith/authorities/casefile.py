"""What a decided case holds: the facts of a draft, and the raw evidence that is preserved.

Reads the rooms below through their own statements and opens sealed evidence with the case's key; who does
so and why is entered in the staff log by the caller, in the same transaction.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from kith.authorities import store
from kith.authorities.draft import Account, CaseFacts, Conversation, Line, SignIn
from kith.ledger.database import Reader, Row, decode_json
from kith.people import enforcement, facts
from kith.people import store as people
from kith.reports import store as reports
from kith.reports.evidence import FLAWS, SaidFile, read_exhibit
from kith.reports.sealing import CannotOpen, CaseKey, EvidenceKey

UNREADABLE = "[this message could not be opened by the service]"
Suspended: TypeAlias = Literal["no", "for a time", "until reversed"]


def case_facts(reader: Reader, case: str, *, server: str, key: EvidenceKey) -> CaseFacts | None:
    """Everything that a CyberTip about this case may say; None when the case or the account is gone."""
    row = reader.one(reports.CASE, id=case)
    account = None if row is None else account_of(reader, row.account)
    if row is None or account is None:
        return None
    filed = reader.all(reports.REPORTS_OF_CASE, of_case=case)
    reporters = [known for known in (account_of(reader, who) for who in _distinct(filed)) if known is not None]
    return CaseFacts(
        server=server,
        reported=account,
        reporters=tuple(reporters),
        minors=frozenset(known.id for known in reporters if _is_minor(reader, known.id)),
        conversations=tuple(_conversation(reader, report, _key(reader, case, key)) for report in filed),
        sign_ins=_sign_ins(reader, row.account),
        suspended=_suspended(reader, row.imposed),
        imminent=row.severity == "imminent",
        decided_ms=row.closed_ms or reader.now,
        prior_reports=tuple(int(prior.report_id) for prior in reader.all(store.PRIOR, about=row.account)),
    )


def account_of(reader: Reader, account: str) -> Account | None:
    """An account with its names."""
    person, card = facts.load(reader, account), facts.card(reader, account)
    if person is None:
        return None
    return Account(
        id=account,
        handle="" if card is None else card.handle,
        display_name="" if card is None else card.display_name,
        band=person.band,
        created_ms=person.created_ms,
    )


def _distinct(filed: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.reporter for row in filed))


def _is_minor(reader: Reader, account: str) -> bool:
    person = facts.load(reader, account)
    return person is not None and person.minor_as_target


def _sign_ins(reader: Reader, account: str) -> tuple[SignIn, ...]:
    rows = reader.all(people.SIGN_INS_OF, whose=account)
    return tuple(SignIn(way=row.way, at_ms=row.at_ms, address=row.address) for row in rows)


def _suspended(reader: Reader, measure: str | None) -> Suspended:
    found = None if measure is None else enforcement.measure_of(reader, measure)
    if found is None or found[1].what != "suspended":
        return "no"
    return "until reversed" if found[1].until_ms is None else "for a time"


def _key(reader: Reader, case: str, key: EvidenceKey) -> CaseKey | None:
    """The case's data key; None when it was destroyed or does not open, which shows as unreadable messages."""
    wrapped = reader.value(reports.WRAPPED_KEY, of_case=case)
    try:
        return None if wrapped is None else key.unwrap(case, wrapped)
    except CannotOpen:
        return None


def _conversation(reader: Reader, report: Row, key: CaseKey | None) -> Conversation:
    exhibits = [e for e in reader.all(reports.EXHIBITS, of_case=report.case) if e.report == report.report]
    coverage = {row.report: row for row in reader.all(reports.COVERAGE, of_case=report.case)}.get(report.report)
    note = reader.one(reports.NOTE, id=report.report, of_case=report.case)
    return Conversation(
        room=report.room or "",
        reporter=report.reporter,
        filed_ms=report.filed_ms,
        lines=tuple(_line(row, key) for row in exhibits),
        gaps=() if coverage is None else decode_json(coverage.gaps, tuple[tuple[int, int], ...]),
        omitted_tail=None if coverage is None else coverage.omitted_tail,
        note="" if note is None or key is None else _opened(key, note.note, note.sealed, b"").decode(),
    )


def _line(row: Row, key: CaseKey | None) -> Line:
    item = b"" if key is None else _opened(key, row.exhibit, row.sealed, b"")
    said = read_exhibit(item) if item else None
    return Line(
        side=row.side,
        seq=row.room_seq,
        at_ms=row.accepted_ms,
        text=UNREADABLE if said is None else f"[{said.kind}] {said.text}" if said.kind != "message" else said.text,
        flaw=None if row.flaw is None else FLAWS[row.flaw],
        attachments=() if said is None else tuple(map(_described, said.files)),
    )


def _described(file: SaidFile) -> str:
    return f"{file.name or 'attachment'} ({file.media_type}, {file.size} bytes)"


def _opened(key: CaseKey, thing: str, sealed: bytes, otherwise: bytes) -> bytes:
    """What was sealed; a damaged one must not keep the rest from an investigator, and shows as unreadable."""
    try:
        return key.open(thing, sealed)
    except CannotOpen:
        return otherwise


def evidence_parts(reader: Reader, case: str, account: str, key: EvidenceKey) -> dict[str, bytes]:
    """What is preserved of a case beside the report itself, by name: raw exhibits, coverage, account, envelopes."""
    case_key = _key(reader, case, key)
    exhibits = reader.all(reports.EXHIBITS, of_case=case)
    filed = reader.all(reports.REPORTS_OF_CASE, of_case=case)
    parts = {
        "case.json": _json([reader.one(reports.CASE, id=case) or {}]),
        "reports.json": _json(filed),
        "coverage.json": _json(reader.all(reports.COVERAGE, of_case=case)),
        "exhibits.json": _json([{k: v for k, v in row.items() if k != "sealed"} for row in exhibits]),
        "account.json": _json(_account_rows(reader, account)),
        "envelopes.json": _json(_envelopes(reader, account, filed)),
    }
    if case_key is not None:
        for row in exhibits:
            parts[f"exhibits/{row.exhibit}"] = _opened(case_key, row.exhibit, row.sealed, b"")
        for note in reader.all(reports.SEALED_NOTES, of_case=case):
            parts[f"notes/{note.note}"] = _opened(case_key, note.note, note.sealed, b"")
    return parts


def _account_rows(reader: Reader, account: str) -> Mapping[str, object]:
    return {
        "account": reader.one(people.ACCOUNT, id=account),
        "profile": reader.one(people.PROFILE, id=account),
        "devices": reader.all(people.DEVICES_OF, whose=account),
        "sign_ins": reader.all(people.SIGN_INS_OF, whose=account),
        "measures": reader.all(people.MEASURES_OF, whose=account),
    }


def _envelopes(reader: Reader, account: str, filed: Sequence[Row]) -> list[Row]:
    rooms = dict.fromkeys(row.room for row in filed if row.room is not None)
    return [row for room in rooms for row in reader.all(store.ENVELOPES, whose=account, where=room)]


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=_bytes_as_text)


def _bytes_as_text(value: object) -> object:
    if isinstance(value, memoryview | bytearray):
        return base64.b64encode(value).decode()
    raise TypeError(f"cannot write down a {type(value).__name__}")
