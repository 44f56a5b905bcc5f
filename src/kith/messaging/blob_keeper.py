"""Keeps the bytes of blobs: uploads that go on where they stopped, readings in bounded pieces, and what is over.

A row says what is durable, storage may hold more: bytes come to storage, are settled there, and only then recorded and
acknowledged. So a crash at any point leaves a blob as it was last acknowledged, and what lies behind that is cut off
when the upload goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final, Literal, NamedTuple, TypeVar

import structlog

from kith.ledger import failstop
from kith.ledger.database import Database
from kith.messaging.blob_format import (
    BLOCK,
    CHECK,
    DamagedError,
    Packer,
    blocks_of,
    spoken,
    stored_length,
    stored_size,
    unpack,
)
from kith.messaging.blob_storage import Appending, Reading, Storage, StorageAwayError
from kith.messaging.blobs import Span, is_id
from kith.messaging.flows import blobs as flows
from kith.messaging.flows.blobs import Held
from kith.messaging.limits import DEFAULTS, Limits
from kith.people.buckets import Fleeting
from kith.people.limits import Rate

T = TypeVar("T")

log = structlog.get_logger("kith.blobs")

BLOCKS: Final = 4
GATHERED: Final = BLOCKS * BLOCK
"""Bytes that are collected before a thread writes them, and that a thread reads at once."""
DISK_THREADS: Final = 8
READ_THREADS: Final = 16
MOVE_THREADS: Final = 4
"""Pieces of uploads go to this server's own disk. Complete blobs may lie far away, and a storage that is slow keeps
those waiting who want of it what is slow: readers wait for readers, ends of uploads for ends, and no piece for either.
"""
STALL_S: Final = 30.0
"""Seconds without a byte after which an upload is told to go on later."""
GRACE_S: Final = 1.0
"""The same when a newer call waits: its client has most likely lost the older one. Not zero: two that overtook each
other at once would never come to an end."""
LOST_S: Final = 24 * 3600.0
"""What no row knows is removed when it has lain for so long."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

Receive = Callable[[], Awaitable[bytes | None]]
"""The next bytes of a body, empty at its end; None when the connection is gone."""
Ended = Literal["all", "gone", "elsewhere", "too_long", "stalled", "overtaken", "cut", "full", "away"]
"""How a call that brings bytes ended. `gone`: there is no such upload; `elsewhere`: it goes on at another offset;
`too_long`, `full`, `away` (the storage): nothing of this call is kept; the others keep what came."""


class Progress(NamedTuple):
    """How it ended, and how many bytes of the blob are durable now."""

    ended: Ended
    received: int


