"""MIMI content (draft-ietf-mimi-content-08) as Kith uses it: what is inside an encrypted message.

Limits: the whole at most 64 KiB, parts nested at most four deep, an encoded extension value at most 4095 bytes, a
text extension key 1 to 255 bytes, a salt of exactly 16 bytes, extensions 1 (sender) and 2 (room) present, and the
limits of `cbor` on kinds, depth and number of items. Hashes are always over the bytes as received; `decode` proves
that `encode` would give the same.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, TypeVar, assert_never, cast

from kith.protocol import cbor
from kith.protocol.cbor import Key, Value
from kith.protocol.wire import Malformed

MAX_CONTENT: Final = 64 * 1024
"""Bytes of one encoded content."""
MAX_PART_DEPTH: Final = 4
"""Levels of parts; the outermost part is level 1."""
MAX_EXTENSION: Final = 4095
"""Bytes of one encoded extension value."""
MAX_TEXT_KEY: Final = 255
"""Bytes of a text extension key."""
BYTE_ORDER_MARK: Final = "\ufeff"
"""In front of words it says nothing, and some readers drop it: nobody shows it."""
SALT: Final = 16
"""Bytes. HMAC pads keys with zeros, so any other length would give one tag to two salts."""
MESSAGE_ID: Final = 32
"""Bytes of a message id."""

SENDER: Final = 1
ROOM: Final = 2
LAST_SEEN: Final = -1
TREE_HEAD: Final = -2
FORWARDED: Final = -3

UNSPECIFIED, RENDER, REACTION, PROFILE, INLINE, ICON, ATTACHMENT, SESSION, PREVIEW = range(9)
CHOOSE_ONE, SINGLE_UNIT, PROCESS_ALL = range(3)
MARKDOWN: Final = "text/markdown;variant=GFM-MIMI"
PLAIN: Final = "text/plain;charset=utf-8"

AES_256_GCM: Final = 2
"""IANA AEAD number; the only `enc_alg` that Kith sends."""
SHA_256: Final = 1
"""IANA Named Information hash number; the only `hash_alg` that Kith sends."""


class WrongSalt(Malformed):
    """Content that is in order except that its salt is not 16 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NullPart:
    """Nothing: the body of a delete or an unlike."""

    disposition: int = RENDER
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinglePart:
    """One body of one media type."""

    content_type: str
    content: bytes
    disposition: int = RENDER
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalPart:
    """Encrypted bytes kept elsewhere; everything needed to fetch, check and open them is committed here.

    `expires` is in Unix seconds, `size` in bytes of ciphertext, `content_hash` is over the ciphertext.
    """

    content_type: str
    url: str
    expires: int
    size: int
    enc_alg: int
    key: bytes
    nonce: bytes
    aad: bytes
    hash_alg: int
    content_hash: bytes
    description: str = ""
    filename: str = ""
    disposition: int = ATTACHMENT
    language: str = ""

    def __repr__(self) -> str:
        """Without the key."""
        return f"ExternalPart({self.content_type!r}, {self.size} bytes, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiPart:
    """Two or more parts and how they belong together."""

    semantics: int
    parts: tuple["Part", ...]
    disposition: int = RENDER
    language: str = ""


Part: TypeAlias = NullPart | SinglePart | ExternalPart | MultiPart


@dataclass(frozen=True, slots=True)
class Expires:
    """A hint: seconds after reading when `relative`, Unix seconds otherwise."""

    relative: bool
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MimiContent:
    """One message: its place in the conversation, and its parts."""

    salt: bytes
    extensions: Mapping[Key, Value]
    part: Part
    replaces: bytes | None = None
    topic_id: bytes = b""
    expires: Expires | None = None
    in_reply_to: bytes | None = None

    @property
    def sender_uri(self) -> str:
        """Extension 1: the account that claims to be the sender. Compare it with the leaf or the frank."""
        return cast("str", self.extensions[SENDER])

    @property
    def room_uri(self) -> str:
        """Extension 2: the room this was written for."""
        return cast("str", self.extensions[ROOM])

    @property
    def last_seen(self) -> bytes | None:
        """Extension -1: the id of the last message that the sender had seen."""
        return cast("bytes | None", self.extensions.get(LAST_SEEN))

    @property
    def tree_head(self) -> tuple[int, bytes, bytes] | None:
        """Extension -2: size, root and signature of the key log's head that the sender held.

        None for anything of another shape: gossip never makes a message unreadable, so it cannot make it unreportable.
        """
        match self.extensions.get(TREE_HEAD):
            case [int(size), bytes(root), bytes(signature)] if type(size) is int and size > 0:  # True is no number
                return (size, root, signature) if (len(root), len(signature)) == (32, 64) else None
            case _:
                return None

    @property
    def times_forwarded(self) -> int:
        """Extension -3; 0 for what was written here."""
        return cast("int", self.extensions.get(FORWARDED, 0))

    def __repr__(self) -> str:
        """Without anything that was said."""
        return f"MimiContent(part={type(self.part).__name__}, …)"


