"""Signing up is interrupted half-way, and the network comes and goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kith.sdk import Unreachable
from kith.sdk.api import Api
from kith.sdk.link import FIRST_DELAY_S, LONGEST_DELAY_S, delay_s
from sdk.meeting import Meeting, introduce


@pytest.mark.parametrize("step", ["put_identity", "put_device", "put_key_packages"])
def test_an_interrupted_sign_up_is_taken_up(meeting: Meeting, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whichever answer is lost: the account is usable after `finish`, and its code was handed out once."""
    honest: Any = getattr(Api, step)

    async def lost(self: Api, *args: Any, **facts: Any) -> Any:
        await honest(self, *args, **facts)
        raise Unreachable("the answer is lost")

    async def story() -> None:
        async with meeting.client("wes") as wes:
            monkeypatch.setattr(Api, step, lost)
            with pytest.raises(Unreachable):
                await meeting.join(wes, "wes")
            monkeypatch.setattr(Api, step, honest)
        async with meeting.client("wes") as wes, meeting.client("xan") as xan:
            assert wes.signed_in
            code = await wes.finish()
            assert code is not None
            assert wes.ready
            await meeting.join(xan, "xan")
            await introduce(xan, wes)

    asyncio.run(story())


def test_attempts_to_connect_are_spread_and_bounded() -> None:
    """Doubling, with jitter, and never much longer than half a minute."""
    first = {delay_s(1) for _ in range(50)}
    assert len(first) > 1
    assert all(0.75 * FIRST_DELAY_S <= one <= 1.25 * FIRST_DELAY_S for one in first)
    assert all(0.75 * LONGEST_DELAY_S <= delay_s(many) <= 1.25 * LONGEST_DELAY_S for many in (8, 100, 10_000))
