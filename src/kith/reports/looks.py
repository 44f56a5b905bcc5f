"""What bytes look like, read off their beginning: what a reviewer may see. Nothing is decoded here.

What a message claims to be is never believed: a picture is shown as what its bytes say, or not at all. Markup (SVG,
HTML) has no place in this list.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

HEAD: Final = 256 * 1024
"""Bytes of the beginning that are looked at: a JPEG may carry a large profile before its dimensions."""
MOST_PIXELS: Final = 50_000_000
"""Of one picture; more is a bomb, and described instead of shown."""
MOST_SIDE: Final = 32_767

Kind = Literal["picture", "film", "sound"]


class Look(NamedTuple):
    """What it is, by its bytes."""

    kind: Kind
    media_type: str


class Painted(NamedTuple):
    """A picture that was made anew from the pixels of one; `shown` of its `frames` are in it."""

    media_type: str
    data: bytes
    shown: int
    frames: int

    def __repr__(self) -> str:
        return f"Painted({self.media_type}, …)"


def look(head: bytes, said: str) -> Look | None:
    """What these bytes are; `said` only decides whether a film's container is played as sound."""
    size = _picture(head)
    if size is not None:
        media_type, width, height = size
        shows = 0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and width * height <= MOST_PIXELS
        return Look("picture", media_type) if shows else None
    container = _container(head)
    if container is None:
        return None
    top, sub = container
    sound = top == "audio" or said.startswith("audio/")
    return Look("sound" if sound else "film", f"{'audio' if sound else top}/{sub}")


def _picture(head: bytes) -> tuple[str, int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return "image/png", int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif", int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", *_jpeg(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp", *_webp(head)
    return None


_NONE: Final = (0, 0)
_STANDALONE: Final = frozenset((0x01, *range(0xD0, 0xD8)))
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(head: bytes) -> tuple[int, int]:
    """Width and height of the first frame (ITU-T T.81, B.2.2); none when it does not come soon."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:  # noqa: PLR2004  every marker begins so
        marker = head[at + 1]
        if marker in _STANDALONE:
            at += 2
        elif marker in _FRAMES:
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        elif marker == 0xFF:  # noqa: PLR2004  a fill byte
            at += 1
        else:
            at += 2 + max(2, int.from_bytes(head[at + 2 : at + 4]))
    return _NONE


def _webp(head: bytes) -> tuple[int, int]:
    """Width and height (RFC 9649, sections 2.5 to 2.7)."""
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:  # noqa: PLR2004
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        sides = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
        return sides[0] & 0x3FFF, sides[1] & 0x3FFF
    if kind == b"VP8L" and head[20:21] == b"\x2f":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return _NONE


def _container(head: bytes) -> tuple[str, str] | None:
    if head[4:8] == b"ftyp":
        return ("audio" if head[8:11] in (b"M4A", b"M4B") else "video"), "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video", "webm"
    if head.startswith(b"OggS"):
        return "audio", "ogg"
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return "audio", "wav"
    if head.startswith((b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")):
        return "audio", "mpeg"
    return None


def spelt(name: str) -> str:
    """A name that its sender chose, with what is invisible or turns the line around spelt out for the reviewer."""
    return "".join(letter if letter.isprintable() else f"\\u{{{ord(letter):x}}}" for letter in name)
