"""The attachments of reported messages: which of them the server still has, and opening one for a reviewer.

Evidence is `messageId + partIndex` and never the ciphertext's hash: one ciphertext may open to two files under two
keys, and both messages are then evidence of their own (franking.md section 9). The committed key and hash decide.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, cast

from kith.ledger.database import Database, Reader, Row, Tx
from kith.ledger.signals import Changed
from kith.protocol import content as mimi
from kith.protocol.attachments import (
    BLOCK,
    MEDIA,
    TAG,
    AttachmentRefusedError,
    Hashing,
    Media,
    Opener,
    Sealed,
    decryptor_at,
    media_type,
    read_media,
    sealed_of,
    shown_of,
)
from kith.protocol.content import ExternalPart, MimiContent, message_id
from kith.protocol.franking import ReportItem
from kith.protocol.wire import Malformed
from kith.reports import looks, store

MAX_PARTS: Final = 10
"""External parts of one message that are kept: as many as clients show, and those that they show first."""


class Blobs(Protocol):
    """Where ciphertexts lie; messaging's functions, passed in by app. `holder` is the id of an exhibit."""

    def hold(self, tx: Tx, blob: str, size: int, holder: str) -> bool:
        """Keep a complete blob of this size, whatever becomes of it; False when it is not there."""

    def release(self, tx: Tx, holder: str) -> None:
        """It is evidence no more."""

    def is_own(self, reader: Reader, account: str, blob: str) -> bool:
        """Whether this account uploaded it, and it is complete."""

    async def is_there(self, blob: str, size: int) -> bool | None:
        """Whether a held blob of this size still lies in storage; None while that does not answer."""

    def read(self, blob: str, size: int, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes of a held blob, in pieces; AttachmentRefusedError when they are not there as a blob of this size."""


class Nowhere:
    """A server that keeps no attachments."""

    def hold(self, tx: Tx, blob: str, size: int, holder: str) -> bool:  # noqa: ARG002  it has none
        """It has none."""
        return False

    def release(self, tx: Tx, holder: str) -> None:
        """Nothing was held."""

    def is_own(self, reader: Reader, account: str, blob: str) -> bool:  # noqa: ARG002  it has none
        """It has none."""
        return False

    async def is_there(self, blob: str, size: int) -> bool | None:  # noqa: ARG002  it has none
        """It has none."""
        return False

    def read(self, blob: str, size: int, start: int, stop: int) -> AsyncIterator[bytes]:  # noqa: ARG002  it has none
        """It has none."""
        raise AttachmentRefusedError("attachment_missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An external part of a genuine message: what the message commits to, without the key."""

    part: int
    message: bytes
    blob: str
    size: int
    content_hash: bytes
    pieces: bytes | None
    """The hash of each piece, joined; None when the message commits to none."""


def parts_of(item: ReportItem, server: str) -> tuple[Part, ...]:
    """What a verified exhibit refers to beside its words."""
    try:
        content = mimi.decode(item.content)
    except Malformed:
        return ()
    identity = message_id(content.sender_uri, content.room_uri, item.content, content.salt)
    shown = {file.part for file in shown_of(content, server).files}
    found = sorted(_external(content), key=lambda one: one[0] not in shown)  # parts nobody is shown displace none
    sealed = [(number, sealed_of(part, server)) for number, part in found[:MAX_PARTS]]
    pieces = _pieces(content)
    return tuple(
        Part(
            part=number,
            message=identity,
            blob=one.blob,
            size=one.size,
            content_hash=one.content_hash,
            pieces=pieces[number],
        )
        for number, one in sealed
        if one is not None
    )


def _pieces(content: MimiContent) -> dict[int, bytes | None]:
    external = _external(content)
    facts = read_media(content.extensions.get(MEDIA), [part.size for _, part in external])
    return {
        number: b"".join(one.chunks) if one is not None and one.chunks else None
        for (number, _), one in zip(external, facts, strict=True)
    }


def _external(content: MimiContent) -> list[tuple[int, ExternalPart]]:
    return [(n, part) for n, part in mimi.numbered_parts(content.part) if isinstance(part, ExternalPart)]


# --- keeping ------------------------------------------------------------------------------------------------------


class Missing(NamedTuple):
    """A part whose bytes the server does not have; the reporter's device may."""

    message: bytes
    part: int

    def as_named(self) -> dict[str, object]:
        """As docs/api.md names it."""
        return {"message_id": self.message.hex(), "part": self.part}


def keep(tx: Tx, blobs: Blobs, place: tuple[str, str, str], parts: tuple[Part, ...]) -> None:
    """Hold what is there and note what is not. `place`: case, report, exhibit."""
    case, report, exhibit = place
    for one in parts:
        held = blobs.hold(tx, one.blob, one.size, exhibit)
        tx.put(
            store.attachments,
            exhibit=exhibit,
            part=one.part,
            case=case,
            report=report,
            message=one.message,
            blob=one.blob if held else None,
            size=one.size,
            content_hash=one.content_hash,
            pieces=one.pieces,
            lost_ms=None,
        )


def missing(reader: Reader, report: str) -> list[Missing]:
    """What the reporter's device is asked for."""
    return [Missing(row.message, row.part) for row in reader.all(store.ATTACHMENTS_MISSING, of_report=report)]


class Wanted(NamedTuple):
    """A missing part that a reporter may hand in."""

    exhibit: str
    part: int
    size: int
    content_hash: bytes
    pieces: bytes | None = None


def wanted(reader: Reader, blobs: Blobs, offer: Offer) -> Wanted | None:
    """The part that this person may hand in with a blob of her own; None when there is nothing of the kind."""
    filed = reader.one(store.REPORT, which=offer.report)
    if filed is None or filed.reporter != offer.account or not blobs.is_own(reader, offer.account, offer.blob):
        return None
    rows = reader.all(store.ATTACHMENTS_MISSING, of_report=offer.report)
    row = next((row for row in rows if (row.message, row.part) == (offer.message, offer.part)), None)
    return None if row is None else _wanted(row)


def _wanted(row: Row) -> Wanted:
    return Wanted(row.exhibit, row.part, row.size, row.content_hash, row.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A reporter hands in the ciphertext of a part that expired: an upload of her own."""

    account: str
    report: str
    message: bytes
    part: int
    blob: str


async def is_genuine(blobs: Blobs, blob: str, part: Wanted) -> bool:
    """Whether these bytes are those that the message commits to, as a whole or piece by piece, whoever brings them.

    Players show pieces by their own hashes. A sender whose hash of the whole is another must not get a film that was
    seen and that nobody can hand in.
    """
    hashing = Hashing()
    try:
        async for piece in blobs.read(blob, part.size, 0, part.size):
            await asyncio.to_thread(hashing.update, piece)
    except AttachmentRefusedError:  # of another size, or taken back meanwhile
        return False
    sums = hashing.sums(b"")
    return hmac.compare_digest(sums.content_hash, part.content_hash) or b"".join(sums.chunks) == part.pieces


def hand_in(tx: Tx, blobs: Blobs, offer: Offer) -> bool:
    """Hold what was found genuine; False when the report or the upload went meanwhile."""
    part = wanted(tx, blobs, offer)
    if part is None or not blobs.hold(tx, offer.blob, part.size, part.exhibit):
        return False
    tx.run(store.ATTACHMENT_HERE, of_exhibit=part.exhibit, number=part.part, there=offer.blob, none=None)
    return True


LOST: Final = frozenset({"attachment_missing", "attachment_hash"})
"""Flaws of held bytes that the reporter's copy may mend: an older backup or a bad disk brings them."""


def found(tx: Tx, exhibit: str, part: int, *, lost: bool) -> None:
    """Write down whether held bytes are what they were.

    What is lost is missing again: the reporter's devices hear of it. Where it lay is remembered, for a disk may return.
    """
    row = tx.one(store.ATTACHMENT, of_exhibit=exhibit, number=part)
    if row is None or row.blob is None or (row.lost_ms is not None) == lost:
        return
    tx.run(store.SET_ATTACHMENT_LOST, of_exhibit=exhibit, number=part, since=tx.now if lost else None)
    if lost and (filed := tx.one(store.REPORT, which=row.report)) is not None:
        tx.publish(Changed(filed.reporter, "reports"))


AT_ONCE: Final = 50
"""Held attachments that one look deals with."""


async def look_after(database: Database, blobs: Blobs) -> int:
    """Ask the storage for everything that is held; how many were found lost just now.

    Size and presence alone: their bytes are verified when somebody opens them, and by `kith attachments`.
    """
    lost, behind = 0, ("", 0)
    while rows := await database.read(_held_behind, behind):
        for row in rows:
            there = await blobs.is_there(row.blob, row.size)
            if there is None:
                return lost
            if there and row.lost_ms is not None:  # perhaps as broken as when it was lost
                there = await is_genuine(blobs, row.blob, _wanted(row))
            if there == (row.lost_ms is not None):
                await database.write(found, row.exhibit, row.part, lost=not there)
                lost += not there
        behind = rows[-1].exhibit, rows[-1].part
    return lost


def _held_behind(reader: Reader, behind: tuple[str, int]) -> list[Row]:
    exhibit, part = behind
    return reader.all(store.ATTACHMENTS_HELD, behind=exhibit, number=part, most=AT_ONCE)


def release(tx: Tx, blobs: Blobs, case: str) -> None:
    """The evidence of this case is destroyed."""
    for row in tx.all(store.EXHIBITS_WITH_ATTACHMENTS, of_case=case):
        blobs.release(tx, row.exhibit)
    tx.run(store.FORGET_ATTACHMENTS, of_case=case)


# --- opening ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An attachment that a reviewer is about to see: where its bytes are and what opens them."""

    exhibit: str
    part: int
    name: str
    said_type: str
    description: str
    length: int
    sealed: Sealed = field(repr=False)
    chunks: tuple[bytes, ...] | None = field(default=None, repr=False)
    look: looks.Look | None = None


def open_part(item: bytes, exhibit: str, number: int, server: str) -> Opened | None:
    """What the message itself says of a part: with the committed key, and no other."""
    try:
        content = mimi.decode(ReportItem.decode(item).content)
    except Malformed:
        return None
    external = _external(content)
    at = next((at for at, (found, _) in enumerate(external) if found == number), None)
    if at is None:
        return None
    part = external[at][1]
    sealed = sealed_of(part, server)
    if sealed is None:
        return None
    facts: Media | None = read_media(content.extensions.get(-4), [one.size for _, one in external])[at]
    return Opened(
        exhibit=exhibit,
        part=number,
        name=looks.spelt(part.filename),
        said_type=media_type(part.content_type),
        description=looks.spelt(part.description),
        length=facts.length if facts else sealed.size - TAG,
        sealed=sealed,
        chunks=facts.chunks if facts else None,
    )


async def verify(blobs: Blobs, blob: str | None, opened: Opened) -> looks.Look | None:
    """Read it whole: size, and SHA-256 and tag or the hash of each piece.

    What it looks like, None for what is only described. AttachmentRefusedError when it is not what the message commits
    to. No plaintext is kept.
    """
    if blob is None:
        raise AttachmentRefusedError("attachment_missing")
    opener, head = Opener(opened.sealed, opened.length), bytearray()
    async for piece in blobs.read(blob, opened.sealed.size, 0, opened.sealed.size):
        plain = await asyncio.to_thread(opener.update, piece)
        head += plain[: looks.HEAD - len(head)]
    try:
        opener.finish()
    except AttachmentRefusedError:
        if not await _was_played(blobs, blob, opened):
            raise
    return looks.look(bytes(head), opened.said_type)


async def _was_played(blobs: Blobs, blob: str, opened: Opened) -> bool:
    """Whether every piece is the one whose hash the message commits to.

    Players show such pieces before the whole is there. A sender whose two commitments disagree, or whose tag is wrong,
    must not get a film that was seen and proves nothing.
    """
    hashing = Hashing()
    async for piece in blobs.read(blob, opened.sealed.size, 0, opened.sealed.size):
        await asyncio.to_thread(hashing.update, piece)
    return hashing.length == opened.sealed.size and hashing.sums(b"").chunks == opened.chunks


async def read(blobs: Blobs, blob: str, opened: Opened, start: int, stop: int) -> AsyncIterator[bytes]:
    """Bytes of a file that `verify` found to be what was sent: a player asks for parts of it."""
    first = start - start % BLOCK
    decrypt, skip = decryptor_at(opened.sealed, first), start - first
    async for piece in blobs.read(blob, opened.sealed.size, first, stop):
        plain = await asyncio.to_thread(decrypt, piece)
        yield plain[skip:]
        skip = max(0, skip - len(plain))


class Ticket(NamedTuple):
    """Somebody opened an attachment of a case that she held."""

    staff: str
    case: str
    blob: str
    opened: Opened
    until_ms: int
    painted: looks.Painted | None = None
    """Of a picture: what is shown of it, and nothing else is."""

    def __repr__(self) -> str:
        return f"Ticket({self.case}, …)"


@dataclass(slots=True)
class Viewing:
    """Attachments that somebody opened lately: her page fetches the bytes with a ticket, for some minutes."""

    life_ms: int = 15 * 60_000
    picture_life_ms: int = 60_000
    """A page fetches its picture at once; it is what somebody reported, and stays in memory no longer."""
    most: int = 500
    most_bytes: int = 64 * 1024 * 1024
    """Of pictures together; the oldest go first."""
    _tickets: OrderedDict[str, Ticket] = field(default_factory=OrderedDict)

    def admit(self, ticket: Ticket, now: int) -> str:
        """A name for it that nobody guesses. What is over is forgotten, keys and all."""
        for name in [name for name, one in self._tickets.items() if now >= one.until_ms]:
            del self._tickets[name]
        while self._tickets and (len(self._tickets) >= self.most or self._bytes(ticket) > self.most_bytes):
            self._tickets.popitem(last=False)
        name = secrets.token_urlsafe(24)
        self._tickets[name] = ticket
        return name

    def _bytes(self, more: Ticket) -> int:
        return sum(len(one.painted.data) for one in (*self._tickets.values(), more) if one.painted)

    def found(self, name: str, staff: str, now: int) -> Ticket | None:
        """What is behind a name; None for everybody else, and when its time is over."""
        ticket = self._tickets.get(name)
        return None if ticket is None or ticket.staff != staff or now >= ticket.until_ms else ticket


def blob_of(reader: Reader, case: str, exhibit: str, part: int) -> str | None:
    """Where the bytes of a part are; None when they are missing or belong to another case."""
    row = reader.one(store.ATTACHMENT, of_exhibit=exhibit, number=part)
    return None if row is None or row.case != case else cast("str | None", row.blob)
