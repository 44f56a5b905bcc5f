"""The presentation language of RFC 9420 section 2.1: integers, fixed bytes and vectors with varint lengths."""

from typing import Final

MAX_VECTOR: Final = 0x3FFF_FFFF
"""The longest vector that a varint of RFC 9420 section 2.1.2 can announce, in bytes."""


_SIX_BITS, _FOURTEEN_BITS = 1 << 6, 1 << 14


class Malformed(ValueError):  # noqa: N818 - a statement about bytes, used as a word everywhere
    """Bytes that do not follow their format. The text says what is wrong and never quotes the input."""


def length_prefix(size: int) -> bytes:
    """The minimal varint for the length of a vector. Longer than `MAX_VECTOR` is Malformed."""
    if size < _SIX_BITS:
        return bytes((size,))
    if size < _FOURTEEN_BITS:
        return (0x4000 | size).to_bytes(2, "big")
    if size > MAX_VECTOR:
        raise Malformed("a vector is too long to be encoded")
    return (0x8000_0000 | size).to_bytes(4, "big")


def vector(data: bytes) -> bytes:
    """`opaque data<V>`: the minimal varint length, then the bytes. Longer than `MAX_VECTOR` is Malformed."""
    size = len(data)
    return bytes((size,)) + data if size < _SIX_BITS else length_prefix(size) + data


class Reader:
    """A cursor over bytes that takes what is there or raises Malformed; it never copies more than was sent."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = len(data)

    @property
    def at(self) -> int:
        """How many bytes were taken, for `since`."""
        return self._at

    @property
    def left(self) -> int:
        """How many bytes are still there."""
        return self._end - self._at

    def since(self, mark: int) -> bytes:
        """The bytes taken since the cursor stood at `mark`: the exact encoding of what was just read."""
        return self._data[mark : self._at]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        start = self._at
        stop = start + count
        if stop > self._end:
            raise Malformed("the data ends too early")
        self._at = stop
        return self._data[start:stop]

    def _uint(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def u8(self) -> int:
        """One byte."""
        return self._uint(1)

    def u16(self) -> int:
        """Two bytes, big-endian."""
        return self._uint(2)

    def u32(self) -> int:
        """Four bytes, big-endian."""
        return self._uint(4)

    def u64(self) -> int:
        """Eight bytes, big-endian."""
        return self._uint(8)

    def varint(self) -> int:
        """A vector length. Prefix 11 and lengths that would fit a shorter form are Malformed (section 2.1.2)."""
        first = self._uint(1)
        prefix = first >> 6
        if prefix == 0:
            return first
        if prefix == 3:  # noqa: PLR2004 - the two top bits, both set
            raise Malformed("a length starts with the forbidden prefix 11")
        rest = 1 if prefix == 1 else 3
        length = (first & 0x3F) << (8 * rest) | self._uint(rest)
        if length < (_SIX_BITS if prefix == 1 else _FOURTEEN_BITS):
            raise Malformed("a length is not in its shortest form")
        return length

    def vector(self, *, max: int = MAX_VECTOR) -> bytes:  # noqa: A002 - reads as the limit it is
        """`opaque x<V>` of at most `max` bytes."""
        length = self.varint()
        if length > max:
            raise Malformed("a vector is longer than allowed")
        return self.take(length)

    def fixed_vector(self, size: int) -> bytes:
        """`opaque x<V>` whose length must be exactly `size`."""
        data = self.vector(max=size)
        if len(data) != size:
            raise Malformed("a vector is shorter than required")
        return data

    def presence(self) -> bool:
        """The first byte of `optional<T>`: 0 or 1, nothing else (section 2.1.1)."""
        flag = self._uint(1)
        if flag > 1:
            raise Malformed("an optional value is neither absent nor present")
        return flag == 1

    def done(self) -> None:
        """Nothing may be left."""
        if self._at != self._end:
            raise Malformed("there are bytes after the end")
