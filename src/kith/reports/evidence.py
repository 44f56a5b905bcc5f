"""What a report proves: exhibits judged one by one and as a set, with nothing left out unseen. Pure.

`examine` decides what is genuine (`protocol.franking.assess`) and, for each exhibit, who it speaks about: only a
VERIFIED exhibit that the reported person sent can count against that person. Everything else is shown as what it is:
context, or the reporter's claim with the reason why it proves nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from kith.protocol import content as mimi
from kith.protocol.attachments import words_of
from kith.protocol.content import ExternalPart, MimiContent, NullPart
from kith.protocol.franking import (
    MAX_ITEMS,
    Flaw,
    Gap,
    Keys,
    ReportClass,
    ReportItem,
    Unverified,
    Verified,
    assess,
)
from kith.protocol.uris import account_uri, room_uri
from kith.protocol.wire import Malformed
from kith.reports.attachments import Part, parts_of
from kith.reports.looks import spelt

Side: TypeAlias = Literal["reported", "reporter", "other"]
"""Who sent an exhibit; for an unverified one, whom the reporter says."""

_INT64: Final = (1 << 63) - 1
_LONGEST_ITEM: Final = 4 * ((mimi.MAX_CONTENT + 16 * 1024) // 3)
"""Characters of base64 that one item can have: content, four URIs, and a batch path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Whom a report is between, and where. `server` is the HOST of every URI."""

    server: str
    reporter: str
    reported: str
    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One message of a report after it was judged. `item` are the exact bytes handed in; they are sealed as they are.

    `room_seq` and `accepted_ms` are facts when `flaw` is None and claims otherwise; a claim that no database could
    hold is None.
    """

    item: bytes
    side: Side
    flaw: Flaw | None
    room_seq: int | None
    accepted_ms: int | None
    parts: tuple[Part, ...] = ()
    """Attachments of a genuine message; those of claims are not fetched for anybody."""

    @property
    def verified(self) -> bool:
        """Proved genuine."""
        return self.flaw is None

    def __repr__(self) -> str:
        return f"Exhibit({self.side}, {'VERIFIED' if self.flaw is None else self.flaw}, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Everything a report proves and leaves out."""

    exhibits: tuple[Exhibit, ...] = ()
    gaps: tuple[Gap, ...] = ()
    omitted_tail: int | None = None
    report_class: ReportClass = "NONE"
    equivocations: tuple[int, ...] = ()

    @property
    def verified(self) -> int:
        """How many exhibits proved genuine."""
        return sum(exhibit.verified for exhibit in self.exhibits)

    @property
    def against_reported(self) -> int:
        """How many genuine exhibits the reported person sent."""
        return sum(exhibit.verified and exhibit.side == "reported" for exhibit in self.exhibits)


def read_items(encoded: Sequence[str]) -> list[ReportItem]:
    """The items of a report, from base64; Malformed with a sentence that names the item."""
    if len(encoded) > MAX_ITEMS:
        raise Malformed(f"A report holds at most {MAX_ITEMS} messages; this one has {len(encoded)}.")
    return [_read_item(number, text) for number, text in enumerate(encoded, 1)]


def _read_item(number: int, text: str) -> ReportItem:
    try:
        # Cut first: what is longer than any item can be is refused by its framing, not decoded whole.
        return ReportItem.decode(base64.b64decode(text[: _LONGEST_ITEM + 4], validate=True))
    except (Malformed, ValueError) as fault:
        why = str(fault) if isinstance(fault, Malformed) else "it is not base64"
        raise Malformed(f"Message {number} of the report cannot be read: {why}.") from None


def sequences(items: Sequence[ReportItem]) -> set[int]:
    """The message numbers that items claim, as far as a room could ever reach them."""
    return {item.context.room_seq for item in items if item.context.room_seq <= _INT64}


