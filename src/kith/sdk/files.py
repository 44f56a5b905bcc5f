"""Files of messages: fetched, verified and opened. See "Files" in docs/sdk.md; `sending` is the way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kith.protocol import attachments
from kith.protocol.attachments import (
    Attached,
    AttachmentRefusedError,
    Opener,
)
from kith.sdk import answers, transfer
from kith.sdk.errors import BadFile, Refused
from kith.sdk.transfer import Told

if TYPE_CHECKING:
    from kith.sdk.client import Client

SENTENCES: Final = {
    "attachment_unsupported": "This file cannot be opened here.",
    "attachment_missing": "This file is not on the server any more. Ask its sender to send it again.",
    "attachment_hash": "This file is not what was sent, so nothing of it is kept.",
    "attachment_decrypt": "This file is not what was sent, so nothing of it is kept.",
    "attachment_damaged": "The server's copy of this file is damaged. Ask its sender to send it again.",
    "too_large": "A file has at most 64 MB.",
    "changed": "The file changed while it was being sent. Send it again.",
    "unreadable": "This file cannot be read.",
}


def bad(reason: str) -> BadFile:
    """The error for this reason."""
    return BadFile(reason, SENTENCES[reason])


class File:
    """A file of a message. Nothing of it is fetched before `save` or `read` is called."""

    def __init__(self, client: Client, facts: Attached) -> None:
        self._client, self._facts = client, facts
        self.name, self.description = facts.name, facts.description
        self.media_type, self.inline, self.media, self.poster = (
            facts.media_type,
            facts.inline,
            facts.media,
            facts.poster,
        )

    def __repr__(self) -> str:
        """Without its name."""
        return f"File({self.media_type!r}, {self.length} bytes)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and other._facts == self._facts

    def __hash__(self) -> int:
        return hash(self._facts)

    @property
    def length(self) -> int:
        """Bytes of the file; where its sender did not say so credibly, of the padded one; 0 when it cannot be had."""
        sealed = self._facts.sealed
        return 0 if sealed is None else sealed.size - attachments.TAG if self.media is None else self.media.length

    async def read(self, *, most: int = attachments.MAX_SEALED, progress: Told | None = None) -> bytes:
        """The whole file in memory. BadFile when it is longer than `most`, cannot be had or is not what was sent."""
        if self.length > most:
            raise bad("too_large")
        whole = bytearray()
        async with contextlib.aclosing(self._pieces(progress)) as pieces:
            async for piece in pieces:
                whole += piece
        return bytes(whole)

    async def save(self, path: str | Path, *, replace: bool = False, progress: Told | None = None) -> Path:
        """Write it to `path`, which is there only when everything was verified. FileExistsError without `replace`.

        If `path` is a folder, the file gets its own name there. BadFile when it cannot be had or is not what was sent.
        """
        target = await asyncio.to_thread(_target, Path(path), self.name, replace=replace)
        partial = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                async with contextlib.aclosing(self._pieces(progress)) as pieces:
                    async for piece in pieces:
                        await asyncio.to_thread(out.write, piece)
                out.flush()
                await asyncio.to_thread(os.fsync, out.fileno())
            if replace:
                partial.replace(target)
            else:
                os.link(partial, target)  # refuses what came there meanwhile
        finally:
            partial.unlink(missing_ok=True)
        return target

    async def hand_in(
        self, reported: answers.Reported | answers.OwnReport, missing: answers.MissingFile, copy: bytes
    ) -> None:
        """Give a report the file that the server has no more, from a copy that one saved.

        It is sealed anew under the committed key: only exactly what was sent becomes what was sent. BadFile otherwise.
        """
        sealed = self._facts.sealed
        if sealed is None or missing.part != self._facts.part or len(copy) != self.length:
            raise bad("attachment_hash")
        whole = await asyncio.to_thread(_resealed, sealed, copy)
        begun = await transfer.begin(self._client.api, sealed.size)

        async def piece_of(offset: int) -> bytes:
            return whole[offset : offset + begun.piece]

        await transfer.upload(self._client.api, begun.blob, sealed.size, 0, piece_of=piece_of, told=None)
        await self._client.api.hand_in(reported.report, missing, begun.blob)

    async def _pieces(self, progress: Told | None) -> AsyncGenerator[bytes, None]:
        """The file's bytes; NOT verified before the last one was given and this ends without an error."""
        sealed = self._facts.sealed
        if sealed is None:
            raise bad("attachment_unsupported")
        opener = Opener(sealed, self.length)
        try:
            async with contextlib.aclosing(
                transfer.download(self._client.api, sealed.blob, sealed.size, progress)
            ) as came:
                async for piece in came:
                    yield opener.update(piece)
            opener.finish()
        except AttachmentRefusedError as refused:
            raise bad(refused.reason) from None
        except Refused as refused:
            reason = {"not_found": "attachment_missing", "damaged": "attachment_damaged"}.get(refused.code)
            raise (refused if reason is None else bad(reason)) from None


def _resealed(sealed: attachments.Sealed, copy: bytes) -> bytes:
    """The committed ciphertext, from its plaintext."""
    sealer = attachments.Sealer(sealed.key, sealed.nonce, len(copy))
    whole = sealer.update(copy) + b"".join(sealer.finish())
    if sealer.sums().content_hash != sealed.content_hash:
        raise bad("attachment_hash")
    return whole


def _target(path: Path, name: str, *, replace: bool) -> Path:
    target = path / _safe_name(name) if path.is_dir() else path
    if target.exists() and not replace:
        raise FileExistsError(f"{target} is there already.")
    return target


def _safe_name(name: str) -> str:
    """A name that somebody else chose, as the name of a file: no folder, no control characters, not hidden."""
    plain = "".join(letter for letter in name.replace("\\", "/").rpartition("/")[2] if letter.isprintable())
    return plain.lstrip(". ").rstrip(". ")[:120] or "file"
