"""Small synthetic pictures, and ways to spoil them. The JPEG and the WebP are a colour gradient of 8 by 8 pixels."""

from __future__ import annotations

import base64
import zlib

JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYn"
    "KSopGR8tMC0oMCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo"
    "KCgoKCgoKCj/wAARCAAIAAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAYEAEBAAMAAAAAAAAAAAAAAAAABiIy"
    "of/EABQBAQAAAAAAAAAAAAAAAAAAAAX/xAAcEQABAwUAAAAAAAAAAAAAAAAEAAEDAhITITH/2gAMAwEAAhEDEQA/AK5Sd0w4AFJI"
    "kyPtJDwUWcX/2Q=="
)
WEBP = base64.b64decode(
    "UklGRkIAAABXRUJQVlA4IDYAAAAwAgCdASoIAAgAAUAmJagCdLoAArrt0sOqAAD+6k1/52Kujuecu1djvzPt26lOIfFK43bAAAA="
)


def chunk(name: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


def png(
    width: int = 8, height: int = 8, *, extra: bytes = b"", after: bytes = b"", pixels: bytes | None = None
) -> bytes:
    """A grey PNG; `extra` comes between header and pixels, `after` between pixels and end."""
    header = width.to_bytes(4) + height.to_bytes(4) + bytes((8, 0, 0, 0, 0))
    packed = zlib.compress(bytes((1 + width) * min(height, 600))) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", packed) + after + chunk(b"IEND")


def with_segment(marker: int, body: bytes) -> bytes:
    """The JPEG with one more segment after its first marker."""
    return JPEG[:2] + bytes((0xFF, marker)) + (2 + len(body)).to_bytes(2) + body + JPEG[2:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of these chunks."""
    packed = b"".join(name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2) for name, body in chunks)
    return b"RIFF" + (4 + len(packed)).to_bytes(4, "little") + b"WEBP" + packed


def lossy(width: int, height: int) -> bytes:
    """What a lossy WebP's chunk begins with, of any size."""
    return WEBP[20:26] + width.to_bytes(2, "little") + height.to_bytes(2, "little") + WEBP[30 : 20 + _LENGTH]


def lossless(width: int, height: int) -> bytes:
    """What a lossless WebP's chunk begins with, of any size."""
    return b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little") + b"pixels"


_LENGTH = int.from_bytes(WEBP[16:20], "little")

GPS = (
    b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x88\x25\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0"
    b"\0\x01\0\x01\0\x02\0\0\0\x02N\0\0\0\0\0\0\0"
)
"""An EXIF block that points to a GPS directory: latitude north."""
