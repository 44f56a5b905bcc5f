"""A program that lives by `changes`: requests as they come, and nothing missed while it looks elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from kith.sdk import Client, Room
from sdk.meeting import WAIT_S, Meeting


async def accept_first(client: Client) -> Room:
    """Say yes to the first request, whenever it comes."""
    async with asyncio.timeout(WAIT_S), aclosing(client.changes()) as changes:
        async for news in changes:
            if not news or "requests" in news:
                for request in await client.requests():
                    return await request.accept()
    raise AssertionError("changes never end by themselves")


async def news_of(client: Client, what: str, began: asyncio.Event) -> list[frozenset[str]]:
    """Everything that is told until `what` is."""
    told = []
    async with asyncio.timeout(WAIT_S), aclosing(client.changes()) as changes:
        async for news in changes:
            told.append(news)
            began.set()
            if what in news:
                break
    return told


def test_requests_are_accepted_as_they_come_and_each_watcher_hears_of_a_message(meeting: Meeting) -> None:
    """The first news is empty and comes at once; two programs on one client do not take news from each other."""

    async def story() -> None:
        async with meeting.client("kim") as kim, meeting.client("leo") as leo:
            await meeting.join(kim, "kim")
            await meeting.join(leo, "leo")
            accepting = asyncio.create_task(accept_first(leo))
            await kim.request(leo.handle, "Hello Leo")
            room = await accepting
            began = [asyncio.Event(), asyncio.Event()]
            watching = [asyncio.create_task(news_of(kim, room.id, one)) for one in began]
            await asyncio.gather(*(one.wait() for one in began))
            await room.send("Hello Kim")
            for told in await asyncio.gather(*watching):
                assert told[0] == frozenset()

    asyncio.run(story())


def test_what_changes_while_a_program_looks_comes_with_the_next_news(meeting: Meeting) -> None:
    """A request arrives while the program is busy with another watch; its next news still says so."""

    async def story() -> None:
        async with meeting.client("mia") as mia, meeting.client("ned") as ned, aclosing(ned.changes()) as changes:
            await meeting.join(mia, "mia")
            await meeting.join(ned, "ned")
            async with asyncio.timeout(WAIT_S):
                assert await anext(changes) == frozenset()
                await mia.request(ned.handle)
                async with aclosing(ned.changes()) as other:
                    while not await ned.requests():  # the other watcher says when to look again
                        await anext(other)
                while "requests" not in await anext(changes):
                    pass

    asyncio.run(story())
