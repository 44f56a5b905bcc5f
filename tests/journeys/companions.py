"""People without a browser: SDK clients on an event loop in a thread of their own, beside Playwright's."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from journeys.harness import Server
from kith.sdk import Client, Cost, Room

PATIENCE_S = 60
T = TypeVar("T")
CHEAP = Cost(memory_kib=8, passes=1, lanes=1)


class Companion:
    """One of them. `does` hands work to her client and waits for what comes of it."""

    def __init__(self, company: Company, name: str, client: Client) -> None:
        self.name = name
        self.handle = name.lower().replace(" ", ".")
        self.client = client
        self._company = company

    def does(self, work: Callable[[Client], Awaitable[T]], *, patience_s: float = PATIENCE_S) -> T:
        """Run `work` on the companions' loop."""
        return self._company.run(work(self.client), patience_s)

    def accepts(self) -> Room:
        """Say yes to whoever asks first."""

        async def work(client: Client) -> Room:
            await until(client.requests)
            return await (await client.requests())[0].accept()

        return self.does(work)

    def joins(self) -> Room:
        """Say yes to the first invitation to a group, and wait until an owner's device let this one in."""

        async def work(client: Client) -> Room:
            await until(client.group_invitations)
            return await (await client.group_invitations())[0].accept()

        return self.does(work)

    def reads(self, room: Room, text: str) -> None:
        """Wait until a message stands in the chat, and read all that is there."""

        async def work(client: Client) -> None:
            chat = client.room(room.id)

            async def there() -> bool:
                return any(one.text == text for one in chat.history())

            await until(there)
            await chat.mark_read()

        self.does(work)

    def hears_timer(self, room: Room, seconds: int) -> None:
        """Wait until the chat's timer of disappearing messages is this on her device as well."""

        async def work(client: Client) -> None:
            async def there() -> bool:
                return client.room(room.id).timer_s == seconds

            await until(there)

        self.does(work)

    def says(self, room: Room, text: str) -> None:
        """Send a message."""
        self.does(lambda client: client.room(room.id).send(text))


async def until(asked: Callable[[], Awaitable[Any]]) -> None:
    """Ask until there is something; whoever waits for the answer has the patience."""
    while not await asked():  # noqa: ASYNC110 (whatever is asked for, nothing tells when it is there)
        await asyncio.sleep(0.1)


class Company:
    """The loop, and everybody on it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder, self._server = folder, server
        self._loop = asyncio.new_event_loop()
        self._here = AsyncExitStack()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[T], patience_s: float = PATIENCE_S) -> T:
        """Wait, on this thread, for something on the loop."""

        async def whole() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(whole(), self._loop).result(patience_s)

    def join(self, name: str, *, born: tuple[int, int] = (1990, 5)) -> Companion:
        """Somebody new, signed up and connected; she tells what she reads."""
        client = Client(self._folder / f"{name}.kith", "a passphrase for the store", cost=CHEAP)
        companion = Companion(self, name, client)

        async def begin() -> None:
            await self._here.enter_async_context(client)
            handle, password = companion.handle, "nine slow green rivers"
            await client.sign_up(self._server.origin, handle=handle, password=password, born=born, display_name=name)
            await client.let_be_seen(read_receipts=True)
            await client.connected()

        self.run(begin())
        return companion

    def part(self) -> None:
        """Everybody goes home."""
        self.run(self._here.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def company(folder: Path, server: Server) -> Iterator[Company]:
    """People who need no browser, for as long as the block runs."""
    here = Company(folder, server)
    try:
        yield here
    finally:
        here.part()
