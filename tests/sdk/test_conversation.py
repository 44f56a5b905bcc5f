"""Two clients of the SDK talk over a real server."""

from __future__ import annotations

import asyncio

from sdk.meeting import Meeting, introduce, next_message


def test_two_clients_write_to_each_other(meeting: Meeting) -> None:
    """A first message waits for acceptance; replies go both ways, in order, with their proofs."""

    async def story() -> None:
        async with meeting.client("ann") as ann, meeting.client("ben") as ben:
            code = await meeting.join(ann, "ann")
            assert len(code.replace("-", "")) == 34
            await meeting.join(ben, "ben")
            hers, his = await introduce(ann, ben, "Hello Ben")
            answer = await his.send("Hello Ann")
            assert answer.mine
            heard = await next_message(ann)
            assert (heard.text, heard.sender, heard.room) == ("Hello Ann", ben.account, hers)
            await heard.reply("How are you?")
            reply = await next_message(ben)
            assert reply.reply_to == answer.id
            for number in range(5):
                await hers.send(f"number {number}")
            assert [(await next_message(ben)).text for _ in range(5)] == [f"number {n}" for n in range(5)]
            assert [one.text for one in hers.history()] == [one.text for one in his.history()]

    asyncio.run(story())
