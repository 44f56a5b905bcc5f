"""Attachments: how a file becomes ciphertext and comes back, and what a message says about it.

An ExternalPart commits to key, nonce, size and SHA-256 of the ciphertext (franking.md section 9). The ciphertext is
AES-256-GCM (NIST SP 800-38D) of the file and zeros up to the next Padmé bucket; the real length stands in the media
facts (extension -4), which only the chat can read. Everything here works in pieces with flat memory.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM

from kith.protocol.cbor import Value
from kith.protocol.content import (
    AES_256_GCM,
    ATTACHMENT,
    BYTE_ORDER_MARK,
    CHOOSE_ONE,
    INLINE,
    PREVIEW,
    PROCESS_ALL,
    SHA_256,
    SINGLE_UNIT,
    ExternalPart,
    MimiContent,
    MultiPart,
    Part,
    SinglePart,
    bare_type,
    is_text,
    plain_text,
)
from kith.protocol.uris import parse_uri
from kith.protocol.wire import Malformed

KEY: Final = 32
NONCE: Final = 12
TAG: Final = 16
HASH: Final = 32
CHUNK: Final = 1024 * 1024
"""Bytes of ciphertext that have a hash of their own; the last chunk is shorter."""
MAX_CHUNKS: Final = 64
MAX_SEALED: Final = MAX_CHUNKS * CHUNK
"""Bytes of the longest ciphertext."""
MAX_FILES: Final = 10
"""External parts of one message that are shown."""
MAX_POSTER: Final = 12 * 1024
MEDIA: Final = -4
"""The extension that says what the files of a message are like; proposed number, in our private range."""
POSTERS: Final = frozenset({"image/webp", "image/jpeg"})

BLOCK: Final = 16
"""Bytes of one AES block, on which a decryption may begin."""
_FIRST_COUNTER: Final = 2
"""GCM with a 12-byte nonce encrypts from counter 2; counter 1 is for the tag (SP 800-38D section 7.1)."""


def padme(length: int) -> int:
    """The bucket of a length: at most 12 % more, and log log many of them (Nikitin et al., PETS 2019, section 4)."""
    if length < 2:  # noqa: PLR2004  the logarithm of a logarithm needs two
        return length
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (length + mask) & ~mask


def sealed_size(length: int) -> int:
    """Bytes of ciphertext that a file of this length becomes."""
    return padme(length + TAG)


def chunks_of(size: int) -> int:
    """How many chunks a ciphertext has."""
    return -(-size // CHUNK)


# --- what opens a file ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Where a file's ciphertext is, what it must be, and what opens it. `expires` in Unix seconds."""

    blob: str
    expires: int
    size: int
    key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    content_hash: bytes


_URL: Final = re.compile(r"mimi://([a-z0-9.-]{1,253})/b/([A-Za-z0-9_-]{22})")


def blob_uri(server: str, blob: str) -> str:
    """The `url` of an external part."""
    return f"mimi://{server}/b/{blob}"


def sealed_of(part: ExternalPart, server: str) -> Sealed | None:
    """What a part commits to; None for another cipher, hash or server, or an impossible size: never fetched."""
    place = _URL.fullmatch(part.url)
    usual = (part.enc_alg, part.hash_alg, part.aad) == (AES_256_GCM, SHA_256, b"")
    lengths = (len(part.key), len(part.nonce), len(part.content_hash)) == (KEY, NONCE, HASH)
    if place is None or place[1] != server or not usual or not lengths or not TAG <= part.size <= MAX_SEALED:
        return None
    return Sealed(
        blob=place[2],
        expires=part.expires,
        size=part.size,
        key=part.key,
        nonce=part.nonce,
        content_hash=part.content_hash,
    )


Refusal: TypeAlias = Literal["attachment_unsupported", "attachment_missing", "attachment_hash", "attachment_decrypt"]


