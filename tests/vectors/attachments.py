"""The content of attachments.json: what files become, and what is shown of messages that carry them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kith.protocol import attachments as files
from kith.protocol import cbor
from kith.protocol import content as mimi
from kith.protocol.attachments import (
    CHUNK,
    MEDIA,
    TAG,
    Attached,
    AttachmentRefusedError,
    Media,
    Outgoing,
    Poster,
    Sealed,
    Sealer,
    Sums,
    open_whole,
    padme,
    read_media,
    shown_of,
    with_files,
)
from kith.protocol.cbor import Value
from kith.protocol.content import ExternalPart, MimiContent, MultiPart, SinglePart
from protocol.franked import ALICE, ROOM, SERVER

Json = dict[str, Any]
KEY = bytes(range(32))
NONCE = bytes(0xF0 | i for i in range(12))
BLOB = "AAECAwQFBgcICQoLDA0ODw"
EXPIRES = 1_800_000_000
SMALL = 2048
"""Ciphertexts up to here stand in the file."""


def pattern(length: int) -> bytes:
    """The bytes of a file of this length."""
    return bytes((i * 31 + (i >> 8) * 7) & 0xFF for i in range(length))


def sealed(plain: bytes) -> tuple[bytes, Sums]:
    """A file's ciphertext and what is committed of it."""
    sealer = Sealer(KEY, NONCE, len(plain))
    made = sealer.update(plain) + b"".join(sealer.finish())
    return made, sealer.sums()


def described(ciphertext: bytes, **how: Any) -> Sealed:
    """What a message would commit to."""
    said: Json = {
        "blob": BLOB,
        "expires": EXPIRES,
        "size": len(ciphertext),
        "key": KEY,
        "nonce": NONCE,
        "content_hash": hashlib.sha256(ciphertext).digest(),
    }
    return Sealed(**{**said, **how})


def _file(length: int) -> Json:
    ciphertext, sums = sealed(pattern(length))
    small = {"ciphertext": ciphertext.hex()} if len(ciphertext) <= SMALL else {}
    return {
        "length": length,
        "size": len(ciphertext),
        "content_hash": sums.content_hash.hex(),
        "chunks": [chunk.hex() for chunk in sums.chunks],
        **small,
    }


def _refused() -> list[Json]:
    good, _ = sealed(pattern(100))
    bent = good[:50] + bytes([good[50] ^ 1]) + good[51:]
    bent_tag = good[:-1] + bytes([good[-1] ^ 1])
    cases = [
        ("one bit of the body", described(good), bent),
        ("one bit of the body, hash to match", described(bent), bent),
        ("one bit of the tag, hash to match", described(bent_tag), bent_tag),
        ("cut short", described(good), good[:-1]),
        ("one byte more", described(good), good + b"\0"),
        ("nothing", described(good), b""),
        ("another size", described(good, size=len(good) - 4), good),
        ("another hash", described(good, content_hash=bytes(32)), good),
        ("another key", described(good, key=bytes(32)), good),
        ("another nonce", described(good, nonce=bytes(12)), good),
    ]
    return [
        {
            "name": name,
            "size": file.size,
            "key": file.key.hex(),
            "nonce": file.nonce.hex(),
            "content_hash": file.content_hash.hex(),
            "ciphertext": ciphertext.hex(),
            "reason": refusal(file, ciphertext),
        }
        for name, file, ciphertext in cases
    ]


def refusal(file: Sealed, ciphertext: bytes) -> str | None:
    """Why a ciphertext is refused."""
    try:
        open_whole(file, 100, ciphertext)
    except AttachmentRefusedError as refused:
        return refused.reason
    return None


PLAIN = Media(length=100)
PICTURE = Outgoing(
    sealed=described(sealed(pattern(100))[0]),
    media=replace(PLAIN, width=640, height=480, thumbhash=pattern(24), chunks=sealed(pattern(100))[1].chunks),
    media_type="image/webp",
    name="kite.webp",
    description="A red kite over the hills",
    inline=True,
)
FILM = replace(
    PICTURE,
    media_type="video/webm",
    media=replace(PLAIN, duration_ms=31_000),
    poster=Poster("image/webp", pattern(300)),
)
VOICE = replace(
    PICTURE,
    media_type="audio/webm",
    inline=False,
    name="",
    description="",
    media=replace(PLAIN, duration_ms=4000, waveform=pattern(48), voice=True),
)


def _words(text: str) -> MimiContent:
    return mimi.text(text, salt=bytes(range(16)), sender_uri=ALICE, room_uri=ROOM)


def _external(**how: Any) -> MimiContent:
    content = with_files(_words(""), [PICTURE], SERVER)
    assert isinstance(content.part, ExternalPart)
    return replace(content, part=replace(content.part, **how))


def _multi(semantics: int, *parts: mimi.Part) -> MimiContent:
    return replace(_external(), part=MultiPart(semantics=semantics, parts=parts))


