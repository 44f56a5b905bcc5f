"""What may be stored as a blob, by whom, and which part of it a reader asks for. Pure.

A blob is the ciphertext of an attachment. Its length is a Padmé bucket, so that it says little about what is inside.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kith.ledger.decision import ALLOW, Decision, refuse
from kith.messaging.limits import DEFAULTS, Limits
from kith.people.limits import Rate
from kith.protocol.attachments import TAG, padme

SMALLEST: Final = TAG
"""Bytes of the ciphertext of nothing."""
UNIT: Final = 64 * 1024
"""Bytes of one token of the daily allowance."""
MEBIBYTE: Final = 1024 * 1024

_ID: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
"""Sixteen bytes in base64url without padding: the last character has two bits."""
_OFFSET: Final = re.compile(r"0|[1-9][0-9]{0,11}")
_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


def is_id(text: str) -> bool:
    """Whether this can be the id of a blob; only such a text ever becomes part of a file's name."""
    return _ID.fullmatch(text) is not None


def read_offset(text: str | None) -> int | None:
    """The value of `Upload-Offset`: a plain decimal number; None for anything else."""
    return int(text) if text is not None and _OFFSET.fullmatch(text) else None


def size_fits(size: int, limits: Limits = DEFAULTS) -> bool:
    """Whether a ciphertext may have this length: a bucket, neither empty nor too large."""
    return SMALLEST <= size <= limits.blob_bytes and padme(size) == size


class Uploader(NamedTuple):
    """Who wants to begin an upload, and what she has here already."""

    suspended: bool
    open_uploads: int
    held_bytes: int
    """Of complete and incomplete blobs, as they were announced."""
    kept_bytes: int
    """Of blobs that are over and stay as evidence."""

    def counted(self, limits: Limits) -> int:
        """What counts as hers. Evidence does only beyond what a life of honest chats has under report.

        So its deleter sees nothing of an ordinary report, which would tell her that somebody reported her, and a group
        that reports all she ever sent takes no allowance away.
        """
        return self.held_bytes + max(0, self.kept_bytes - limits.blob_bytes_kept)


def may_upload(facts: Uploader, size: int, limits: Limits = DEFAULTS) -> Decision:
    """Whether an upload of so many bytes may begin now; its reasons are for the person herself."""
    if facts.suspended:
        return refuse("standing", "Your account is suspended. See your standing for the reason.")
    if facts.open_uploads >= limits.blob_uploads_open:
        return refuse(
            "blob-uploads-open",
            f"{limits.blob_uploads_open} uploads are under way. Let one finish, or cancel one, then go on.",
        )
    if facts.counted(limits) + size > limits.blob_bytes_held:
        return refuse(
            "blob-bytes-held",
            f"Your attachments of the last 30 days fill the {limits.blob_bytes_held // MEBIBYTE} MB that you have "
            "here. Delete some, or wait until older ones expire.",
        )
    return ALLOW


def allowance(limits: Limits = DEFAULTS) -> Rate:
    """The daily allowance as a bucket of 64 KiB tokens."""
    tokens = limits.blob_bytes_per_day // UNIT
    return Rate(tokens, 24 * 3600 * 1000 // tokens)


def tokens(size: int) -> int:
    """What an upload of so many bytes costs of the allowance."""
    return -(-size // UNIT)


class Span(NamedTuple):
    """Bytes from `start` up to, and without, `stop`."""

    start: int
    stop: int


def read_range(header: str | None, size: int) -> Span | None:
    """What a `Range` header asks for (RFC 9110 section 14); None when it begins behind the end (416).

    What is no single range of bytes is ignored, as the RFC allows: then everything is asked for.
    """
    whole = Span(0, size)
    asked = _RANGE.fullmatch(header) if header is not None else None
    if asked is None or not any(asked.groups()):
        return whole
    first, last = asked.groups()
    if not first:  # the last n bytes
        return Span(max(0, size - int(last)), size) if int(last) else None
    start = int(first)
    if last and int(last) < start:
        return whole
    if start >= size:
        return None
    return Span(start, min(size, int(last) + 1) if last else size)
