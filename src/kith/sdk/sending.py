"""Files on their way out: cleaned, sealed, brought to the server, and put into a message. See "Files" in docs/sdk.md.

A file is read twice: once to know what its ciphertext will be, and once, piece by piece, while it leaves. What leaves
is exactly what was found the first time, so an upload may stop and go on anywhere, also after a crash, and no two
different bytes are ever encrypted alike. Memory stays flat: a piece of one file at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import mimetypes
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from msgspec.structs import replace

from kith.protocol import attachments
from kith.protocol.attachments import (
    CHUNK,
    AttachmentRefusedError,
    Media,
    Outgoing,
    Poster,
    Sealed,
    Sealer,
    Sums,
)
from kith.sdk import films, pictures, transfer
from kith.sdk.api import Api
from kith.sdk.errors import BadFile, Refused
from kith.sdk.files import SENTENCES, bad
from kith.sdk.films import Facts
from kith.sdk.pictures import KINDS, Picture
from kith.sdk.records import FileRecord, UploadRecord
from kith.sdk.transfer import Progress, Told

if TYPE_CHECKING:
    from kith.sdk.chat import Message
    from kith.sdk.client import Client

Source = str | Path | bytes | BinaryIO
"""A path, the bytes themselves, or a binary stream that can seek."""

MAX_FILES: Final = attachments.MAX_FILES
MAX_POSTERS: Final = 24 * 1024
"""Bytes of one message that still pictures of films may take."""
NOTHING: Final = Facts()
PLAIN_PIECE: Final = 256 * 1024
FRESH_S: Final = 24 * 3600
"""An upload is not taken up again when it has less to live than that."""


# --- what is to be sent ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FileToSend:
    """One file of an album, and what is said of it. `description` is read to people who do not see it.

    A picture is cleaned of everything but its pixels, and a film of everything but pictures and sound, unless it is
    sent `as_is`. `voice`: a sound that somebody just spoke.
    """

    source: Source
    name: str | None = None
    media_type: str | None = None
    description: str = ""
    as_is: bool = False
    voice: bool = False

    @property
    def path(self) -> str | None:
        """Where it can be found again after a crash."""
        return str(Path(self.source).absolute()) if isinstance(self.source, str | Path) else None

    def called(self) -> str:
        """Its name for the other side, without any folder."""
        if self.name is not None:
            return self.name
        return Path(self.source).name if isinstance(self.source, str | Path) else ""

    def kind(self) -> str:
        """Its media type, as said or as its name suggests."""
        guessed = mimetypes.guess_type(self.called())[0] or "application/octet-stream"
        said = None if self.media_type is None else attachments.media_type(self.media_type)
        return films.kind_of(self.called(), said, attachments.media_type(guessed))


class _Plain(Protocol):
    """A file's bytes, wherever they are."""

    length: int

    def read(self, at: int, length: int) -> bytes:
        """Bytes from here on, fewer only at the end. Blocks."""


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A file as it leaves: its bytes, its type, and what is known of it."""

    plain: _Plain
    media_type: str
    facts: Facts = NOTHING


class _InMemory:
    def __init__(self, data: bytes) -> None:
        self._data, self.length = data, len(data)

    def read(self, at: int, length: int) -> bytes:
        return self._data[at : at + length]


class _Stream:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.length = stream.seek(0, io.SEEK_END)

    def read(self, at: int, length: int) -> bytes:
        self._stream.seek(at)
        return self._stream.read(length)


@contextlib.asynccontextmanager
async def _opened(file: FileToSend) -> AsyncIterator[_Leaving]:
    """The bytes that leave. BadFile in words."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            if isinstance(file.source, bytes):
                plain: _Plain = _InMemory(file.source)
            elif isinstance(file.source, str | Path):
                plain = _Stream(stack.enter_context(await asyncio.to_thread(Path(file.source).open, "rb")))
            else:
                plain = _Stream(file.source)
        except OSError as error:
            raise BadFile("unreadable", f"{SENTENCES['unreadable']} {error.strerror or error}.") from error
        if attachments.sealed_size(plain.length) > attachments.MAX_SEALED:
            raise bad("too_large")
        kind = file.kind()
        form = films.form_of(kind, voice=file.voice)
        if file.as_is or (form is None and kind not in KINDS):
            yield _Leaving(plain, kind)
        elif form is None:
            picture = await asyncio.to_thread(lambda: pictures.cleaned(plain.read(0, plain.length)))
            yield _Leaving(_InMemory(picture.data), picture.media_type, _of_picture(picture))
        elif films.can_clean(file.called()):
            source = Path(file.source) if isinstance(file.source, str) else file.source
            film = await stack.enter_async_context(films.cleaned(source, kind, form, voice=file.voice))
            yield _Leaving(_Stream(film.file), kind, film.facts)
        else:
            yield _Leaving(plain, kind)


