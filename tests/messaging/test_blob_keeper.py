"""Bytes of blobs: nothing acknowledged is lost at any crash, nobody's race mixes them, and what is over goes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kith.ledger.database import Database
from kith.messaging import facts
from kith.messaging.blob_format import BLOCK, CHECK, DamagedError, Packer, stored_length, stored_size, unpack
from kith.messaging.blob_keeper import LOST_S, MOVE_THREADS, READ_THREADS, Keeper, Progress, Receive
from kith.messaging.blob_storage import Folder, FolderAppending, FolderReading
from kith.messaging.blobs import Span
from kith.messaging.flows import blobs as flows
from kith.messaging.flows.blobs import Held
from kith.messaging.limits import Limits
from kith.messaging.outcomes import Refusal
from messaging.attachments import PLENTY, ciphertext
from messaging.town import Clock, Town, projectors

SIZE = 3 * BLOCK + 8192
LIMITS = Limits(blob_piece=SIZE)
BLOB = "AAECAwQFBgcICQoLDA0ODw"


def body(*pieces: bytes, end: bytes | None = b"") -> Receive:
    """A request's body in these pieces; `end=None`: the connection breaks off behind them."""
    left = list(pieces)

    async def receive() -> bytes | None:
        await asyncio.sleep(0)
        return left.pop(0) if left else end

    return receive


class Place:
    """A database, a folder and a keeper; `again()` is what a restart finds."""

    def __init__(self, town: Town, folder: Path) -> None:
        self.town, self.folder = town, Folder(folder)
        self.account = town.person("ana")
        self.keeper = self.again()

    def again(self, storage: Any = None) -> Keeper:
        """A keeper on what lies there."""
        lies = storage or self.folder
        return Keeper(self.town.database, lies, free=lambda: PLENTY, limits=LIMITS, stall_s=1000, grace_s=0.01)

    def begin(self, size: int = SIZE, blob: str = BLOB) -> None:
        """An upload."""
        begun = self.town.do(flows.begin, self.account, blob, size, key=b"k")
        assert not isinstance(begun, Refusal), begun

    def held(self, blob: str = BLOB) -> Held | None:
        """As recorded."""
        found: Held | None = self.town.ask(flows.found, blob)
        return found

    async def bring(self, offset: int, receive: Receive, keeper: Keeper | None = None) -> Progress:
        """Bytes behind `offset`."""
        return await (keeper or self.keeper).receive(self.account, BLOB, offset, None, receive)

    async def whole(self, keeper: Keeper | None = None) -> bytes:
        """What a reader gets."""
        held = self.held()
        assert held is not None
        async with (keeper or self.keeper).reading("ben", held, Span(0, held.size)) as pieces:
            return b"".join([piece async for piece in pieces])


@pytest.fixture
def place(town: Town, tmp_path: Path) -> Iterator[Place]:
    """Nothing there yet."""
    made = Place(town, tmp_path / "blobs")
    yield made
    made.keeper.close()


# --- crashes ----------------------------------------------------------------------------------------------------------


class Died(BaseException):
    """The process is gone; nobody handles this."""


class Mortal(Folder):
    """A folder whose server dies at its n-th step, in the middle of it: half a write, a rename that nobody recorded."""

    def __init__(self, folder: Path, dies_at: int) -> None:
        super().__init__(folder)
        self.left = dies_at

    def step(self) -> bool:
        """Whether this is the last one."""
        self.left -= 1
        return self.left == 0

    def append(self, blob: str, length: int) -> FolderAppending:
        """As ever, but mortal."""
        if self.step():
            raise Died
        made = super().append(blob, length)
        return _MortalAppending(self, made._file, made._partial, made._complete)