def _messages() -> list[tuple[str, MimiContent]]:
    alone = with_files(_words(""), [PICTURE], SERVER)
    page = SinglePart(content_type="text/html", content=b"<b>")
    words = SinglePart(content_type=mimi.MARKDOWN, content=b"Look")
    picture = alone.part
    two = cbor.decode(cbor.encode([{1: 100}, {1: 90}]))
    return [
        ("a lone picture", alone),
        ("a caption and an album", with_files(_words("Look"), [PICTURE, FILM, VOICE], SERVER)),
        ("an old version of the facts: none", replace(alone, extensions=_words("").extensions)),
        ("facts for another number of files", replace(alone, extensions={**alone.extensions, MEDIA: two})),
        ("facts of another shape", replace(alone, extensions={**alone.extensions, MEDIA: "no"})),
        ("another cipher", _external(enc_alg=1)),
        ("another hash", _external(hash_alg=2)),
        ("a short key", _external(key=KEY[1:])),
        ("with associated data", _external(aad=b"x")),
        ("another server", _external(url=f"mimi://evil.example/b/{BLOB}")),
        ("a web address", _external(url=f"https://{SERVER}/b/{BLOB}")),
        ("a path that climbs", _external(url=f"mimi://{SERVER}/b/{BLOB}/../..")),
        ("smaller than a tag", _external(size=15)),
        ("too large", _external(size=files.MAX_SEALED + 1)),
        ("larger than anything", _external(size=2**63)),
        ("a type that is none", _external(content_type="text/html\nx: y")),
        ("a single unit with something unknown", _multi(mimi.SINGLE_UNIT, words, picture, page)),
        ("a single unit", _multi(mimi.SINGLE_UNIT, words, picture)),
        ("a choice", _multi(mimi.CHOOSE_ONE, page, picture, words)),
        ("eleven files", _multi(mimi.PROCESS_ALL, *[picture] * 11)),
        ("nothing known", replace(alone, part=page)),
    ]


def _shown(content: MimiContent) -> Json:
    shown = shown_of(content, SERVER)
    return {"text": shown.text, "files": [_attached(one) for one in shown.files]}


def _attached(one: Attached) -> Json:
    return {
        "part": one.part,
        "media_type": one.media_type,
        "inline": one.inline,
        "name": one.name,
        "description": one.description,
        "blob": None if one.sealed is None else one.sealed.blob,
        "media": None if one.media is None else media_json(one.media),
        "poster": None if one.poster is None else {"media_type": one.poster.media_type, "data": one.poster.data.hex()},
    }


def media_json(media: Media) -> Json:
    """Facts as JSON."""
    return {
        "length": media.length,
        "width": media.width,
        "height": media.height,
        "thumbhash": media.thumbhash and media.thumbhash.hex(),
        "duration_ms": media.duration_ms,
        "waveform": media.waveform and media.waveform.hex(),
        "chunks": media.chunks and [chunk.hex() for chunk in media.chunks],
        "voice": media.voice,
    }


def facts() -> list[tuple[str, Value]]:
    """Facts of one file whose ciphertext has 120 bytes."""

    def also(key: int, value: Value) -> Value:
        return {1: 100, key: value}

    return [
        ("the least", {1: 0}),
        ("the most", {1: 104, 2: 65535, 3: 1, 4: b"t" * 32, 5: 86_400_000, 6: b"w" * 64, 7: b"h" * 32, 8: True}),
        ("with an unknown fact", also(99, "later")),
        ("not a voice note", also(8, value=False)),
        ("no map", []),
        ("null", None),
        ("without a length", {2: 5}),
        ("a length beyond the ciphertext", {1: 105}),
        ("a length below zero", {1: -1}),
        ("a length in words", {1: "9"}),
        ("a length that is true", {1: True}),
        ("a width of nothing", also(2, 0)),
        ("a width below zero", also(2, -5)),
        ("a height beyond all", also(3, 65_536)),
        ("a height of 2^63", also(3, 2**63)),
        ("a null width", also(2, None)),
        ("an empty thumbhash", also(4, b"")),
        ("a long thumbhash", also(4, b"t" * 33)),
        ("a thumbhash in words", also(4, "t")),
        ("a day and a moment", also(5, 86_400_001)),
        ("a waveform of 65 bars", also(6, b"w" * 65)),
        ("half a chunk hash", also(7, b"h" * 31)),
        ("a chunk too many", also(7, b"h" * 64)),
        ("voice as a number", also(8, 1)),
    ]


def _facts() -> Sequence[Json]:
    read = [(name, value, read_media([value], [120])[0]) for name, value in facts()]
    return [
        {"name": name, "size": 120, "value": cbor.encode(value).hex(), "media": media and media_json(media)}
        for name, value, media in read
    ]


def attachments() -> Json:
    """All of it."""
    lengths = [
        0,
        1,
        2,
        9,
        15,
        16,
        17,
        100,
        1000,
        65_537,
        CHUNK + 1,
        10_000_000,
        files.MAX_SEALED - TAG,
        files.MAX_SEALED,
    ]
    sizes = [0, 1, 15, 16, 17, 1000, CHUNK - 16, CHUNK - 15, CHUNK, 2 * CHUNK + 12_345]
    return {
        "key": KEY.hex(),
        "nonce": NONCE.hex(),
        "server": SERVER,
        "padme": [[length, padme(length)] for length in lengths],
        "files": [_file(length) for length in sizes],
        "refused": _refused(),
        "messages": [
            {"name": name, "bytes": mimi.encode(content).hex(), **_shown(content)} for name, content in _messages()
        ],
        "media": _facts(),
    }
