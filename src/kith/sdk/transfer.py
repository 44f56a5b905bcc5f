"""The bytes of attachments to and from the server, in pieces (docs/api.md, "Attachments")."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, NamedTuple

import httpx
import msgspec

from kith.sdk.api import Api
from kith.sdk.errors import Limited, Refused, Unreachable

OCTETS: Final = "application/octet-stream"
TRIES: Final = 6
"""Failures in a row, without one more byte, after which a transfer is left for later."""
PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 8.0
STUCK: Final = "This does not answer like a server of Kith. Check the address."
BROKE_OFF: Final = "The connection broke off. Try again."


class Begun(msgspec.Struct, frozen=True):
    """A fresh upload. `piece`: bytes of one call at most."""

    blob: str
    offset: int
    piece: int
    expires_ms: int


class Progress(NamedTuple):
    """Bytes of ciphertext that are done, and all of them."""

    done: int
    total: int


Told = Callable[[Progress], None]


class Patience:
    """Waits longer after each failure in a row, and gives up after some."""

    def __init__(self) -> None:
        self._failures = 0

    def better(self) -> None:
        """Something got through."""
        self._failures = 0

    async def after(self, error: Unreachable | Limited) -> None:
        """Wait before trying again; raises the error when that was tried often enough."""
        self._failures += 1
        if self._failures >= TRIES:
            raise error
        usual = min(LONGEST_PAUSE_S, PAUSE_S * 2**self._failures)
        asked = (error.retry_after_ms or 0) / 1000
        if asked > LONGEST_PAUSE_S:
            raise error
        await asyncio.sleep(max(usual, asked))


async def begin(api: Api, size: int) -> Begun:
    """Make room on the server."""
    return await api.call(Begun, "POST", "/blobs", {"size": size})


async def offset_of(api: Api, blob: str) -> int:
    """How far an upload came; Refused (`not_found`) when there is none any more."""
    answer = await api.exchange("HEAD", f"/blobs/{blob}")
    return _offset(answer)


async def bring(api: Api, blob: str, offset: int, data: bytes) -> int:
    """Bring the next bytes; where the upload goes on, which may be elsewhere than behind them."""
    headers = {"Content-Type": OCTETS, "Upload-Offset": str(offset)}
    answer = await api.exchange("PATCH", f"/blobs/{blob}", data, headers, expected=(409,))
    return _offset(answer)


def _offset(answer: httpx.Response) -> int:
    text = answer.headers.get("upload-offset", "")
    if not (text.isascii() and text.isdigit()):
        raise Unreachable(STUCK)
    return int(text)


async def remove(api: Api, blob: str) -> None:
    """Take an own blob back; nothing when it is gone already."""
    try:
        await api.exchange("DELETE", f"/blobs/{blob}")
    except Refused as error:
        if error.code != "not_found":
            raise


async def upload(
    api: Api,
    blob: str,
    size: int,
    offset: int,
    *,
    piece_of: Callable[[int], Awaitable[bytes]],
    told: Told | None,
) -> None:
    """Bring everything from `offset` on. `piece_of(offset)` gives the bytes that follow, as many as one call takes."""
    patience = Patience()
    while offset < size:
        stuck: Unreachable | Limited | None = None
        went = offset
        try:
            went = await bring(api, blob, offset, await piece_of(offset))
        except (Unreachable, Limited) as error:
            stuck = error
        if offset < went <= size:
            patience.better()
            offset = went
        else:
            await patience.after(stuck or Unreachable(STUCK))
            with contextlib.suppress(Unreachable):
                offset = min(size, await offset_of(api, blob))
        if told is not None:
            told(Progress(offset, size))


async def download(api: Api, blob: str, size: int, told: Told | None) -> AsyncGenerator[bytes, None]:
    """The bytes of a blob, gone on with where a connection broke off. Refused (`not_found`) when it is gone."""
    patience, done = Patience(), 0
    while done < size:
        broke: Unreachable | Limited = Unreachable(BROKE_OFF)
        try:
            async with api.reading(f"/blobs/{blob}", {"Range": f"bytes={done}-"} if done else {}) as answer:
                if _begins(answer) != done:
                    raise Unreachable(STUCK)  # noqa: TRY301  as if nobody had answered
                async for chunk in answer.aiter_raw():
                    done += len(chunk)
                    patience.better()
                    yield chunk
                    if told is not None:
                        told(Progress(min(done, size), size))
        except (Unreachable, Limited) as error:
            broke = error
        if done < size:
            await patience.after(broke)


def _begins(answer: httpx.Response) -> int:
    text = answer.headers.get("content-range", "bytes 0-").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isascii() and text.isdigit() else -1