class _MortalAppending(FolderAppending):
    def __init__(self, folder: Mortal, *rest: Any) -> None:
        super().__init__(*rest)
        self._folder = folder

    def write(self, data: bytes) -> None:
        """Half of it, at the end."""
        if self._folder.step():
            super().write(data[: len(data) // 2])
            raise Died
        super().write(data)

    def settle(self) -> None:
        """Before or behind it."""
        if self._folder.step():
            raise Died
        super().settle()
        if self._folder.step():
            raise Died

    def finish(self) -> None:
        """The same, with the rename in between."""
        super().finish()
        if self._folder.step():
            raise Died


def test_a_server_that_dies_at_any_step_of_an_upload_goes_on_where_it_acknowledged(place: Place) -> None:
    """Every step in turn, power cut included: what lies behind the last fsync is noise. Then all bytes are right."""
    data, chance = ciphertext(SIZE), random.Random(5)
    cuts = [0, 100, 70_000, BLOCK * 2, SIZE]

    async def attempt(keeper: Keeper) -> bool:
        """Until it dies; True when everything is there."""
        for start, end in pairwise(cuts):
            held = place.held()
            assert held is not None
            if held.received >= end:
                continue
            assert held.received == start, "less or more than was acknowledged"
            await place.bring(start, body(data[start:end]), keeper)
        return True

    async def lives(dies_at: int) -> int:
        place.begin()
        deaths = 0
        mortal = Mortal(place.folder.folder, dies_at)
        keeper = place.again(mortal)
        try:
            await attempt(keeper)
        except Died:
            deaths = 1
        keeper.close()
        _noise_behind(place, chance)
        keeper = place.again()
        assert await attempt(keeper)
        held = place.held()
        assert held is not None
        assert held.complete
        assert await place.whole(keeper) == data
        keeper.close()
        place.town.do(flows.remove, place.account, BLOB)
        await place.keeper.clear()
        return deaths

    async def story() -> None:
        at = 1
        while await lives(at):
            at += 1
        assert at > 15, "it died at few places only"

    asyncio.run(story())


def _noise_behind(place: Place, chance: random.Random) -> None:
    """What a power cut may leave: anything behind what was settled and acknowledged."""
    held = place.held()
    partial = place.folder.partial(BLOB)
    if held is None or held.complete or not partial.exists():
        return
    with partial.open("r+b") as file:
        file.truncate(stored_length(held.received))
        file.seek(0, os.SEEK_END)
        file.write(chance.randbytes(chance.randrange(100_000)))


def test_a_keeper_that_records_before_it_settles_loses_bytes(place: Place) -> None:
    """The control: with a storage that forgets what it said was settled, the loss is seen and told."""
    data = ciphertext(SIZE)
    place.begin()

    async def story() -> None:
        await place.bring(0, body(data[:100_000]))
        os.truncate(place.folder.partial(BLOB), 10)
        assert (await place.bring(100_000, body(data[100_000:]))).ended == "gone"
        assert place.held() is None

    asyncio.run(story())


def test_a_full_disk_keeps_nothing_of_a_piece_and_ends_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC is an answer; every other failure of the disk stops the server before it acknowledges anything."""
    data, failed = ciphertext(SIZE), list[Any]()
    place.town.database._on_failure = failed.append
    place.begin()

    asyncio.run(_two_rounds(place, data, failed, monkeypatch))


async def _two_rounds(place: Place, data: bytes, failed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    await place.bring(0, body(data[:1000]))
    with monkeypatch.context() as patched:
        patched.setattr(FolderAppending, "write", _failing(errno.ENOSPC))
        assert await place.bring(1000, body(data[1000:])) == Progress("full", 1000)
    assert (await place.bring(1000, body(data[1000:2000]))).received == 2000
    assert failed == []
    with monkeypatch.context() as patched:
        patched.setattr(FolderAppending, "write", _failing(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            await place.bring(2000, body(data[2000:]))
    assert len(failed) == 1


def _failing(number: int) -> Callable[[object, bytes], None]:
    def write(_: object, __: bytes) -> None:
        raise OSError(number, os.strerror(number))

    return write


def test_whether_a_blob_is_there_is_known_without_reading_it(place: Place) -> None:
    """By its size; what is on its way is not there, nor what was cut."""
    place.begin()

    async def story() -> None:
        assert not await place.keeper.is_there(BLOB, SIZE)
        await place.bring(0, body(ciphertext(SIZE)[:1000]))
        assert not await place.keeper.is_there(BLOB, SIZE)
        await place.bring(1000, body(ciphertext(SIZE)[1000:]))
        assert await place.keeper.is_there(BLOB, SIZE)
        os.truncate(place.folder.path(BLOB), SIZE)
        assert not await place.keeper.is_there(BLOB, SIZE)

    asyncio.run(story())


# --- races and slow senders -------------------------------------------------------------------------------------------


def test_a_newer_upload_takes_over_and_the_bytes_are_one_of_the_two(place: Place) -> None:
    """The older, whose client hangs, is told; what it brought counts, and the newer goes on behind it."""
    data = ciphertext(SIZE)
    place.begin()

    async def story() -> None:
        hangs = asyncio.Event()
        pieces = [data[:70_000]]

        async def hanging() -> bytes | None:
            if pieces:
                return pieces.pop()
            hangs.set()
            await asyncio.Event().wait()
            return b""

        older = asyncio.create_task(place.bring(0, hanging))
        await hangs.wait()
        newer = await place.bring(0, body(b"z" * 10))
        assert newer == Progress("elsewhere", 70_000)
        assert await older == Progress("overtaken", 70_000)
        assert await place.bring(70_000, body(data[70_000:])) == Progress("all", SIZE)
        assert await place.whole() == data

    asyncio.run(story())


def test_many_uploads_at_once_on_one_id_end_in_exactly_the_announced_bytes(place: Place) -> None:
    """Each brings the right bytes from where it is told; whoever comes too late is told so."""
    data, chance = ciphertext(SIZE), random.Random(7)
    place.begin()
    place.keeper.grace_s = 1000

    async def client() -> None:
        offset = 0
        while offset < SIZE:
            end = min(SIZE, offset + chance.randrange(1, 60_000))
            pieces = [data[at : min(at + 9000, end)] for at in range(offset, end, 9000)]
            offset = (await place.bring(offset, body(*pieces))).received
            await asyncio.sleep(0)

    async def story() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*(client() for _ in range(4)))
        assert await place.whole() == data

    asyncio.run(story())


class Faraway(Folder):
    """A storage that takes and gives complete blobs only when it is let; `came` counts who waits for that."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.opened, self.came = threading.Event(), threading.Semaphore(0)

    def wait(self) -> None:
        """Until it is let."""
        self.came.release()
        assert self.opened.wait(60)

    def append(self, blob: str, length: int) -> FolderAppending:
        """Near; its end is not."""
        made = super().append(blob, length)
        return _FarAppending(self, made._file, made._partial, made._complete)

    def read(self, blob: str, start: int, size: int) -> FolderReading:
        """Far."""
        self.wait()
        return super().read(blob, start, size)


class _FarAppending(FolderAppending):
    def __init__(self, folder: Faraway, *rest: Any) -> None:
        super().__init__(*rest)
        self._folder = folder

    def finish(self) -> None:
        """Far."""
        self._folder.wait()
        super().finish()


def numbered(number: int) -> str:
    """An id."""
    return f"{number:02d}".ljust(21, "-") + "A"


@pytest.mark.parametrize(("busy", "threads"), [("ends", MOVE_THREADS), ("readings", READ_THREADS)])
def test_a_storage_that_is_slow_keeps_no_piece_of_an_upload_waiting(busy: str, threads: int, place: Place) -> None:
    """More want it than there are threads; a piece is taken, and who wants something else of it gets there."""
    names = [numbered(number) for number in range(threads + 4)]
    far = Faraway(place.folder.folder)
    limits = Limits(blob_uploads_open=len(names) + 5)
    keeper = Keeper(place.town.database, far, free=lambda: PLENTY, limits=limits)
    data = ciphertext(1024)

    async def upload(blob: str) -> Progress:
        return await keeper.receive(place.account, blob, 0, None, body(data))

    async def read(blob: str) -> bytes:
        held = place.held(blob)
        assert held is not None
        async with keeper.reading("ben", held, Span(0, held.size)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def came(count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(far.came.acquire, timeout=30)

    async def story() -> None:
        far.opened.set()
        for name in (*names, numbered(98), numbered(99), BLOB):
            place.town.do(
                flows.begin, place.account, name, SIZE if name == BLOB else len(data), key=b"k", limits=limits
            )
        await upload(numbered(98))
        if busy == "readings":
            await asyncio.gather(*(upload(name) for name in names))
        far.opened.clear()
        far.came = threading.Semaphore(0)
        tasks = [asyncio.create_task((upload if busy == "ends" else read)(name)) for name in names]
        await came(threads)
        assert await keeper.receive(place.account, BLOB, 0, None, body(b"x" * 5000)) == Progress("all", 5000)
        other = asyncio.create_task(upload(numbered(99)) if busy == "readings" else read(numbered(98)))
        await came(1)
        far.opened.set()
        assert await asyncio.gather(*tasks) == [Progress("all", len(data)) if busy == "ends" else data] * len(names)
        await other

    async def in_time() -> None:
        async with asyncio.timeout(90):
            await story()

    try:
        asyncio.run(in_time())
    finally:
        far.opened.set()
        keeper.close()


@pytest.mark.parametrize("how", ["stalls", "breaks off"])
def test_what_a_slow_or_broken_connection_brought_is_kept(how: str, place: Place) -> None:
    """And it is told from where to go on."""
    data = ciphertext(SIZE)
    place.begin()
    place.keeper.stall_s = 0.05

    async def never() -> bytes | None:
        await asyncio.Event().wait()
        return b""

    async def stalls() -> bytes | None:
        return pieces.pop(0) if pieces else await never()

    pieces = [data[:5000], data[5000:70_000]]
    receive = stalls if how == "stalls" else body(*pieces, end=None)

    async def story() -> None:
        progress = await place.bring(0, receive)
        assert progress == Progress("stalled" if how == "stalls" else "cut", 70_000)
        assert await place.bring(70_000, body(data[70_000:])) == Progress("all", SIZE)
        assert await place.whole() == data

    asyncio.run(story())


def test_removing_ends_an_upload_first_and_leaves_no_byte(place: Place) -> None:
    """An upload that is under way finds its blob gone; a restart in between removes it as well."""
    place.begin()

    async def story() -> None:
        hangs = asyncio.Event()

        async def hanging() -> bytes | None:
            hangs.set()
            await asyncio.Event().wait()
            return b""

        upload = asyncio.create_task(place.bring(0, hanging))
        await hangs.wait()
        place.town.do(flows.remove, place.account, BLOB)
        assert place.town.ask(flows.to_remove) == [BLOB]
        await place.keeper.clear()
        assert (await upload).ended in ("overtaken", "gone")
        assert list(place.folder.folder.rglob("*.part")) == []
        assert place.town.ask(flows.to_remove) == []

    asyncio.run(story())


# --- what is over -----------------------------------------------------------------------------------------------------


def test_half_uploads_and_old_blobs_go_by_themselves(place: Place) -> None:
    """An unfinished one a day after its last byte, a complete one after 30 days; never earlier."""
    data, day = ciphertext(SIZE), LIMITS.blob_unfinished_ms
    other = "B" * 21 + "A"
    place.begin()
    place.begin(blob=other)

    async def story() -> None:
        await place.bring(0, body(data))
        await place.keeper.receive(place.account, other, 0, None, body(b"half"))
        clock = place.town.clock
        clock.now += day - 1
        await place.keeper.receive(place.account, other, 4, None, body(b"more"))
        clock.now += day - 1
        await place.keeper.clear()
        assert place.held(other) is not None
        clock.now += 1
        await place.keeper.clear()
        assert place.held(other) is None
        assert [file.name for file in place.folder.folder.rglob("*") if file.is_file()] == [BLOB]
        clock.now += LIMITS.blob_life_ms
        assert place.held() is None
        await place.keeper.clear()
        assert [file.name for file in place.folder.folder.rglob("*") if file.is_file()] == []
        assert place.town.ask(flows.to_remove) == []

    asyncio.run(story())


def test_bytes_that_no_row_knows_go_after_a_day_and_strange_files_stay(place: Place) -> None:
    """As after a restored database; what is fresh, known, or none of ours is left alone."""
    data = ciphertext(SIZE)
    lost, fresh = "C" * 21 + "A", "D" * 21 + "A"
    place.begin()

    async def story() -> None:
        await place.bring(0, body(data))
        for blob in (lost, fresh):
            file = place.folder.path(blob)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"x")
        strange = place.folder.path(lost).with_name("README")
        strange.write_bytes(b"x")
        old = place.folder.path(lost).stat().st_mtime - LOST_S - 5
        for file in (place.folder.path(lost), place.folder.path(BLOB), strange):
            os.utime(file, (old, old))
        await place.keeper.clear_lost()
        left = {file.name for file in place.folder.folder.rglob("*") if file.is_file()}
        assert left == {BLOB, fresh, "README"}

    asyncio.run(story())


def test_an_export_lists_own_blobs_and_nobody_else_s(place: Place) -> None:
    """Id, size and times; there is nothing else to tell."""
    place.begin()
    ben = place.town.person("ben")
    [mine] = place.town.ask(facts.held, place.account)["attachments"]
    assert mine["blob"] == BLOB
    assert set(mine) == {"blob", "size", "received", "created_ms", "complete_ms", "expires_ms"}
    assert place.town.ask(facts.held, ben)["attachments"] == []


# --- the format -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [1, BLOCK - 5, BLOCK - 4, BLOCK - 3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 5]
)
def test_the_pieces_in_which_bytes_come_make_no_difference_on_the_disk(size: int) -> None:
    """Packed at once, or with a restart behind every 1000 bytes."""
    data = os.urandom(size)
    once = Packer(BLOB, 0, b"")
    packed = once.pack(data) + once.end()
    assert len(packed) == stored_size(size)
    stored = bytearray()
    for at in range(0, size, 1000):
        tail = bytes(stored[stored_length(at) - at % BLOCK :]) if at % BLOCK else b""
        packer = Packer(BLOB, at, tail)
        stored += packer.pack(data[at : at + 1000])
        assert len(stored) == stored_length(min(size, at + 1000))
    assert bytes(stored) + packer.end() == packed
    assert b"".join(unpack(BLOB, 0, packed)) == data
    with pytest.raises(DamagedError):
        list(unpack("another", 0, packed))
    with pytest.raises(DamagedError):
        list(unpack(BLOB, 1, packed))
    with pytest.raises(DamagedError):
        list(unpack(BLOB, 0, packed[:-1]))
    assert len(packed) - size - CHECK * (-(-size // BLOCK) - 1) == CHECK


# --- a law ------------------------------------------------------------------------------------------------------------


class Uploading(RuleBasedStateMachine):
    """Whatever clients do, and whenever the server dies: the offset is the model's, and so are the bytes at the end."""

    @initialize()
    def begin(self) -> None:
        """A fresh upload on a fresh server."""
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name)
        clock = Clock()
        database = Database(path / "kith.db", projectors(), clock=clock)
        database.create_tables()
        self.place = Place(Town(database, clock), path / "blobs")
        self.runner = asyncio.Runner()
        self.data = ciphertext(SIZE, 11)
        self.place.begin()
        self.offset = 0

    def run(self, what: Awaitable[Any]) -> Any:
        """On the one loop."""

        async def wait() -> Any:
            return await what

        return self.runner.run(wait())

    @rule(length=st.integers(0, SIZE), cuts=st.integers(1, 50_000), ends=st.sampled_from([b"", None]))
    def bring(self, length: int, cuts: int, ends: bytes | None) -> None:
        """The right bytes, in pieces, to an end or to a broken connection."""
        end = min(SIZE, self.offset + length)
        pieces = [self.data[at : min(at + cuts, end)] for at in range(self.offset, end, cuts)]
        before = self.offset
        progress = self.run(self.place.bring(self.offset, body(*pieces, end=ends)))
        if before == SIZE:
            assert progress == Progress("elsewhere", SIZE)
        else:
            assert progress == Progress("cut" if ends is None else "all", end)
            self.offset = end

    @rule(offset=st.integers(0, SIZE + 10))
    def bring_elsewhere(self, offset: int) -> None:
        """Changes nothing."""
        if offset != self.offset:
            assert self.run(self.place.bring(offset, body(b"wrong"))) == Progress("elsewhere", self.offset)

    @rule()
    def bring_too_much(self) -> None:
        """Changes nothing either."""
        if self.offset < SIZE:
            ended = self.run(self.place.bring(self.offset, body(b"z" * (SIZE - self.offset), b"z")))
            assert ended == Progress("too_long", self.offset)

    @rule(dies_at=st.integers(1, 6))
    def die(self, dies_at: int) -> None:
        """In the middle of the right bytes; what was not acknowledged may have become durable or not."""
        keeper = self.place.again(Mortal(self.place.folder.folder, dies_at))
        end = min(SIZE, self.offset + 30_000)
        with contextlib.suppress(Died):
            self.run(self.place.bring(self.offset, body(self.data[self.offset : end]), keeper))
        keeper.close()
        held = self.place.held()
        assert held is not None
        assert held.received in (self.offset, end)
        self.offset = held.received

    @rule()
    def restart(self) -> None:
        """A new process on what lies there."""
        self.place.keeper.close()
        self.place.keeper = self.place.again()

    @invariant()
    def told(self) -> None:
        """The row is the model's; a complete blob is the model's bytes."""
        if not hasattr(self, "place"):
            return
        held = self.place.held()
        assert held is not None
        assert (held.received, held.complete) == (self.offset, self.offset == SIZE)
        if held.complete:
            assert self.run(self.place.whole()) == self.data

    def teardown(self) -> None:
        """Leave nothing."""
        if hasattr(self, "place"):
            self.place.keeper.close()
            self.place.town.database.close_now()
            self.runner.close()
            self.folder.cleanup()


TestUploading = Uploading.TestCase
TestUploading.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
