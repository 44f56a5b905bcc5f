"""Films and sounds before they leave: in a container that says nothing of where, when and with what they were made.

Needs `kith[media]`. Pictures and sound stay as they were encoded; a process of its own (`film_worker`) copies them, and
finds out what a screen shows until they play: how long they are, how large, a still picture, a voice note's bars.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from kith.protocol.attachments import MAX_DURATION_MS, MAX_POSTER, MAX_SIDE, MAX_THUMBHASH, MAX_WAVEFORM
from kith.sdk.errors import BadFile


class _Form(NamedTuple):
    """How a container is read and written, by the names that FFmpeg gives them."""

    reads: str
    writes: str


FILMS: Final = {
    "video/mp4": _Form("mov", "mp4"),
    "video/quicktime": _Form("mov", "mov"),
    "video/3gpp": _Form("mov", "3gp"),
    "video/webm": _Form("matroska", "webm"),
    "video/x-matroska": _Form("matroska", "matroska"),
}
SOUNDS: Final = {
    "audio/mp4": _Form("mov", "mp4"),
    "audio/webm": _Form("matroska", "webm"),
}
"""Sounds that telephones record, place included. Others are music more often: titles and artists stay."""
VOICES: Final = SOUNDS | {
    "audio/ogg": _Form("ogg", "ogg"),
    "audio/mpeg": _Form("mp3", "mp3"),
    "audio/wav": _Form("wav", "wav"),
    "audio/flac": _Form("flac", "flac"),
    "audio/aac": _Form("aac", "adts"),
}
"""What a voice note may be."""
NAMED: Final = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".3gp": "video/3gpp",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".m4a": "audio/mp4",
    ".weba": "audio/webm",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".aac": "audio/aac",
}
"""By the end of a name; what a system thinks of these differs, and would decide whether a place is taken out."""
SAME: Final = {
    "video/x-m4v": "video/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/mp4a-latm": "audio/mp4",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/opus": "audio/ogg",
    "audio/mp3": "audio/mpeg",
}
"""Other words for them."""

PATIENCE_S: Final = 120.0
"""A process that takes longer is ended; copying 64 MB takes seconds."""
WORKER: Final = Path(__file__).with_name("film_worker.py")

UNREADABLE: Final = (
    "This film or sound cannot be read, so what it says of where it was made cannot be taken out. Send the file as it "
    "is (as_is) or not."
)
NO_AV: Final = (
    "%s leaves as it is, and may say where and when it was made: taking that out needs pip install 'kith[media]'."
)
NO_VOICE: Final = "A voice note is an Ogg, WebM, MP4, MP3, WAV, FLAC or AAC sound."

log = logging.getLogger("kith.sdk")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the process found out. It read bytes from anywhere, so its word is taken within limits only."""

    duration_ms: Annotated[int, Meta(ge=0, le=MAX_DURATION_MS)] | None = None
    width: Annotated[int, Meta(ge=1, le=MAX_SIDE)] | None = None
    height: Annotated[int, Meta(ge=1, le=MAX_SIDE)] | None = None
    thumbhash: Annotated[bytes, Meta(min_length=1, max_length=MAX_THUMBHASH)] | None = None
    waveform: Annotated[bytes, Meta(min_length=1, max_length=MAX_WAVEFORM)] | None = None
    poster: Annotated[bytes, Meta(min_length=1, max_length=MAX_POSTER)] | None = None
    poster_type: Literal["image/webp", "image/jpeg"] = "image/webp"


class Cleaned(NamedTuple):
    """A file without records, open for reading, and what is known of it."""

    file: BinaryIO
    facts: Facts


def kind_of(named: str, said: str | None, guessed: str) -> str:
    """The media type: as said, by a name's end as we know it, or as the system thinks."""
    kind = said or NAMED.get(Path(named).suffix.lower()) or guessed
    return SAME.get(kind, kind)


def form_of(kind: str, *, voice: bool) -> _Form | None:
    """The container of a kind whose records are taken out; None: sent as it is. BadFile for what is no voice note."""
    if voice and kind not in VOICES:
        raise BadFile("voice", NO_VOICE)
    return VOICES[kind] if voice else FILMS.get(kind) or SOUNDS.get(kind)


def can_clean(name: str) -> bool:
    """Whether the library is there; says in the log what it means when it is not."""
    if importlib.util.find_spec("av") is not None and importlib.util.find_spec("thash") is not None:
        return True
    log.warning(NO_AV, name or "This film or sound")
    return False


@contextlib.asynccontextmanager
async def cleaned(source: bytes | Path | BinaryIO, kind: str, form: _Form, *, voice: bool) -> AsyncIterator[Cleaned]:
    """The film without records, in a folder of its own that is gone afterwards. BadFile when it cannot be read."""
    what = "voice" if voice else "film" if kind in FILMS else "sound"
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="kith-"))
    try:
        path = source if isinstance(source, Path) else await asyncio.to_thread(_written, source, folder / "source")
        await _run(str(path.absolute()), str(folder), form.reads, form.writes, what)
        clean, facts = folder / "clean", folder / "facts.json"
        if not clean.is_file():
            raise BadFile("film", UNREADABLE)
        with clean.open("rb") as file:
            yield Cleaned(file, _read(facts))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _run(*arguments: str) -> None:
    """The process, for as long as it has; whatever comes of it is in its folder."""
    nowhere = asyncio.subprocess.DEVNULL
    # Without our own variables: the passphrase of a store may be among them.
    env = {name: value for name, value in os.environ.items() if not name.startswith("KITH_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", str(WORKER), *arguments, stdin=nowhere, stdout=nowhere, stderr=nowhere, env=env
    )
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _written(source: bytes | BinaryIO, path: Path) -> Path:
    """Bytes from memory or a stream as a file that the process can open; its folder is ours alone."""
    with path.open("wb") as file:
        if isinstance(source, bytes):
            file.write(source)
        else:
            source.seek(0, io.SEEK_SET)
            shutil.copyfileobj(source, file)
    return path


def _read(path: Path) -> Facts:
    """What was found out; nothing when the process ended before, or says what cannot be."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Facts)
    except (OSError, msgspec.MsgspecError):
        return Facts()
