"""Random words that must turn up nowhere, and a search that knows the ways in which words hide in bytes."""

from __future__ import annotations

import base64
import re
import secrets
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

INFLATE_AT_MOST = 4 * 1024 * 1024
DEFLATED_AT_MOST = 256 * 1024
CHUNK = 16 * 1024 * 1024


class Canaries:
    """A family of words that share 128 random bits: finding those finds any of them."""

    def __init__(self) -> None:
        self.marker = secrets.token_hex(16)
        self.given: list[str] = []
        self._patterns = dict(disguises(self.marker))

    def word(self, place: str) -> str:
        """A new word, named after where it is typed."""
        word = f"{self.marker}.{place}"
        self.given.append(word)
        return word

    def found_in(self, data: bytes, *, inflating: bool = True) -> list[str]:
        """Each disguise in which the marker occurs, with what stands around it; zlib and gzip streams are opened."""
        hits = list(self._hits(data))
        for at, inflated in streams(data) if inflating else ():
            hits += [f"{hit} inflated from {at}" for hit in self._hits(inflated)]
        return hits

    def _hits(self, data: bytes) -> Iterator[str]:
        lowered = data.lower()
        for name, pattern in self._patterns.items():
            where = (lowered if name.startswith("plain") else data).find(pattern)
            if where >= 0:
                yield f"{name} at {where}: {data[max(0, where - 40) : where + 80]!r}"

    def found_under(self, folder: Path, *, apart_from: Iterable[str] = ()) -> list[str]:
        """Each file below `folder` in which a word occurs. Folders of these names are not searched."""
        left_out = set(apart_from)
        hits = []
        for file in sorted(folder.rglob("*")):
            if not file.is_file() or left_out.intersection(file.relative_to(folder).parts):
                continue
            hits += [f"{file.relative_to(folder)}: {hit}" for hit in self.found_in(file.read_bytes())]
        return hits


def disguises(word: str) -> Iterator[tuple[str, bytes]]:
    """The byte strings as which `word` may lie somewhere, each with its name."""
    raw = word.encode()
    yield "plain", raw.lower()
    yield "reversed", raw[::-1]
    for order in ("utf-16-le", "utf-16-be"):
        yield order, word.encode(order)
        yield f"{order} reversed", word[::-1].encode(order)
    yield "plain hex", raw.hex().encode()
    yield from _base64("base64", raw)
    yield from _base64("base64 of utf-16", word.encode("utf-16-le"))


def _base64(name: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    """At each of the three places that a word may have among the groups of three bytes, without the mixed ends."""
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + raw)
        first = -(-offset * 8 // 6)
        sure = whole[first : (offset + len(raw)) * 8 // 6]
        yield f"{name} +{offset}", sure
        if sure != (safe := sure.replace(b"+", b"-").replace(b"/", b"_")):
            yield f"{name} url +{offset}", safe


_STREAM = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")


def streams(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Whatever inflates as zlib or gzip, with where it begins."""
    whole = memoryview(data)
    for begin in _STREAM.finditer(data):
        opened = zlib.decompressobj(wbits=47)
        try:
            # The window is what a page or a cache entry holds; the rest would be copied for each of many false alarms.
            inflated = opened.decompress(whole[begin.start() : begin.start() + DEFLATED_AT_MOST], INFLATE_AT_MOST)
        except zlib.error:
            continue
        if inflated:
            yield begin.start(), inflated


def memory_of(pid: int) -> Iterator[bytes]:
    """What a process of ours holds in memory, in overlapping pieces; PermissionError where that is forbidden."""
    with Path(f"/proc/{pid}/maps").open() as maps:
        spans = [_span(line) for line in maps if " rw" in line and "[v" not in line]
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for begin, end in spans:
            for at in range(begin, end, CHUNK):
                memory.seek(at)
                try:
                    yield memory.read(min(CHUNK + 256, end - at))
                except OSError:
                    continue  # unmapped in the meantime


def _span(line: str) -> tuple[int, int]:
    begin, _, end = line.split(maxsplit=1)[0].partition("-")
    return int(begin, 16), int(end, 16)
