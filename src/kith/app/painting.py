"""Pictures of evidence made anew in a process of their own: a reviewer's browser decodes no stranger's file.

The process is `app.painter`: bounded, confined, and killed when it takes too long. One runs at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import structlog

from kith.reports.looks import Painted

log = structlog.get_logger("kith.painting")

PROGRAM: Final = Path(__file__).with_name("painter.py")
TIME_S: Final = 60.0
"""From its start to its last byte; it counts its own seconds of work, which are fewer."""
MOST_OUT: Final = 24 * 1024 * 1024
"""Bytes of a fresh picture: what a screen shows needs less."""
_HEADER: Final = re.compile(rb"(image/(?:png|jpeg|webp)) ([0-9]{1,6}) ([0-9]{1,9})\n")
_BEGINS: Final = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}


class Painter:
    """Makes pictures anew, one after the other."""

    def __init__(self, program: Path = PROGRAM, *, time_s: float = TIME_S) -> None:
        self._program, self._time_s = program, time_s
        self._turn = asyncio.Lock()

    async def __call__(self, pieces: AsyncIterator[bytes]) -> Painted | None:
        """A fresh file with the pixels of these bytes; None when there is none within the bounds.

        What `pieces` raises comes through.
        """
        async with self._turn:
            # No environment, no folder of ours, no file but the three; -I: nothing of where it is started.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                str(self._program),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(self._time_s):
                    _, out = await asyncio.gather(_feed(process, pieces), _drain(process))
                    code = await process.wait()
            except TimeoutError:
                code, out = -1, b""
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        made = read(out) if code == 0 else None
        if made is None:
            log.warning("picture-not-made", code=code)
        return made


async def _feed(process: asyncio.subprocess.Process, pieces: AsyncIterator[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101  it was asked for
    try:
        async for piece in pieces:
            process.stdin.write(piece)
            await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # it had enough, and says so by its exit code
    finally:
        process.stdin.close()


async def _drain(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None  # noqa: S101  it was asked for
    out = bytearray()
    while piece := await process.stdout.read(256 * 1024):
        out += piece
        if len(out) > MOST_OUT:
            process.kill()
            return b""
    return bytes(out)


def read(out: bytes) -> Painted | None:
    """What the process wrote, believed no more than a stranger: it read what a stranger sent."""
    header = _HEADER.match(out)
    if header is None:
        return None
    media_type, data = header[1].decode(), out[header.end() :]
    if not data.startswith(_BEGINS[media_type]):
        return None
    return Painted(media_type, data, int(header[2]), int(header[3]))
