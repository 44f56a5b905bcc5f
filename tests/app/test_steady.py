"""A clock that jumps ahead deletes nothing; one that stays there for a day is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durability.forked import free_ports
from durability.village import build
from kith.app.jobs import Chore
from kith.app.steady import JUMP_MS, WAIT_MS, Look, Watch, look
from kith.app.wiring import Kith
from kith.ledger.limits import DAY, MINUTE
from kith.messaging.flows import delivery, sweeping
from kith.protocol.frames import ROSTER


@dataclass
class Clocks:
    """Both, as a test sets them."""

    wall_ms: int = 1_767_225_600_000
    steady_ms: int = 0

    def wall(self) -> int:
        """What people call the time."""
        return self.wall_ms

    def steady(self) -> int:
        """What has really passed."""
        return self.steady_ms

    def passes(self, span_ms: int) -> None:
        """Time goes by on both."""
        self.wall_ms += span_ms
        self.steady_ms += span_ms


@given(st.lists(st.tuples(st.integers(0, 3 * DAY), st.integers(-JUMP_MS, 0)), max_size=20))
def test_time_that_passes_is_always_believed(spans: list[tuple[int, int]]) -> None:
    """However long nobody looked, and however the wall clock is set back meanwhile."""
    clocks = Clocks()
    seen = Look(clocks.wall_ms, clocks.steady_ms)
    for span, back in spans:
        clocks.passes(span)
        clocks.wall_ms += back
        seen = look(seen, clocks.wall_ms, clocks.steady_ms)
        assert seen == Look(clocks.wall_ms, clocks.steady_ms)


@given(st.integers(JUMP_MS + 1, 1000 * DAY), st.lists(st.integers(0, WAIT_MS // 10), max_size=9))
def test_a_jump_is_doubted_for_a_day_however_often_it_is_looked_at(jump: int, spans: list[int]) -> None:
    """And not a millisecond longer."""
    clocks = Clocks()
    seen = Look(clocks.wall_ms, clocks.steady_ms)
    clocks.wall_ms += jump
    for span in (0, *spans):
        clocks.passes(span)
        seen = look(seen, clocks.wall_ms, clocks.steady_ms)
        assert seen.doubted_ms == 0
    clocks.passes(WAIT_MS - clocks.steady_ms)
    assert look(seen, clocks.wall_ms, clocks.steady_ms).doubted_ms is None


def test_a_clock_that_was_set_back_waits_for_a_restart() -> None:
    """The server's own time does not go back, so ages are not judged by it."""
    clocks = Clocks()
    watch = Watch(clocks.wall, clocks.steady)
    now = clocks.wall_ms + 40 * DAY
    clocks.passes(3 * DAY)
    assert not watch.may_delete(now)
    assert Watch(clocks.wall, clocks.steady).may_delete(clocks.wall_ms)


@pytest.fixture
def kith(tmp_path: Path) -> Iterator[Kith]:
    """A server that is not serving, with one mail that waits."""
    ports = free_ports(2)
    village = build(tmp_path / "server", (ports[0], ports[1]), rooms=1)
    made = Kith(tmp_path / "server")
    made.database.write_now(delivery.post, village.members[0].device, ROSTER, None, 0, about="somebody")
    yield made
    asyncio.run(made.stop())


def test_mail_outlives_a_clock_that_is_40_days_ahead(kith: Kith, capsys: pytest.CaptureFixture[str]) -> None:
    """The chore waits and says why, once; a day later it goes on. The control: the sweep alone drops the mail."""
    clocks = Clocks(kith.database.now())
    kith.database.clock, kith.watch = clocks.wall, Watch(clocks.wall, clocks.steady)
    chore = next(one for one in kith.jobs._chores if one.name == "messaging-retention")
    clocks.wall_ms += 40 * DAY
    assert [waiting_after(kith, chore, clocks) for _ in range(3)] == [1, 1, 1]
    assert capsys.readouterr().out.count("The clock jumped ahead") == 1
    clocks.passes(DAY)
    assert waiting_after(kith, chore, clocks) == 0


def test_the_sweep_by_itself_would_drop_that_mail(kith: Kith) -> None:
    """The control."""
    clocks = Clocks(kith.database.now() + 40 * DAY)
    kith.database.clock = clocks.wall
    kith.database.write_now(sweeping.sweep)
    assert count(kith) == 0


def waiting_after(kith: Kith, chore: Chore, clocks: Clocks) -> int:
    """A minute passes and the chore is done: how many mails wait then."""
    clocks.passes(MINUTE)
    asyncio.run(_do(chore))
    return count(kith)


async def _do(chore: Chore) -> None:
    await chore.do()


def count(kith: Kith) -> int:
    """Mails that wait on the server."""
    found = kith.database._reader.execute("SELECT count(*) FROM mailbox").get
    assert isinstance(found, int)
    return found