def _of_picture(picture: Picture) -> Facts:
    return Facts(width=picture.width, height=picture.height, thumbhash=picture.thumbhash)


def _seal_all(plain: _Plain, key: bytes, nonce: bytes) -> Sums:
    """What the ciphertext will be; reads the whole file once. Blocks."""
    sealer, at = Sealer(key, nonce, plain.length), 0
    while at < plain.length:
        piece = plain.read(at, PLAIN_PIECE)
        if not piece:
            raise bad("changed")
        sealer.update(piece)
        at += len(piece)
    for _ in sealer.finish():
        pass
    return sealer.sums()


def _piece(plain: _Plain, record: FileRecord, offset: int, most: int) -> bytes:
    """The ciphertext from `offset` on, verified chunk by chunk against what was found at first. Blocks."""
    sums = Sums(record.content_hash, record.chunks, record.tag)
    made, index = bytearray(), offset // CHUNK
    skip = offset % CHUNK
    while index < len(sums.chunks) and len(made) < skip + most:
        try:
            bytes_in = plain.read(index * CHUNK, CHUNK)
            made += attachments.seal_chunk(record.key, record.nonce, sums, index, bytes_in, size=record.size)
        except AttachmentRefusedError:
            raise bad("changed") from None
        index += 1
    return bytes(made[skip : skip + most])


def outgoing(record: FileRecord) -> Outgoing:
    """A file that is up, as a message carries it."""
    return Outgoing(
        sealed=Sealed(
            blob=record.blob,
            expires=record.expires_ms // 1000,
            size=record.size,
            key=record.key,
            nonce=record.nonce,
            content_hash=record.content_hash,
        ),
        media=Media(
            length=record.length,
            width=record.width,
            height=record.height,
            thumbhash=record.thumbhash,
            duration_ms=record.duration_ms,
            waveform=record.waveform,
            chunks=record.chunks,
            voice=record.voice,
        ),
        poster=None if record.poster is None else Poster(record.poster_type, record.poster),
        media_type=record.media_type,
        name=record.name,
        description=record.description,
        inline=record.media_type.startswith(("image/", "video/")),
    )


# --- uploads --------------------------------------------------------------------------------------------------------


class Upload:
    """An album that was being sent when its program ended: take it up again, or forget it."""

    def __init__(self, client: Client, record: UploadRecord) -> None:
        self._client, self._record = client, record
        self.id, self.caption = record.id, record.caption
        self.names = tuple(file.name for file in record.files)
        self.paths = tuple(file.path for file in record.files)

    def __repr__(self) -> str:
        return f"Upload({self.id!r}, {len(self.names)} files)"

    async def resume(self, progress: Told | None = None) -> Message:
        """Go on where it stopped. BadFile (`changed`) when a file is not what it was: then send it anew."""
        return await Sending(self._client, self._record).run(progress)

    async def cancel(self) -> None:
        """Forget it here and on the server."""
        await Sending(self._client, self._record).forget()


