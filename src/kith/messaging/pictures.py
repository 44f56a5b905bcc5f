"""Whether bytes are a small still picture and nothing else. Headers are read here; pixels are decoded by nobody.

Only what an encoder needs is let in: whatever could carry words, a place, another file or a second frame is refused by
not being listed. Clients encode anew, so a genuine picture has none of it. Sources: PNG third edition (W3C, 2025),
sections 4.8 and 11; JPEG: ITU-T T.81 annex B; WebP: RFC 9649, RFC 6386 section 9.1 and RFC 9649 section 3.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from kith.protocol.wire import Malformed

MAX_BYTES: Final = 64 * 1024
MAX_SIDE: Final = 512
"""Pixels: what a device unpacks for one picture is a megabyte at most."""
MAX_SCANS: Final = 16
"""Of a progressive JPEG, which is worked through once for each; encoders make about ten."""
MAX_TABLES: Final = 4 * (17 + 256)
"""Bytes of one JPEG segment with tables: four Huffman tables with every code."""

PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_MAY_HOLD: Final = frozenset((b"PLTE", b"tRNS", b"sRGB", b"gAMA", b"cHRM", b"sBIT", b"IDAT"))
_PNG_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bit depths of each colour type."""

_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_TABLES: Final = frozenset((0xC4, 0xDB))
_FRAMES: Final = frozenset((0xC0, 0xC1, 0xC2))
_JFIF, _ADOBE = 0xE0, 0xEE


class Picture(NamedTuple):
    """A still picture that was looked at: what it says it is, and its bytes."""

    media_type: str
    data: bytes


def read_picture(media_type: str, data: bytes) -> Picture:
    """The picture, when the bytes are one of the type that is said; Malformed with a sentence otherwise."""
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    size_of = _SIZES.get(kind)
    if size_of is None:
        raise Malformed("Send a picture as PNG, JPEG or WebP")
    if len(data) > MAX_BYTES:
        raise Malformed(f"A picture has at most {MAX_BYTES // 1024} KiB")
    width, height = size_of(data)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise Malformed(f"A picture has at most {MAX_SIDE} by {MAX_SIDE} pixels, and at least one")
    return Picture(kind, data)


def _need(so: object, otherwise: str) -> None:
    if not so:
        raise Malformed(otherwise)


# --- PNG ------------------------------------------------------------------------------------------


def _png(data: bytes) -> tuple[int, int]:
    _need(data.startswith(PNG), "This is not a PNG")
    names: list[bytes] = []
    size, at = (0, 0), len(PNG)
    while not names or names[-1] != b"IEND":
        name, body, at = _chunk(data, at)
        if not names:
            _need(name == b"IHDR", "A PNG begins with its header")
            size = _png_header(body)
        elif name == b"IEND":
            _need(not body, "A PNG ends with nothing")
        else:
            _png_order(names, name)
        names.append(name)
    _need(b"IDAT" in names, "This PNG has no pixels")
    _need(at == len(data), "Something follows the end of this PNG")
    return size


def _png_order(names: list[bytes], name: bytes) -> None:
    """What may come next: listed kinds, once each, and the pixels in one piece."""
    _need(name in _PNG_MAY_HOLD, "Leave everything but the picture out of the PNG: no text, place, profile or frames")
    _need(name == b"IDAT" or (name not in names and b"IDAT" not in names), "The parts of this PNG are out of order")


def _chunk(data: bytes, at: int) -> tuple[bytes, bytes, int]:
    _need(at + 12 <= len(data), "This PNG is cut off")
    length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
    end = at + 12 + length
    _need(end <= len(data), "This PNG is cut off")
    _need(zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end]), "A checksum of this PNG is wrong")
    return name, data[at + 8 : end - 4], end


def _png_header(body: bytes) -> tuple[int, int]:
    _need(len(body) == 13, "The header of this PNG is not one")  # noqa: PLR2004  section 11.2.1
    depth, colour, compression, filtering, interlace = body[8:]
    plain = compression == 0 and filtering == 0 and interlace in (0, 1)
    _need(plain and depth in _PNG_DEPTHS.get(colour, ()), "The header of this PNG is not one")
    return int.from_bytes(body[:4]), int.from_bytes(body[4:8])


# --- JPEG -----------------------------------------------------------------------------------------


