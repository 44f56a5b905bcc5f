"""The staff log: every act and every *read* by staff, append-only and hash-chained.

An entry is written in the transaction of the act it records: no entry, no act. Entries name
pseudonymous ids and closed words, never people. The entry hash is SHA-256(0x00 ‖ prev ‖ entry), which is
also the RFC 9162 leaf hash of `prev ‖ entry`, so `merkle` proves inclusion and consistency over the same
leaves. The chain alone does not show a cut end or a log rewritten from the start: a head kept *outside*
(`seq:hash`, from `head`) does.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Self

import msgspec
from sqlalchemy import bindparam, desc, func, or_, select

from kith.ledger.database import Reader, Row, Tx
from kith.ledger.schema import data, number, table, text

LONGEST_FIELD = 300
"""Characters in one field of an entry; purposes are short and name nobody."""
GENESIS = bytes(32)
"""What stands before the first entry."""
_PAGE = 1000
_HASH_BYTES = 32


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What a member of staff did or read, before it gets its place in the log.

    `actor` is a staff pseudonym or id, `action` a closed word such as `evidence.read`, `object` an id.
    `before` and `after` are SHA-256 hashes of the object's state where the act changed it.
    Raises ValueError when a field is too long or holds control characters.
    """

    actor: str
    role: str
    action: str
    object: str
    case: str | None = None
    purpose: str = ""
    outcome: str = "done"
    request: str | None = None
    before: bytes | None = None
    after: bytes | None = None

    def __post_init__(self) -> None:
        for name in ("actor", "role", "action", "object", "case", "purpose", "outcome", "request"):
            words = getattr(self, name)
            if words is not None and (len(words) > LONGEST_FIELD or not words.isprintable()):
                raise ValueError(f"audit: {name} must be at most {LONGEST_FIELD} printable characters")
        if any(state is not None and len(state) != _HASH_BYTES for state in (self.before, self.after)):
            raise ValueError("audit: before and after are SHA-256 hashes")


