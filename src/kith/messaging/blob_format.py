"""How a blob's bytes lie in storage: blocks of 64 KiB with a checksum behind each, so that rot is found in time.

A checksum covers the blob's id, the block's number and its bytes (CRC-32): a block that rotted, or lies where another
belongs, is an error and never served. It is no protection against an adversary; readers verify what the message
commits to. Only complete blocks and a complete blob's last block have theirs.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Final

BLOCK: Final = 64 * 1024
CHECK: Final = 4


def spoken(blob: str) -> str:
    """How logs and errors name a blob: its id is all that one needs to read it."""
    return hashlib.sha256(blob.encode()).hexdigest()[:16]


class DamagedError(Exception):
    """What is stored is not what was received."""

    def __init__(self, blob: str) -> None:
        super().__init__(spoken(blob))


def stored_length(received: int) -> int:
    """Bytes in storage for so many received ones, while the last block is incomplete."""
    return received // BLOCK * (BLOCK + CHECK) + received % BLOCK


def stored_size(size: int) -> int:
    """Bytes in storage of a complete blob."""
    return stored_length(size) + (CHECK if size % BLOCK else 0)


def _check(blob: str, number: int, block: bytes | bytearray | memoryview) -> bytes:
    return zlib.crc32(block, zlib.crc32(f"{blob}/{number}".encode())).to_bytes(CHECK)


class Packer:
    """Received bytes become stored ones, from any offset on. `tail`: the incomplete block that is there already."""

    def __init__(self, blob: str, received: int, tail: bytes) -> None:
        if len(tail) != received % BLOCK:
            raise DamagedError(blob)
        self._blob, self._number = blob, received // BLOCK
        self._block = bytearray(tail)

    def pack(self, data: bytes) -> bytes:
        """What is to be stored behind what is there."""
        packed, view = bytearray(), memoryview(data)
        while view:
            room = BLOCK - len(self._block)
            packed += view[:room]
            self._block += view[:room]
            view = view[room:]
            if len(self._block) == BLOCK:
                packed += self._close()
        return bytes(packed)

    def end(self) -> bytes:
        """The checksum of an incomplete last block."""
        return self._close() if self._block else b""

    def _close(self) -> bytes:
        check = _check(self._blob, self._number, self._block)
        self._block.clear()
        self._number += 1
        return check


def blocks_of(start: int, stop: int) -> tuple[int, int]:
    """Numbers of the blocks that hold these bytes: the first, and the one behind the last."""
    return start // BLOCK, -(-stop // BLOCK)


def unpack(blob: str, number: int, packed: bytes) -> Iterator[bytes]:
    """The blocks in a piece of storage that begins with block `number`; DamagedError at the first wrong one."""
    view = memoryview(packed)
    while view:
        one, view = view[: BLOCK + CHECK], view[BLOCK + CHECK :]
        block, check = one[:-CHECK], one[-CHECK:]  # the last one may be shorter
        if not block or _check(blob, number, block) != check:
            raise DamagedError(blob)
        yield bytes(block)
        number += 1