def _jpeg(data: bytes) -> tuple[int, int]:
    _need(data[:2] == bytes((0xFF, _SOI)), "This is not a JPEG")
    size, scans, at = None, 0, 2
    while True:
        marker = _marker(data, at)
        if marker == _EOI:
            break
        body, at = _segment(data, at)
        if marker in _FRAMES:
            _need(size is None and scans == 0, "This JPEG has more than one picture")
            size = _jpeg_frame(body)
        elif marker == _SOS:
            scans += 1
            _need(size is not None and scans <= MAX_SCANS, "The parts of this JPEG are out of order")
            at = _scan_end(data, at)
        else:
            _jpeg_part(marker, body)
    _need(size is not None and scans, "This JPEG has no pixels")
    _need(at + 2 == len(data), "Something follows the end of this JPEG")
    return size or (0, 0)


def _marker(data: bytes, at: int) -> int:
    _need(at + 2 <= len(data) and data[at] == 0xFF, "This JPEG is cut off or damaged")  # noqa: PLR2004
    return data[at + 1]


def _segment(data: bytes, at: int) -> tuple[bytes, int]:
    _need(at + 4 <= len(data), "This JPEG is cut off")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
    _need(at + 4 <= end <= len(data), "This JPEG is cut off")
    return data[at + 4 : end], end


def _jpeg_part(marker: int, body: bytes) -> None:
    """A segment besides frame and scans: tables, or the two that say how colours are meant, without a thumbnail."""
    known = (
        (marker in _TABLES and len(body) <= MAX_TABLES)
        or (marker == _DRI and len(body) == 2)  # noqa: PLR2004  T.81 B.2.4.4
        or (marker == _JFIF and len(body) == 14 and body[:5] == b"JFIF\0" and body[12:] == b"\0\0")  # noqa: PLR2004
        or (marker == _ADOBE and len(body) == 12 and body[:5] == b"Adobe")  # noqa: PLR2004
    )
    _need(known, "Leave everything but the picture out of the JPEG: no text, place, profile or thumbnail")


def _jpeg_frame(body: bytes) -> tuple[int, int]:
    _need(len(body) >= 6 and body[0] == 8 and body[5] in (1, 3), "The header of this JPEG is not one")  # noqa: PLR2004
    _need(len(body) == 6 + 3 * body[5], "The header of this JPEG is not one")
    return int.from_bytes(body[3:5]), int.from_bytes(body[1:3])


def _scan_end(data: bytes, at: int) -> int:
    """Where the packed pixels end: at a marker that is neither a stuffed byte nor a restart."""
    while True:
        at = data.find(0xFF, at)
        _need(0 <= at < len(data) - 1, "This JPEG is cut off")
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:  # noqa: PLR2004  T.81 table B.1
            return at
        at += 2


# --- WebP -----------------------------------------------------------------------------------------


def _webp(data: bytes) -> tuple[int, int]:
    """The simple file format: one chunk. The extended one is for animation, profiles and places."""
    _need(data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 20, "This is not a WebP")  # noqa: PLR2004
    _need(int.from_bytes(data[4:8], "little") == len(data) - 8, "This WebP is cut off, or something follows its end")
    name, length = data[12:16], int.from_bytes(data[16:20], "little")
    _need(name in (b"VP8 ", b"VP8L"), "Leave everything but one still picture out of the WebP (simple file format)")
    _need(len(data) == 20 + length + length % 2, "This WebP is cut off, or something follows its end")
    _need(length % 2 == 0 or data[-1] == 0, "Something follows the end of this WebP")
    body = data[20 : 20 + length]
    return _lossy(body) if name == b"VP8 " else _lossless(body)


def _lossy(body: bytes) -> tuple[int, int]:
    _need(len(body) > 10, "This WebP is cut off")  # noqa: PLR2004  RFC 6386 section 9.1
    tag = int.from_bytes(body[:3], "little")
    _need(tag & 1 == 0 and body[3:6] == b"\x9d\x01\x2a", "The header of this WebP is not one")
    _need(10 + (tag >> 5) <= len(body), "This WebP is cut off")
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _lossless(body: bytes) -> tuple[int, int]:
    _need(len(body) > 5, "This WebP is cut off")  # noqa: PLR2004  RFC 9649 section 3.4
    bits = int.from_bytes(body[1:5], "little")
    _need(body[0] == 0x2F and bits >> 29 == 0, "The header of this WebP is not one")  # noqa: PLR2004
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


_SIZES: Final[dict[str, Callable[[bytes], tuple[int, int]]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
}
