"""The town as a child process: started, listened to, started again when it falls, ended with the house."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from kith.app.demo.telling import Told, heard

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
STEADY_S = 60.0
"""A town that lived this long starts again without waiting longer than the first time."""
LEAVE_S = 3.0
LONGEST_LINE = 64 * 1024


class Town:
    """Keeps the child alive. `told` hears what it tells; `say` gets sentences for the person at the terminal."""

    def __init__(
        self,
        origin: str,
        data: Path,
        told: Callable[[Told], None],
        say: Callable[[str], None],
    ) -> None:
        self._command = [sys.executable, "-m", "kith.app.demo.town", origin, str(data.absolute() / "town")]
        self._log = data / "town.log"
        self._told = told
        self._say = say

    async def live(self) -> None:
        """Until cancelled. Whatever happens to the town, the server goes on."""
        wait = FIRST_WAIT_S
        while True:
            began = time.monotonic()
            await self._one_life()
            wait = FIRST_WAIT_S if time.monotonic() - began > STEADY_S else wait
            self._say(
                f"The town's process ended (see {self._log}). It starts again in {wait:.0f} s; the server goes on."
            )
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT_S, wait * 2)

    async def _one_life(self) -> None:
        with self._log.open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                limit=LONGEST_LINE,
                # Ctrl-C reaches the house alone, which then lets the town end in order.
                start_new_session=True,
            )
        try:
            await self._listen(child)
            await child.wait()
        finally:
            await _end(child)

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None  # noqa: S101  a pipe, as asked for above
        async for line in child.stdout:
            with contextlib.suppress(msgspec.DecodeError):  # whatever else a library may print
                self._told(heard(line))


async def _end(child: asyncio.subprocess.Process) -> None:
    """Its stdin closes, so it goes; if it does not, it is ended."""
    if child.returncode is not None:
        return
    assert child.stdin is not None  # noqa: S101  a pipe, as asked for above
    child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), LEAVE_S)
    except TimeoutError:
        child.kill()
        await child.wait()