# --- encoding -------------------------------------------------------------------------------------------------------


def encode(content: MimiContent) -> bytes:
    """M: the deterministic bytes of this content. Malformed when a limit or a rule of the format is broken."""
    _check(content)
    expires = None if content.expires is None else [content.expires.relative, content.expires.time]
    encoded = cbor.encode(
        [
            content.salt,
            content.replaces,
            content.topic_id,
            expires,
            content.in_reply_to,
            content.extensions,
            _part_value(content.part),
        ]
    )
    if len(encoded) > MAX_CONTENT:
        raise Malformed("the content is larger than 64 KiB")
    return encoded


def _part_value(part: Part) -> list[Value]:
    head: list[Value] = [part.disposition, part.language]
    match part:
        case NullPart():
            return [*head, 0]
        case SinglePart():
            return [*head, 1, part.content_type, part.content]
        case ExternalPart():
            return [*head, 2, *(getattr(part, name) for name, _, _ in _EXTERNAL)]
        case MultiPart():
            return [*head, 3, part.semantics, [_part_value(inner) for inner in part.parts]]
        case _:
            assert_never(part)


# --- decoding -------------------------------------------------------------------------------------------------------

_U8, _U16, _U32, _U64 = (1 << bits for bits in (8, 16, 32, 64))
_EXTERNAL: Final[tuple[tuple[str, type[Any], int], ...]] = (
    ("content_type", str, 0),
    ("url", str, 0),
    ("expires", int, _U32),
    ("size", int, _U64),
    ("enc_alg", int, _U16),
    ("key", bytes, 0),
    ("nonce", bytes, 0),
    ("aad", bytes, 0),
    ("hash_alg", int, _U8),
    ("content_hash", bytes, 0),
    ("description", str, 0),
    ("filename", str, 0),
)
"""The elements of an external part after the cardinality, in wire order: name, type, exclusive upper bound."""

T = TypeVar("T")


def decode(data: bytes) -> MimiContent:
    """The content with exactly these bytes; WrongSalt or Malformed otherwise. Cost is linear in at most 64 KiB."""
    if len(data) > MAX_CONTENT:
        raise Malformed("the content is larger than 64 KiB")
    fields = _array(cbor.decode(data), 7, "content")
    content = MimiContent(
        salt=_a(bytes, fields[0], "salt"),
        replaces=_optional_bytes(fields[1], "replaces"),
        topic_id=_a(bytes, fields[2], "topic"),
        expires=_expires(fields[3]),
        in_reply_to=_optional_bytes(fields[4], "inReplyTo"),
        extensions=cast("dict[Key, Value]", _a(dict, fields[5], "extensions")),
        part=_part(fields[6], MAX_PART_DEPTH),
    )
    if encode(content) != data:
        raise Malformed("the content is not deterministically encoded")
    return content


def _a(kind: type[T], value: object, name: str) -> T:
    if type(value) is not kind:  # exact: True must not pass for 1
        raise Malformed(f"the {name} of the content has the wrong type")
    return value


def _optional_bytes(value: Value, name: str) -> bytes | None:
    return None if value is None else _a(bytes, value, name)


def _array(value: Value, size: int, name: str) -> list[Value]:
    items = cast("list[Value]", _a(list, value, name))
    if len(items) != size:
        raise Malformed(f"the {name} has the wrong number of elements")
    return items


def _expires(value: Value) -> Expires | None:
    if value is None:
        return None
    relative, time = _array(value, 2, "expiry")
    return Expires(_a(bool, relative, "expiry"), _a(int, time, "expiry"))


