"""Words for somebody who has no device at the moment."""

from __future__ import annotations

import asyncio

import pytest

from kith.sdk import room as rooms
from sdk.meeting import PASSWORD, Meeting, asked_by, eventually, next_message


def test_words_for_somebody_without_a_device_leave_when_there_is_one(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The news of the device starts them, not the clock: the longest wait between two attempts is set to a day."""
    monkeypatch.setattr(rooms, "REFUSED_RETRY_MS", 24 * 3600 * 1000)

    async def story() -> None:
        async with meeting.client("ola") as ola, meeting.client("per") as per:
            await meeting.join(ola, "ola")
            code = await meeting.join(per, "per")
            handle = per.handle
            await ola.request(handle)
            room = ola.room((await (await asked_by(per, ola.handle)).accept()).id)
            await per.sign_out()
            room.queue("Are you there?")

            async def lonely() -> bool | None:
                return ola.state(room.id).lonely or None

            await eventually(lonely, "an attempt that finds no device")
            ola.state(room.id)._lonely_ms = rooms.REFUSED_RETRY_MS  # as after many attempts
            ola.state(room.id)._not_before = ola.now() + rooms.REFUSED_RETRY_MS
            await per.sign_in(meeting.origin, handle, PASSWORD, recovery_code=code)
            assert (await next_message(per)).text == "Are you there?"

    asyncio.run(story())
