"""One run of the demo, from the first look at the machine to Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from kith.app import logs, web
from kith.app.demo import house, obstacles, residents, words
from kith.app.demo.child import Town
from kith.app.demo.telling import Expects, Progress, Ready, Told
from kith.app.serving import running
from kith.app.tipline import Tipline
from kith.app.wiring import Kith

log = structlog.get_logger("kith.demo")

PATIENCE_S = 240.0
"""How long the first story may take before the table is printed without it."""


def run_demo(data: Path, port: int) -> None:
    """Build what is missing, then serve until Ctrl-C. What stands in the way is one sentence."""
    say = words.Say(sys.stdout)
    try:
        obstacles.look(data, port)
        with obstacles.alone(data):
            web.build()
            first = house.prepare(data, port)
            asyncio.run(_Demo(data, say, first=first).run())
    except KeyboardInterrupt:
        pass  # while building; everything begun is finished by the next run
    say.line("Stopped. Everything is kept; run the same command to go on.")


class _Demo:
    """One run: the server, and the town that lives with it."""

    def __init__(self, data: Path, say: words.Say, *, first: bool) -> None:
        self._data = data
        self._say = say
        self._first = first
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Until SIGINT or SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        async with AsyncExitStack() as stack:
            logs.configure(stack.enter_context((self._data / "server.log").open("a", buffering=1)))
            kith = Kith(self._data)
            await stack.enter_async_context(_practice(kith))
            await stack.enter_async_context(running(kith))
            await residents.move_in(kith.database)
            await stack.enter_async_context(self._town(kith))
            await self._either(self._ready, PATIENCE_S)
            if not self._stop.is_set():
                await self._open(kith)
                await self._stop.wait()
            self._say.line("")

    async def _open(self, kith: Kith) -> None:
        self._say.over()
        if not self._ready.is_set():
            self._say.step(f"The town is late; its log is {self._data / 'town.log'}. Everything else works.")
        why = await kith.database.read(residents.decision_to_explain)
        self._say.line(words.table(kith.settings, self._data, why))

    async def _either(self, event: asyncio.Event, seconds: float) -> None:
        """Until the event, the stop, or the end of patience."""
        waits = [asyncio.create_task(one.wait()) for one in (event, self._stop)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    @contextlib.asynccontextmanager
    async def _town(self, kith: Kith) -> AsyncIterator[None]:
        def told(news: Told) -> None:
            match news:
                case Progress(what="moving"):
                    verb = "Townspeople move in" if self._first else "Townspeople come online"
                    self._say.progress(f"{verb}: {news.done} of {news.of}")
                case Progress():
                    self._say.progress(f"They meet, ask, write and report: {news.done} of {news.of}")
                case Expects():
                    tasks.add(asyncio.create_task(self._say_yes(kith, news)))
                case Ready():
                    self._ready.set()

        tasks: set[asyncio.Task[None]] = set()
        town = Town(kith.settings.origin, self._data, told, self._say.interrupt)
        living = asyncio.create_task(town.live())
        try:
            yield
        finally:
            living.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await living
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _say_yes(self, kith: Kith, news: Expects) -> None:
        """A printed account has no device yet to agree on; the house does it by the same flows."""
        try:
            await kith.database.write(residents.say_yes, news.asker, news.asked)
        except Exception as error:
            log.error("not-accepted", asker=news.asker, asked=news.asked, exc_info=error)


@contextlib.asynccontextmanager
async def _practice(kith: Kith) -> AsyncIterator[None]:
    """The practice CyberTipline on the third port, with the credentials that the settings name."""
    server = Tipline(*house.tipline_login(kith.settings))
    async with server.listening("127.0.0.1", house.tipline_port(kith.settings)):
        yield