def _part(value: Value, levels: int) -> Part:
    if levels == 0:
        raise Malformed("parts are nested too deeply")
    items = cast("list[Value]", _a(list, value, "part"))
    if len(items) < 3:  # noqa: PLR2004 - disposition, language, cardinality
        raise Malformed("a part has the wrong number of elements")
    disposition, language = _a(int, items[0], "disposition"), _a(str, items[1], "language")
    rest = items[3:]
    match _a(int, items[2], "cardinality"):
        case 0:
            _array(rest, 0, "null part")
            return NullPart(disposition=disposition, language=language)
        case 1:
            kind, body = _array(rest, 2, "single part")
            return SinglePart(
                content_type=_a(str, kind, "media type"),
                content=_a(bytes, body, "body"),
                disposition=disposition,
                language=language,
            )
        case 2:
            return _external(rest, disposition, language)
        case 3:
            semantics, parts = _array(rest, 2, "multi part")
            return MultiPart(
                semantics=_a(int, semantics, "semantics"),
                parts=tuple(_part(inner, levels - 1) for inner in cast("list[Value]", _a(list, parts, "parts"))),
                disposition=disposition,
                language=language,
            )
        case _:
            raise Malformed("a part has an unknown cardinality")


def _external(rest: list[Value], disposition: int, language: str) -> ExternalPart:
    values = _array(rest, len(_EXTERNAL), "external part")
    fields: dict[str, Any] = {
        name: _a(kind, value, name) for (name, kind, _), value in zip(_EXTERNAL, values, strict=True)
    }
    return ExternalPart(**fields, disposition=disposition, language=language)


# --- rules that hold for every content, however it was made ---------------------------------------------------------


def _check(content: MimiContent) -> None:
    if content.expires is not None:
        _below(content.expires.time, _U32, "expiry")
    for reference in (content.replaces, content.in_reply_to):
        if reference is not None and len(reference) != MESSAGE_ID:
            raise Malformed("a message id is not 32 bytes")
    _check_extensions(content.extensions)
    _check_part(content.part, MAX_PART_DEPTH)
    if len(content.salt) != SALT:  # last: WrongSalt says that everything else is in order
        raise WrongSalt("the salt is not 16 bytes")


def _below(number: int, bound: int, name: str) -> None:
    if not 0 <= number < bound:
        raise Malformed(f"the {name} of the content is out of range")


def _check_extensions(extensions: Mapping[Key, Value]) -> None:
    for key, value in extensions.items():
        if isinstance(key, str) and not 1 <= len(key.encode("utf-8", "surrogatepass")) <= MAX_TEXT_KEY:
            raise Malformed("a text extension key is not 1 to 255 bytes")
        if len(cbor.encode(value)) > MAX_EXTENSION:
            raise Malformed("an extension value is larger than 4095 bytes")
    for required in (SENDER, ROOM):
        if not isinstance(extensions.get(required), str):
            raise Malformed("the content does not name its sender and its room")
    if LAST_SEEN in extensions and len(_a(bytes, extensions[LAST_SEEN], "last seen id")) != MESSAGE_ID:
        raise Malformed("a message id is not 32 bytes")
    if FORWARDED in extensions:
        _below(_a(int, extensions[FORWARDED], "forward counter"), _U32, "forward counter")


def _check_part(part: Part, levels: int) -> None:
    if levels == 0:
        raise Malformed("parts are nested too deeply")
    _below(part.disposition, _U8, "disposition")
    if isinstance(part, ExternalPart):
        for name, kind, bound in _EXTERNAL:
            if kind is int:
                _below(getattr(part, name), bound, name)
    if isinstance(part, MultiPart):
        _below(part.semantics, PROCESS_ALL + 1, "semantics")
        if len(part.parts) < 2:  # noqa: PLR2004 - the draft's [2* NestedPart]
            raise Malformed("a multi part has fewer than two parts")
        for inner in part.parts:
            _check_part(inner, levels - 1)


# --- message ids ----------------------------------------------------------------------------------------------------


def message_id(sender_uri: str, room_uri: str, m: bytes, salt: bytes) -> bytes:
    """0x01 and 31 bytes of SHA-256 over sender, room, M and salt (draft section 3.3); M as it was received."""
    sender, room = sender_uri.encode("utf-8"), room_uri.encode("utf-8")
    framed = len(sender).to_bytes(2, "big") + sender + len(room).to_bytes(2, "big") + room
    return b"\x01" + hashlib.sha256(framed + m + salt).digest()[: MESSAGE_ID - 1]


# --- making content -------------------------------------------------------------------------------------------------


def text(
    words: str,
    *,
    salt: bytes,
    sender_uri: str,
    room_uri: str,
    last_seen: bytes | None = None,
    forwarded: int = 0,
) -> MimiContent:
    """A message of Markdown text; `salt` is 16 fresh random bytes."""
    part = SinglePart(content_type=MARKDOWN, content=words.encode("utf-8"))
    extensions: dict[Key, Value] = {SENDER: sender_uri, ROOM: room_uri}
    if last_seen is not None:
        extensions[LAST_SEEN] = last_seen
    if forwarded:
        extensions[FORWARDED] = forwarded
    return MimiContent(salt=salt, extensions=extensions, part=part)


