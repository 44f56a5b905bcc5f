"""Pictures that the townspeople send: hills and round things, painted pixel by pixel as PNG, without any library."""

from __future__ import annotations

import functools
import math
import struct
import zlib
from typing import Final, NamedTuple

WIDTH, HEIGHT = 480, 360
Colour = tuple[int, int, int]
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_TRUE_COLOUR: Final = bytes((8, 2, 0, 0, 0))
"""IHDR after the size: eight bits a channel, RGB, deflate, no filter method, not interlaced (RFC 2083)."""


class Spot(NamedTuple):
    """An ellipse; middle and half axes as parts of the picture's width."""

    x: float
    y: float
    wide: float
    high: float
    colour: Colour


class Painting(NamedTuple):
    """What a townsperson photographed. `shows` is read to people who do not see it."""

    shows: str
    sky: Colour
    hill: Colour
    spots: tuple[Spot, ...]


@functools.cache
def png(painting: Painting) -> bytes:
    """The file. Takes a fraction of a second."""
    rows = b"".join(b"\0" + bytes(_row(painting, y)) for y in range(HEIGHT))
    head = struct.pack(">II", WIDTH, HEIGHT) + _TRUE_COLOUR
    return _SIGNATURE + b"".join(
        _chunk(kind, body) for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    )


def _row(painting: Painting, y: int) -> list[int]:
    return [part for x in range(WIDTH) for part in _pixel(painting, x, y)]


def _pixel(painting: Painting, x: int, y: int) -> Colour:
    for spot in reversed(painting.spots):
        across, down = (x / WIDTH - spot.x) / spot.wide, (y / WIDTH - spot.y) / spot.high
        if across * across + down * down < 1:
            return spot.colour
    ridge = HEIGHT * (0.55 + 0.08 * math.sin(x / 70))
    if y > ridge:
        return painting.hill
    light = 1 - 0.25 * y / ridge
    red, green, blue = (int(part * light) for part in painting.sky)
    return red, green, blue


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_SUN = Spot(0.8, 0.13, 0.06, 0.06, (255, 243, 176))
LOAVES: Final = Painting(
    "Three loaves of rye on a board",
    (250, 228, 205),
    (150, 105, 70),
    tuple(Spot(x, 0.47, 0.14, 0.09, (176, 112, 58)) for x in (0.22, 0.52, 0.8)),
)
COURGETTES: Final = Painting(
    "Far too many courgettes in a garden",
    (205, 232, 240),
    (120, 150, 84),
    (_SUN, *(Spot(0.12 + 0.15 * n, 0.5 + 0.07 * (n % 3), 0.08, 0.03, (52, 110, 60)) for n in range(6))),
)
DRUM: Final = Painting(
    "A drum in front of a blue wall",
    (150, 180, 220),
    (90, 84, 110),
    (Spot(0.5, 0.46, 0.24, 0.16, (170, 60, 60)), Spot(0.5, 0.4, 0.24, 0.09, (240, 235, 225))),
)