def examine(
    items: Sequence[ReportItem],
    parties: Parties,
    *,
    room_head_seq: int,
    member_at: Mapping[int, bool],
    hub_key: Keys,
    signing_key: Keys,
) -> Examined:
    """Judge a report. `member_at` says for each of `sequences(items)` whether the reporter was in the room then.

    Costs about half a millisecond per item, so it runs before the flow and off the event loop.
    """
    if not items:
        return Examined()
    assessment = assess(
        items,
        room_uri=room_uri(parties.server, parties.room),
        room_head_seq=room_head_seq,
        hub_key=hub_key,
        signing_key=signing_key,
        was_member=lambda seq: member_at.get(seq, False),
    )
    side = _sides(parties)
    return Examined(
        exhibits=tuple(_exhibit(result, side, parties.server) for result in assessment.results),
        gaps=assessment.gaps,
        omitted_tail=assessment.omitted_tail,
        report_class=assessment.report_class,
        equivocations=assessment.equivocations,
    )


def _sides(parties: Parties) -> Callable[[str], Side]:
    known: dict[str, Side] = {
        account_uri(parties.server, parties.reported): "reported",
        account_uri(parties.server, parties.reporter): "reporter",
    }
    return lambda sender: known.get(sender, "other")


def _exhibit(result: Verified | Unverified, side: Callable[[str], Side], server: str) -> Exhibit:
    context = result.exhibit.context
    return Exhibit(
        item=result.exhibit.encode(),
        side=side(context.sender_uri),
        flaw=result.reason if isinstance(result, Unverified) else None,
        room_seq=_storable(context.room_seq),
        accepted_ms=_storable(context.accepted_timestamp),
        parts=() if isinstance(result, Unverified) else parts_of(result.exhibit, server),
    )


def _storable(claimed: int) -> int | None:
    return claimed if claimed <= _INT64 else None


# --- reading an exhibit after it was opened -------------------------------------------------------------------------


class SaidFile(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment as its message describes it. `size` in bytes of ciphertext."""

    part: int
    name: str
    media_type: str
    description: str
    size: int

    def __repr__(self) -> str:
        return f"SaidFile({self.part}, …)"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An opened exhibit, as a reviewer or an investigator reads it.

    `kind`: message, reply, edit, delete, reaction, timer, or unreadable. `files` describe what was sent beside the
    words, by part; their bytes are looked at one by one. `forwarded`: how often it had been passed on.
    """

    kind: str
    text: str
    files: tuple[SaidFile, ...] = ()
    forwarded: int = 0

    def __repr__(self) -> str:
        return f"Said({self.kind}, …)"


def read_exhibit(item: bytes) -> Said:
    """What an exhibit says. Bytes that are no message content (UNVERIFIED as `cbor` or `salt`) show as they stand."""
    raw = ReportItem.decode(item).content
    try:
        content = mimi.decode(raw)
    except Malformed:
        return Said(kind="unreadable", text=raw.decode("utf-8", "replace"))
    return Said(kind=_kind(content), text=_words(content), files=_files(content), forwarded=content.times_forwarded)


def _words(content: MimiContent) -> str:
    """What its readers saw; of a message that names no account, what anybody could see."""
    try:
        return words_of(content)
    except Malformed:
        return mimi.plain_text(content)


def _kind(content: MimiContent) -> str:
    if content.replaces is not None:
        return "delete" if isinstance(content.part, NullPart) else "edit"
    if content.part.disposition == mimi.REACTION:
        return "reaction"
    return "message" if content.in_reply_to is None else "reply"


def _files(content: MimiContent) -> tuple[SaidFile, ...]:
    return tuple(
        SaidFile(
            part=number,
            name=spelt(part.filename),
            media_type=spelt(part.content_type),
            description=spelt(part.description),
            size=part.size,
        )
        for number, part in mimi.numbered_parts(content.part)
        if isinstance(part, ExternalPart)
    )


FLAWS: Final[Mapping[str, str]] = {
    "cbor": "it is not a message in the right form",
    "salt": "its commitment is not in the right form",
    "sender_mismatch": "it names another sender than the server recorded",
    "room_mismatch": "it is from another chat",
    "key_expired": "it is older than the server can check",
    "frank_mismatch": "the server never accepted exactly these words",
    "signature": "the server's signature on it is missing or wrong",
    "not_member_at_seq": "the reporter was not in the chat at that message",
    "duplicate_seq": "another message of the report has the same place in the chat",
    "attachment_missing": "the server does not have the attachment",
    "attachment_hash": "the attachment is not the one that was sent",
    "attachment_decrypt": "the attachment does not open with the key that was sent",
}
"""Why an exhibit proves nothing, in words for a reviewer."""