class Sending:
    """One message's files on their way. What was found of them is on disk before the first byte leaves."""

    def __init__(self, client: Client, record: UploadRecord, files: Sequence[FileToSend] | None = None) -> None:
        self._client, self._record = client, record
        self._files = tuple(files or (_again(one) for one in record.files))

    @property
    def _durable(self) -> bool:
        """Whether a crash leaves something that can go on: every file can be found again."""
        return all(file.path is not None for file in self._files)

    async def run(self, progress: Told | None) -> Message:
        """Everything that is missing, then the message."""
        sizes = [one.size for one in self._record.files]
        done = 0
        for index, size in enumerate(sizes):
            await self._one(index, _shifted(progress, done, sum(sizes)))
            done += size
        client, record = self._client, self._record
        message = client.queue(record.room, record.caption, record.reply_to, files=record.files, upload=record)
        return await client.sent(message)

    async def forget(self) -> None:
        """Take back what is on the server, and drop the record."""
        for file in self._record.files:
            if file.blob:
                await transfer.remove(self._client.api, file.blob)
        self._client.outbox.drop_upload(self._record)

    async def _one(self, index: int, progress: Told | None) -> None:
        file, api = self._files[index], self._client.api
        async with _opened(file) as leaving:
            plain = leaving.plain
            record, offset = await self._begun(api, index)
            most = record.piece or CHUNK

            async def piece_of(at: int) -> bytes:
                return await asyncio.to_thread(_piece, plain, record, at, most)

            await transfer.upload(api, record.blob, record.size, offset, piece_of=piece_of, told=progress)

    async def _begun(self, api: Api, index: int) -> tuple[FileRecord, int]:
        """The blob that this file goes to, and how far it came; a new one when the old one is over."""
        record = self._record.files[index]
        if record.blob and record.expires_ms > self._client.now() + FRESH_S * 1000:
            try:
                return record, await transfer.offset_of(api, record.blob)
            except Refused as error:
                if error.code != "not_found":
                    raise
        begun = await transfer.begin(api, record.size)
        record = replace(record, blob=begun.blob, piece=begun.piece, expires_ms=begun.expires_ms)
        files = self._record.files
        self._record = replace(self._record, files=(*files[:index], record, *files[index + 1 :]))
        self.keep()
        return record, begun.offset

    def keep(self) -> None:
        """Put what is known on disk, where it can serve after a crash."""
        if self._durable:
            self._client.outbox.keep_upload(self._record)


def _again(record: FileRecord) -> FileToSend:
    return FileToSend(
        source=record.path or b"",
        name=record.name,
        media_type=record.source_type,
        as_is=record.as_is,
        voice=record.voice,
    )


def _shifted(progress: Told | None, before: int, total: int) -> Told | None:
    if progress is None:
        return None
    return lambda now: progress(Progress(before + now.done, total))


async def prepared(
    client: Client, room: str, files: Sequence[FileToSend], caption: str, reply_to: str | None
) -> Sending:
    """Read every file once, and remember what its ciphertext will be."""
    if not 1 <= len(files) <= MAX_FILES:
        raise Refused("invalid", f"A message has one to {MAX_FILES} files.")
    records = _with_room([await _found(file) for file in files])
    record = UploadRecord(
        id=secrets.token_hex(16),
        room=room,
        caption=caption,
        reply_to=reply_to,
        created_ms=client.now(),
        files=records,
    )
    sending = Sending(client, record, files)
    sending.keep()
    return sending


async def _found(file: FileToSend) -> FileRecord:
    key, nonce = secrets.token_bytes(attachments.KEY), secrets.token_bytes(attachments.NONCE)
    async with _opened(file) as leaving:
        plain, facts = leaving.plain, leaving.facts
        sums = await asyncio.to_thread(_seal_all, plain, key, nonce)
        length = plain.length
    name = file.called()
    if leaving.media_type != file.kind():
        name = str(Path(name).with_suffix(".jpg")) if name else ""
    return FileRecord(
        path=file.path,
        source_type=file.kind(),
        as_is=file.as_is,
        voice=file.voice,
        name=name,
        media_type=leaving.media_type,
        description=file.description,
        key=key,
        nonce=nonce,
        length=length,
        size=attachments.sealed_size(length),
        content_hash=sums.content_hash,
        chunks=sums.chunks,
        tag=sums.tag,
        width=facts.width,
        height=facts.height,
        thumbhash=facts.thumbhash,
        duration_ms=facts.duration_ms,
        waveform=facts.waveform,
        poster=facts.poster,
        poster_type=facts.poster_type,
    )


def _with_room(files: list[FileRecord]) -> tuple[FileRecord, ...]:
    """What does not fit into one message is left out: such a film has no still picture."""
    room, kept = MAX_POSTERS, []
    for file in files:
        size = len(file.poster or b"")
        kept.append(file if size <= room else replace(file, poster=None))
        room -= size if size <= room else 0
    return tuple(kept)