class _Turn:
    """A call that works on a blob's bytes. Another one that wants to takes over when no more come."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self._wait_s: float | None = None
        """How long bytes may take once somebody else waits; None while nobody does."""
        self._deadline: asyncio.Timeout | None = None

    def hurry(self, wait_s: float) -> None:
        """Somebody else wants to go on: stop when nothing comes for so long."""
        self._wait_s = wait_s
        if self._deadline is not None and (due := self._deadline.when()) is not None:
            self._deadline.reschedule(min(due, asyncio.get_running_loop().time() + wait_s))

    async def next_of(self, receive: Receive, stall_s: float) -> bytes | Ended:
        """The next bytes, or why there are none."""
        try:
            async with asyncio.timeout(stall_s if self._wait_s is None else self._wait_s) as self._deadline:
                data = await receive()
        except TimeoutError:
            return "stalled" if self._wait_s is None else "overtaken"
        finally:
            self._deadline = None
        return "cut" if data is None else data or "all"


class Keeper:
    """One for the server. `free`: how many bytes may still be stored before the disk's reserve is touched."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        *,
        free: Callable[[], int],
        limits: Limits = DEFAULTS,
        stall_s: float = STALL_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self.free, self.limits, self.stall_s, self.grace_s = free, limits, stall_s, grace_s
        self._database, self._storage = database, storage
        self._disk = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="blob-pieces")
        self._reads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="blob-reads")
        self._moves = ThreadPoolExecutor(MOVE_THREADS, thread_name_prefix="blob-moves")
        self._turns: dict[str, _Turn] = {}
        self._readers: Counter[str] = Counter()
        self._pace = Fleeting()  # nothing on a disk tells who reads

    def close(self) -> None:
        """Wait for what threads are doing."""
        for pool in (self._disk, self._reads, self._moves):
            pool.shutdown()

    # --- uploads

    async def receive(self, account: str, blob: str, offset: int, announced: int | None, receive: Receive) -> Progress:
        """Take the bytes of a call behind `offset`. `announced`: how many it says will come."""
        async with self._turn(blob, self.grace_s) as turn:
            held = await self._database.read(flows.found, blob)
            if held is None or held.account != account:
                return Progress("gone", 0)
            if held.complete or held.received != offset:
                return Progress("elsewhere", held.received)
            most = min(self.limits.blob_piece, held.size - offset)
            if announced is not None and announced > most:
                return Progress("too_long", offset)
            if self.free() < most:
                return Progress("full", offset)
            return await self._receive(held, most, turn, receive)

    async def _receive(self, held: Held, most: int, turn: _Turn, receive: Receive) -> Progress:
        try:
            appending, packer = await _in_thread(self._disk, self._open, held)
            try:
                return await self._store(held, most, appending, packer, lambda: turn.next_of(receive, self.stall_s))
            finally:
                appending.close()
        except DamagedError:  # less is there than was acknowledged: it cannot go on, and must begin anew
            log.error("blob-upload-lost", blob=spoken(held.blob))
            await self._database.write(flows.remove, held.account, held.blob)
            return Progress("gone", 0)
        except StorageAwayError as away:
            log.warning("blob-storage-away", because=str(away))
            return Progress("away", held.received)
        except OSError as failure:
            if failure.errno in _FULL:
                log.warning("blob-storage-full", because=failure.strerror)  # without the file's name
                return Progress("full", held.received)
            if failstop.is_disk(failure):
                self._database.fail(failure)
            raise

    async def _store(
        self,
        held: Held,
        most: int,
        appending: Appending,
        packer: Packer,
        next_piece: Callable[[], Awaitable[bytes | Ended]],
    ) -> Progress:
        count, waiting = 0, bytearray()
        while not isinstance(piece := await next_piece(), str):
            count += len(piece)
            if count > most:
                return Progress("too_long", held.received)
            waiting += piece
            if len(waiting) >= GATHERED:
                await _in_thread(self._disk, _write, appending, packer, bytes(waiting))
                waiting.clear()
        length = held.received + count
        if count:
            if length == held.size:
                await _in_thread(self._disk, _write_end, appending, packer, bytes(waiting))
                await _in_thread(self._moves, appending.finish)
            else:
                await _in_thread(self._disk, _settle, appending, packer, bytes(waiting))
            if not await self._database.write(flows.received, held.blob, length, limits=self.limits):
                return Progress("gone", 0)
        return Progress(piece, length)

    def _open(self, held: Held) -> tuple[Appending, Packer]:
        length = stored_length(held.received)
        appending = self._storage.append(held.blob, length)
        try:
            return appending, Packer(held.blob, held.received, appending.tail(length - held.received % BLOCK))
        except BaseException:
            appending.close()
            raise

    # --- readings

    def admit(self, account: str) -> int | None:
        """Count a reading; how long to wait (ms) when there were too many."""
        if self._readers[account] >= self.limits.blob_reads_open:
            return 1_000
        pace = Rate(self.limits.blob_reads_at_once, self.limits.blob_read_again_ms)
        return self._pace.charge(account, pace, self._database.now())

    @contextlib.asynccontextmanager
    async def reading(self, account: str, held: Held, span: Span) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The bytes of a span, in pieces, each verified; DamagedError (or StorageAwayError) at the first wrong one."""
        self._readers[account] += 1
        pieces = self._pieces(held, span)
        try:
            yield pieces
        finally:
            await pieces.aclose()
            self._readers[account] -= 1
            if not self._readers[account]:
                del self._readers[account]

    async def _pieces(self, held: Held, span: Span) -> AsyncGenerator[bytes, None]:
        number, behind = blocks_of(*span)
        whole = stored_size(held.size)
        at = number * (BLOCK + CHECK)
        reading: Reading = await _in_thread(self._reads, self._storage.read, held.blob, at, whole)
        try:
            while number < behind:
                upto = min(number + BLOCKS, behind)
                end = min(upto * (BLOCK + CHECK), whole)
                piece = await _in_thread(self._reads, _read, reading, held.blob, number, end - at)
                first = number * BLOCK
                yield piece[max(0, span.start - first) : span.stop - first]
                number, at = upto, end
        finally:
            reading.close()

    def evidence(self, blob: str, size: int, span: Span) -> AsyncGenerator[bytes, None]:
        """The bytes of a held blob, each verified against the disk's rot; for the reviewers' side alone."""
        return self._pieces(Held(blob, "", size, size, complete=True, expires_ms=0), span)

    async def is_there(self, blob: str, size: int) -> bool:
        """Whether a complete blob of this size lies in storage; its bytes are not read."""
        return await _in_thread(self._moves, self._storage.has, blob, stored_size(size))

    # --- what is over

    async def clear(self) -> None:
        """Remove what expired or was deleted, rows first, then bytes; a crash in between loses no removal.

        Where the storage does not answer, the bytes go the next time.
        """
        while await self._database.write(flows.expire):
            pass
        try:
            while blobs := await self._database.read(flows.to_remove):
                await self._remove(blobs)
                await self._database.write(flows.removed, blobs)
        except StorageAwayError as away:
            log.warning("blob-storage-away", because=str(away))

    async def clear_lost(self) -> None:
        """Remove old bytes that no row knows: a restored database has forgotten them."""
        names = self._storage.listed(LOST_S)
        try:
            while batch := await _in_thread(self._moves, lambda: list(islice(names, flows.MOST))):
                ids = [name for name in batch if is_id(name)]
                await self._remove(await self._database.read(flows.unknown, ids))
        except StorageAwayError as away:
            log.warning("blob-storage-away", because=str(away))

    async def _remove(self, blobs: list[str]) -> None:
        for blob in blobs:
            async with self._turn(blob, 0):  # an upload of it ends first, and finds no row any more
                await _in_thread(self._moves, self._storage.remove, blob)

    # --- turns

    @contextlib.asynccontextmanager
    async def _turn(self, blob: str, wait_s: float) -> AsyncIterator[_Turn]:
        while (other := self._turns.get(blob)) is not None:
            other.hurry(wait_s)
            await other.over.wait()
        mine = self._turns[blob] = _Turn()
        try:
            yield mine
        finally:
            del self._turns[blob]
            mine.over.set()


async def _in_thread(threads: ThreadPoolExecutor, do: Callable[..., T], *args: object) -> T:
    """Run it in a thread, and let nobody close under it what it works on."""
    running = asyncio.get_running_loop().run_in_executor(threads, do, *args)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _write(appending: Appending, packer: Packer, data: bytes) -> None:
    appending.write(packer.pack(data))


def _write_end(appending: Appending, packer: Packer, data: bytes) -> None:
    appending.write(packer.pack(data) + packer.end())


def _settle(appending: Appending, packer: Packer, data: bytes) -> None:
    _write(appending, packer, data)
    appending.settle()


def _read(reading: Reading, blob: str, number: int, length: int) -> bytes:
    return b"".join(unpack(blob, number, reading.read(length)))