def reply(
    to: bytes, words: str, *, salt: bytes, sender_uri: str, room_uri: str, last_seen: bytes | None = None
) -> MimiContent:
    """An answer to the exact version with the id `to`."""
    message = text(words, salt=salt, sender_uri=sender_uri, room_uri=room_uri, last_seen=last_seen)
    return replace(message, in_reply_to=to)


def edit(first_version: bytes, words: str, *, salt: bytes, sender_uri: str, room_uri: str) -> MimiContent:
    """New words for the message whose first version has this id."""
    return replace(text(words, salt=salt, sender_uri=sender_uri, room_uri=room_uri), replaces=first_version)


def delete(first_version: bytes, *, salt: bytes, sender_uri: str, room_uri: str) -> MimiContent:
    """Take back the message, or the reaction, whose first version has this id."""
    extensions: dict[Key, Value] = {SENDER: sender_uri, ROOM: room_uri}
    return MimiContent(salt=salt, extensions=extensions, part=NullPart(), replaces=first_version)


def reaction(to: bytes, symbol: str, *, salt: bytes, sender_uri: str, room_uri: str) -> MimiContent:
    """One reaction to the message with the id `to`."""
    extensions: dict[Key, Value] = {SENDER: sender_uri, ROOM: room_uri}
    part = SinglePart(content_type=PLAIN, content=symbol.encode("utf-8"), disposition=REACTION)
    return MimiContent(salt=salt, extensions=extensions, part=part, in_reply_to=to)


# --- reading content ------------------------------------------------------------------------------------------------


def numbered_parts(part: Part) -> Iterator[tuple[int, Part]]:
    """Every part with its part index: depth-first from zero, containers counted."""
    yield from enumerate(_depth_first(part))


def _depth_first(part: Part) -> Iterator[Part]:
    yield part
    if isinstance(part, MultiPart):
        for inner in part.parts:
            yield from _depth_first(inner)


def plain_text(content: MimiContent) -> str:
    """The words that a reader would see, without interpreting Markdown; empty when there are none."""
    return _words(content.part)


def _words(part: Part) -> str:
    match part:
        case SinglePart():
            return _readable(part.content) if is_text(part.content_type) else ""
        case MultiPart():
            return _joined(part.semantics, [_words(inner) for inner in part.parts])
        case NullPart() | ExternalPart():
            return ""
        case _:
            assert_never(part)


def bare_type(content_type: str) -> str:
    """A media type without its parameters, lower case; only blanks and tabs are space around it (RFC 9110 5.6.3)."""
    return content_type.split(";", maxsplit=1)[0].strip(" \t").lower()


def is_text(content_type: str) -> bool:
    """Whether a part of this type is words."""
    return bare_type(content_type) in ("text/markdown", "text/plain")


def _readable(body: bytes) -> str:
    try:
        return body.decode("utf-8").lstrip(BYTE_ORDER_MARK)
    except UnicodeDecodeError:
        return ""


def _joined(semantics: int, words: list[str]) -> str:
    """One of several, or all; of a single unit all or nothing."""
    found = [one for one in words if one]
    if semantics == SINGLE_UNIT and len(found) < len(words):
        return ""
    return "\n".join(found[:1] if semantics == CHOOSE_ONE else found)


# --- what a message does to an earlier one --------------------------------------------------------------------------

Effect: TypeAlias = Literal["show", "edit", "delete", "hold", "drop"]


def effect(replaces: bytes | None, part: Part, *, sender: str, target_sender: str | None) -> Effect:
    """What a message does, given the account of the leaf that sent it and of the leaf that sent its target.

    `target_sender` is None when the target is unknown: hold the message for a bounded time. Only the original sender
    edits, deletes or takes back a reaction; anybody else's attempt is dropped with a visible note.
    """
    if replaces is None:
        return "show"
    if target_sender is None:
        return "hold"
    if sender != target_sender:
        return "drop"
    return "delete" if isinstance(part, NullPart) else "edit"


def closes_loop(message: bytes, in_reply_to: bytes | None, replies: Mapping[bytes, bytes | None]) -> bool:
    """Whether a reply would lead back into its own chain, given what each known message replies to.

    An unknown message ends the chain: one may reply to what one's peer never received.
    """
    seen = {message}
    while in_reply_to is not None:
        if in_reply_to in seen:
            return True
        seen.add(in_reply_to)
        in_reply_to = replies.get(in_reply_to)
    return False