class AttachmentRefusedError(Exception):
    """Bytes are not what a message committed to, or cannot be had; nothing of them may be used.

    `attachment_unsupported`: the part is not one that Kith opens. `attachment_missing`: the server has it no more.
    `attachment_hash`: size or SHA-256 are others. `attachment_decrypt`: the committed key does not open them.
    """

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason: Refusal = reason


# --- sealing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sums:
    """What a message commits to: SHA-256 of the ciphertext, and of each chunk of it. `tag` is its last 16 bytes."""

    content_hash: bytes
    chunks: tuple[bytes, ...]
    tag: bytes


class Hashing:
    """SHA-256 of everything and of each chunk, as bytes come."""

    def __init__(self) -> None:
        self.length = 0
        self.whole = hashlib.sha256()
        self.chunks: list[bytes] = []
        self._chunk = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """The next bytes."""
        self.whole.update(data)
        view = memoryview(data)
        while view:
            piece = view[: CHUNK - self.length % CHUNK]
            self._chunk.update(piece)
            self.length += len(piece)
            view = view[len(piece) :]
            if self.length % CHUNK == 0:
                self._close()

    def sums(self, tag: bytes) -> Sums:
        """Of everything that came; `tag` is the caller's."""
        if self.length % CHUNK:
            self._close()
        return Sums(self.whole.digest(), tuple(self.chunks), tag)

    def _close(self) -> None:
        self.chunks.append(self._chunk.digest())
        self._chunk = hashlib.sha256()


class Sealer:
    """Encrypts a file of a known length, in pieces of any size and in order.

    `key` and `nonce` must be fresh: two files under one pair betray each other.
    """

    def __init__(self, key: bytes, nonce: bytes, length: int) -> None:
        _need_lengths(key, nonce)
        self._gcm = Cipher(AES256(key), GCM(nonce)).encryptor()
        self._hashing = Hashing()
        self._missing = length
        self.size = sealed_size(length)

    def update(self, plain: bytes) -> bytes:
        """Ciphertext of the file's next bytes. ValueError when they are more than were announced."""
        if len(plain) > self._missing:
            raise ValueError("more bytes than the file was said to have")
        self._missing -= len(plain)
        return self._sealed(plain)

    def finish(self) -> Iterator[bytes]:
        """The padding, and the tag. ValueError when bytes of the file are missing."""
        if self._missing:
            raise ValueError("fewer bytes than the file was said to have")
        while padding := self.size - TAG - self._hashing.length:
            yield self._sealed(bytes(min(padding, CHUNK)))
        tail = self._gcm.finalize() + self._gcm.tag
        self._hashing.update(tail)
        yield tail

    def sums(self) -> Sums:
        """What was made, once it is finished."""
        return self._hashing.sums(self._gcm.tag)

    def _sealed(self, plain: bytes) -> bytes:
        sealed = self._gcm.update(plain)
        self._hashing.update(sealed)
        return sealed


def seal_chunk(key: bytes, nonce: bytes, sums: Sums, index: int, plain: bytes, *, size: int) -> bytes:
    """One chunk of a ciphertext again, made of the file's bytes in it (`plain`, without padding).

    `attachment_hash` when the file has changed meanwhile: other bytes under a used key would betray both.
    """
    at = index * CHUNK
    end = min(at + CHUNK, size)
    body = max(0, min(end, size - TAG) - at)
    sealed = _counted(key, nonce, at, plain.ljust(body, b"\0")) + sums.tag[TAG - (end - at - body) :] * (
        end - at > body
    )
    if hashlib.sha256(sealed).digest() != sums.chunks[index]:
        raise AttachmentRefusedError("attachment_hash")
    return sealed