class Entry(Access, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An access with its place in the chain. `ms` = milliseconds since 1970 UTC."""

    seq: int
    ms: int
    prev: bytes
    hash: bytes


class Head(msgspec.Struct, frozen=True):
    """Where the log stood at some time; kept outside, it makes cutting and rewriting visible."""

    seq: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"

    @classmethod
    def parse(cls, words: str) -> Self:
        """Read `seq:hash`; raises ValueError when it is not one."""
        seq, _, digest = words.strip().partition(":")
        hash_ = bytes.fromhex(digest)
        if not seq.isascii() or not seq.isdigit() or len(hash_) != _HASH_BYTES:
            raise ValueError("a head reads NUMBER:64 hexadecimal digits")
        return cls(int(seq), hash_)


class Intact(msgspec.Struct, frozen=True):
    """Every entry stands where and as it was written; `anchored` when an outside head was compared."""

    head: Head
    anchored: bool


class Broken(msgspec.Struct, frozen=True):
    """The first entry (by number) that does not hold, and why."""

    at: int
    why: str


audit = table(
    "audit",
    number("seq", "1, 2, 3 … without a gap", key=True),
    number("ms", "when"),
    text("actor", "staff pseudonym or id"),
    text("role", "the role under which it was done"),
    text("action", "what was done or read, a closed word"),
    text("object", "id of what it was done to"),
    text("case", "id of the case it was done for", null=True),
    text("purpose", "why, in short words that name nobody"),
    text("outcome", "done, refused or failed"),
    text("request", "id of the console request", null=True),
    data("before", "SHA-256 of the object's state before", null=True),
    data("after", "SHA-256 of the object's state after", null=True),
    data("prev", "hash of the entry before; 32 zero bytes for the first"),
    data("hash", "SHA-256(0x00 ‖ prev ‖ entry)"),
    purpose="accountability of staff and of what leaves for authorities: every act and every read",
    retention="2 years",
    kind="log",
)

_LAST = select(audit.c.seq, audit.c.hash).order_by(desc(audit.c.seq)).limit(1)
_FROM = select(audit).where(audit.c.seq > bindparam("after_seq")).order_by(audit.c.seq).limit(_PAGE)
_LOWEST = select(audit).order_by(audit.c.seq).limit(_PAGE)
_OPENINGS = ("evidence.read", "note.read", "tip.read", "tip.evidence-read")
"""Acts that show somebody, or the server itself, what was handed in."""
_READS = (
    select(func.count())
    .select_from(audit)
    .where(or_(*(audit.c.action == action for action in _OPENINGS)), audit.c.outcome == "done")
)
_RECENT = select(audit).order_by(desc(audit.c.seq)).limit(bindparam("most"))


def encode(access: Access, *, seq: int, ms: int) -> bytes:
    """The one way to write an entry down: u64 seq ‖ u64 ms ‖ fields, each with its length.

    A missing field is one byte 0x00; a present one is 0x01 ‖ u32 length ‖ UTF-8 or raw bytes, so that no
    two entries share an encoding.
    """
    return b"".join(
        (
            seq.to_bytes(8, "big"),
            ms.to_bytes(8, "big"),
            *(
                _field(value)
                for value in (
                    access.actor,
                    access.role,
                    access.action,
                    access.object,
                    access.case,
                    access.purpose,
                    access.outcome,
                    access.request,
                    access.before,
                    access.after,
                )
            ),
        )
    )


def _field(value: str | bytes | None) -> bytes:
    if value is None:
        return b"\x00"
    raw = value.encode() if isinstance(value, str) else value
    return b"\x01" + len(raw).to_bytes(4, "big") + raw


def entry_hash(prev: bytes, entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ prev ‖ entry)."""
    return hashlib.sha256(b"\x00" + prev + entry).digest()


def write(tx: Tx, access: Access) -> Head:
    """Append an entry in the transaction of the act itself; if it cannot be written, the act does not happen."""
    last = head(tx)
    seq = last.seq + 1
    made = entry_hash(last.hash, encode(access, seq=seq, ms=tx.now))
    tx.put(audit, seq=seq, ms=tx.now, prev=last.hash, hash=made, **msgspec.structs.asdict(access))
    return Head(seq, made)


def head(reader: Reader) -> Head:
    """The last entry's number and hash; `0:00…` for an empty log."""
    row = reader.one(_LAST)
    return Head(0, GENESIS) if row is None else Head(row.seq, row.hash)


def recent(reader: Reader, most: int = 100) -> list[Row]:
    """The newest entries, newest first, for the auditor's page."""
    return reader.all(_RECENT, most=most)


def reads(reader: Reader) -> int:
    """How often something that was handed in was opened: messages, notes, CyberTips."""
    return int(reader.value(_READS))


def verify(reader: Reader, kept: Head | None = None) -> Intact | Broken:
    """Re-compute the whole chain and compare it with a head that was kept outside."""
    return check(_rows(reader), kept)


def check(rows: Iterable[Row], kept: Head | None = None) -> Intact | Broken:
    """As `verify`, over rows in order of `seq`; tells alteration, deletion, insertion, reordering, cuts and forks."""
    last = Head(0, GENESIS)
    for row in rows:
        at = last.seq + 1
        why = _fault(row, last)
        if why is None and kept is not None and at == kept.seq and not hmac.compare_digest(row["hash"], kept.hash):
            why = "differs from the head kept outside: the log was rewritten up to here"
        if why is not None:
            return Broken(at, why)
        last = Head(at, row["hash"])
    if kept is not None and last.seq < kept.seq:
        return Broken(last.seq + 1, f"missing: the head kept outside is number {kept.seq}; the end was cut off")
    return Intact(last, anchored=kept is not None)


def _fault(row: Row, before: Head) -> str | None:
    try:
        entry = msgspec.convert(dict(row), Entry)
        encoded = encode(entry, seq=entry.seq, ms=entry.ms)
    except (msgspec.ValidationError, OverflowError, ValueError) as failure:
        return f"unreadable: {failure}"
    if entry.seq != before.seq + 1:
        return f"number {entry.seq} stands here: an entry was deleted, inserted or moved"
    if entry.prev != before.hash:
        return "does not follow the entry before it"
    if entry_hash(entry.prev, encoded) != entry.hash:
        return "was altered: its hash does not fit its words"
    return None


def _rows(reader: Reader) -> Iterator[Row]:
    page = reader.all(_LOWEST)
    while page:
        yield from page
        page = reader.all(_FROM, after_seq=page[-1]["seq"])


def leaves(reader: Reader) -> list[bytes]:
    """The entry hashes in order: leaf hashes of the RFC 9162 tree over the log."""
    return [bytes(row["hash"]) for row in _rows(reader)]