def _counted(key: bytes, nonce: bytes, at: int, data: bytes) -> bytes:
    """GCM's own counter mode from this offset on; the same both ways."""
    counter = nonce + (at // BLOCK + _FIRST_COUNTER).to_bytes(BLOCK - NONCE)
    return Cipher(AES256(key), CTR(counter)).encryptor().update(data)


def _need_lengths(key: bytes, nonce: bytes) -> None:
    if (len(key), len(nonce)) != (KEY, NONCE):
        raise ValueError("an attachment has a key of 32 and a nonce of 12 bytes")


# --- opening --------------------------------------------------------------------------------------------------------


class Opener:
    """Decrypts a whole ciphertext, in pieces of any size and in order.

    What `update` gives is NOT verified: keep it where nobody uses it until `finish` has returned.
    """

    def __init__(self, file: Sealed, length: int) -> None:
        self._file, self._left = file, length
        self._gcm = Cipher(AES256(file.key), GCM(file.nonce)).decryptor()
        self._hashing = hashlib.sha256()
        self._length = 0
        self._tag = bytearray()

    def update(self, sealed: bytes) -> bytes:
        """The next bytes of the file, without padding. `attachment_hash` as soon as there is too much."""
        self._hashing.update(sealed)
        body = max(0, min(len(sealed), self._file.size - TAG - self._length))
        self._length += len(sealed)
        self._tag += sealed[body:]
        if self._length > self._file.size:
            raise AttachmentRefusedError("attachment_hash")
        plain = self._gcm.update(sealed[:body])[: self._left]
        self._left -= len(plain)
        return plain

    def finish(self) -> None:
        """Everything was what the message committed to; AttachmentRefusedError otherwise."""
        same = hmac.compare_digest(self._hashing.digest(), self._file.content_hash)
        if self._length != self._file.size or not same:
            raise AttachmentRefusedError("attachment_hash")
        try:
            self._gcm.finalize_with_tag(bytes(self._tag))
        except InvalidTag:
            raise AttachmentRefusedError("attachment_decrypt") from None


def open_whole(file: Sealed, length: int, sealed: bytes) -> bytes:
    """The file in a ciphertext that is all there: what a report's verifier does."""
    opener = Opener(file, length)
    plain = opener.update(sealed)
    opener.finish()
    return plain


def decryptor_at(file: Sealed, at: int) -> Callable[[bytes], bytes]:
    """Decrypts ciphertext from this offset on, a multiple of `BLOCK`. It verifies nothing: the caller did."""
    counter = file.nonce + (at // BLOCK + _FIRST_COUNTER).to_bytes(BLOCK - NONCE)
    return Cipher(AES256(file.key), CTR(counter)).decryptor().update


def open_chunk(file: Sealed, media: Media, index: int, sealed: bytes) -> bytes:
    """The file's bytes in one chunk, which the message committed to by its hash; `attachment_hash` otherwise."""
    chunks = media.chunks or ()
    at = index * CHUNK
    right = len(sealed) == min(CHUNK, file.size - at) and 0 <= index < len(chunks)
    if not right or not hmac.compare_digest(hashlib.sha256(sealed).digest(), chunks[index]):
        raise AttachmentRefusedError("attachment_hash")
    body = sealed[: max(0, min(len(sealed), file.size - TAG - at))]
    return _counted(file.key, file.nonce, at, body)[: max(0, media.length - at)]


# --- media facts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What a file is like. `length` in bytes, sides in pixels, `waveform` one byte for each bar, `chunks` as `Sums`."""

    length: int
    width: int | None = None
    height: int | None = None
    thumbhash: bytes | None = None
    duration_ms: int | None = None
    waveform: bytes | None = None
    chunks: tuple[bytes, ...] | None = None
    voice: bool = False


_LENGTH, _WIDTH, _HEIGHT, _THUMBHASH, _DURATION, _WAVEFORM, _CHUNKS, _VOICE = range(1, 9)
MAX_SIDE: Final = 65_535
MAX_DURATION_MS: Final = 24 * 3600 * 1000
MAX_THUMBHASH: Final = 32
MAX_WAVEFORM: Final = 64


def media_value(files: Sequence[Media]) -> Value:
    """The value of extension -4 for the external parts of a message, depth-first."""
    return [_facts(media) for media in files]


def _facts(media: Media) -> dict[int | str, Value]:
    every: dict[int | str, Value] = {
        _LENGTH: media.length,
        _WIDTH: media.width,
        _HEIGHT: media.height,
        _THUMBHASH: media.thumbhash,
        _DURATION: media.duration_ms,
        _WAVEFORM: media.waveform,
        _CHUNKS: b"".join(media.chunks) if media.chunks else None,
        _VOICE: True if media.voice else None,
    }
    return {key: value for key, value in every.items() if value is not None}


def read_media(value: Value, sizes: Sequence[int]) -> list[Media | None]:
    """The facts of each external part, given the sizes of their ciphertexts; None where they cannot be believed.

    Whatever is wrong with them, the message stays readable: the part is then a plain file.
    """
    entries = value if isinstance(value, list | tuple) and len(value) == len(sizes) else [None] * len(sizes)
    return [_read_facts(entry, size) for entry, size in zip(entries, sizes, strict=True)]


def _read_facts(value: Value, size: int) -> Media | None:
    if not isinstance(value, Mapping) or any(value.get(key, 0) is None for key in range(_LENGTH, _VOICE + 1)):
        return None
    voice = value.get(_VOICE, False)
    try:
        length = _number(value.get(_LENGTH), 0, size - TAG)
        if length is None or not isinstance(voice, bool):
            return None
        return Media(
            length=length,
            width=_number(value.get(_WIDTH), 1, MAX_SIDE),
            height=_number(value.get(_HEIGHT), 1, MAX_SIDE),
            thumbhash=_octets(value.get(_THUMBHASH), MAX_THUMBHASH),
            duration_ms=_number(value.get(_DURATION), 0, MAX_DURATION_MS),
            waveform=_octets(value.get(_WAVEFORM), MAX_WAVEFORM),
            chunks=_chunks(_octets(value.get(_CHUNKS), MAX_CHUNKS * HASH), size),
            voice=voice,
        )
    except Malformed:
        return None


def _number(value: Value, least: int, most: int) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        raise Malformed("a media fact is out of range")
    return value


def _octets(value: Value, most: int) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, bytes) or not 1 <= len(value) <= most:
        raise Malformed("a media fact is malformed")
    return value


def _chunks(joined: bytes | None, size: int) -> tuple[bytes, ...] | None:
    if joined is None:
        return None
    if len(joined) != chunks_of(size) * HASH:
        raise Malformed("not one hash for each chunk")
    return tuple(joined[at : at + HASH] for at in range(0, len(joined), HASH))


# --- whole messages -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Poster:
    """A small still of a video, inside the message itself."""

    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file of a message. `part`: its part index. `sealed` is None for a part that Kith does not fetch and open."""

    part: int
    media_type: str
    inline: bool
    name: str
    description: str
    sealed: Sealed | None
    media: Media | None = None
    poster: Poster | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What can be shown of a message: words, None when there are none, and files."""

    text: str | None
    files: tuple[Attached, ...]


@dataclass(slots=True)
class _Found:
    """What is known in a part of the tree. `unknown`: something in it is not."""

    texts: list[str] = field(default_factory=list)
    files: list[Attached] = field(default_factory=list)
    unknown: bool = False


def shown_of(content: MimiContent, server: str) -> Shown:
    """The words and the files of a message of this server; neither when nothing of it is known."""
    walk = _Walk(server)
    found = walk.part(content.part)
    media = dict(
        zip(walk.externals, read_media(content.extensions.get(MEDIA), list(walk.externals.values())), strict=True)
    )
    files = [replace(one, media=media[one.part] if one.sealed else None) for one in found.files[:MAX_FILES]]
    return Shown("\n".join(found.texts) if found.texts else None, tuple(files))


def words_of(content: MimiContent) -> str:
    """The words that a reader sees, empty when there are none. Malformed when the sender's URI is none."""
    return shown_of(content, parse_uri(content.sender_uri)[0]).text or ""


class _Walk:
    """Through the parts, depth-first, counting them."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._count = 0
        self.externals: dict[int, int] = {}
        """Size of each external part, by part index; there are facts for every one, shown or not."""

    def part(self, part: Part) -> _Found:
        index = self._count
        self._count += 1
        if isinstance(part, ExternalPart):
            self.externals[index] = part.size
            return _Found(files=[self._attached(part, index)])
        if isinstance(part, MultiPart):
            return _joined(part.semantics, self._parts(part.parts))
        words = _words(part)
        return _Found(unknown=True) if words is None else _Found(texts=[words])

    def _parts(self, parts: Sequence[Part]) -> list[_Found]:
        """The parts of a container; a preview belongs to the file before it."""
        found: list[_Found] = []
        before: Part | None = None
        for part in parts:
            poster = _poster(part) if isinstance(before, ExternalPart) else None
            one = self.part(part)
            if poster is None:
                found.append(one)
            else:
                [file] = found[-1].files
                found[-1].files = [replace(file, poster=poster)]
            before = part
        return found

    def _attached(self, part: ExternalPart, index: int) -> Attached:
        return Attached(
            part=index,
            media_type=media_type(part.content_type),
            inline=part.disposition == INLINE,
            name=part.filename,
            description=part.description,
            sealed=sealed_of(part, self._server),
        )


def _words(part: Part) -> str | None:
    if not isinstance(part, SinglePart) or not is_text(part.content_type):
        return None
    try:
        return part.content.decode("utf-8").lstrip(BYTE_ORDER_MARK)
    except UnicodeDecodeError:
        return None


def _poster(part: Part) -> Poster | None:
    if not isinstance(part, SinglePart) or part.disposition != PREVIEW or len(part.content) > MAX_POSTER:
        return None
    kind = media_type(part.content_type)
    return Poster(kind, part.content) if kind in POSTERS else None


def _joined(semantics: int, every: list[_Found]) -> _Found:
    """A single unit is all or nothing; of a choice, the first that is known."""
    if semantics == CHOOSE_ONE:
        return next((one for one in every if one.texts or one.files), _Found(unknown=True))
    unknown = any(one.unknown for one in every)
    unopened = any(file.sealed is None for one in every for file in one.files)
    if semantics == SINGLE_UNIT and (unknown or unopened):
        return _Found(unknown=True)
    return _Found([text for one in every for text in one.texts], [file for one in every for file in one.files], unknown)


_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")


def media_type(text: str) -> str:
    """A media type without parameters; what is none is unknown bytes."""
    kind = bare_type(text)
    return kind if _TYPE.fullmatch(kind) else "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A file that is on the server, to be put into a message."""

    sealed: Sealed
    media: Media
    media_type: str
    name: str = ""
    description: str = ""
    inline: bool = False
    poster: Poster | None = None


def with_files(content: MimiContent, files: Sequence[Outgoing], server: str) -> MimiContent:
    """A message of text becomes one with files beside its words; a lone file without words stands alone."""
    parts = [content.part] if plain_text(content) else []
    for one in files:
        parts.append(_external(one, server))
        if one.poster is not None:
            poster = SinglePart(content_type=one.poster.media_type, content=one.poster.data, disposition=PREVIEW)
            parts.append(poster)
    part = parts[0] if len(parts) == 1 else MultiPart(semantics=PROCESS_ALL, parts=tuple(parts))
    extensions = {**content.extensions, MEDIA: media_value([one.media for one in files])}
    return replace(content, extensions=extensions, part=part)


def _external(one: Outgoing, server: str) -> ExternalPart:
    return ExternalPart(
        content_type=one.media_type,
        url=blob_uri(server, one.sealed.blob),
        expires=one.sealed.expires,
        size=one.sealed.size,
        enc_alg=AES_256_GCM,
        key=one.sealed.key,
        nonce=one.sealed.nonce,
        aad=b"",
        hash_alg=SHA_256,
        content_hash=one.sealed.content_hash,
        description=one.description,
        filename=one.name,
        disposition=INLINE if one.inline else ATTACHMENT,
    )
