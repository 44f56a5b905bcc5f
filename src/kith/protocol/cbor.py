"""Deterministic CBOR (RFC 8949 section 4.2.1), the part of it that message content may use.

Values are null, booleans, integers of 64 bits and sign, byte strings, text strings, arrays and maps with integer or
text keys. Floating-point numbers, tags, other simple values and indefinite lengths are Malformed: a general decoder
resolves tags (dates, expressions, shared references) and accepts encodings that no signer can reproduce, so bytes
from strangers never meet one.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from kith.protocol.wire import Malformed

Key: TypeAlias = int | str
Value: TypeAlias = "bool | int | bytes | str | Sequence[Value] | Mapping[Key, Value] | None"

MAX_DEPTH: Final = 16
"""Containers inside containers. Content needs 8, its extensions the rest."""

MAX_ITEMS: Final = 2048
"""Data items of one value, keys and containers counted. A text has 20, an attachment 30; without this limit 64 KiB of
one-byte items would keep whoever verifies a report busy for a quarter of a second each."""

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_FALSE, _TRUE, _NULL = 0xF4, 0xF5, 0xF6
_DIRECT: Final = 24
"""Arguments below this are in the first byte; 24 to 27 announce 1, 2, 4 or 8 further bytes."""
_WIDEST: Final = 27
_BYTE_ORDER_MARK: Final = "\ufeff"
"""Browsers drop it in front of a text, and could then not give back the same bytes."""


def encode(value: Value) -> bytes:
    """The one deterministic encoding of this value. Malformed when it has none here."""
    encoded = _encode(value, MAX_DEPTH)
    if _items(value) > MAX_ITEMS:
        raise Malformed("a CBOR value has too many items")
    return encoded


def decode(data: bytes) -> Value:
    """The value with exactly this encoding. Anything else is Malformed."""
    value, end = _Decoder(data).value(0, MAX_DEPTH)
    if end != len(data):
        raise Malformed("there are bytes after the CBOR value")
    return value


def _items(value: Value) -> int:
    if isinstance(value, Mapping):
        return 1 + sum(1 + _items(item) for item in value.values())
    if isinstance(value, list | tuple):
        return 1 + sum(map(_items, value))
    return 1


def _head(major: int, argument: int) -> bytes:
    if argument < _DIRECT:
        return bytes((major << 5 | argument,))
    for width, info in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if argument < 1 << (8 * width):
            return bytes((major << 5 | info,)) + argument.to_bytes(width, "big")
    raise Malformed("an integer is too large for CBOR")


def _encode(value: Value, depth: int) -> bytes:  # noqa: PLR0911 - one return per kind of value
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(_UINT, value) if value >= 0 else _head(_NINT, -1 - value)
    if isinstance(value, bytes):
        return _head(_BYTES, len(value)) + value
    if isinstance(value, str):
        raw = _utf8(value)
        return _head(_TEXT, len(raw)) + raw
    if depth == 0:
        raise Malformed("a CBOR value is nested too deeply")
    if isinstance(value, Mapping):
        pairs = sorted((_key(key), _encode(item, depth - 1)) for key, item in value.items())
        return _head(_MAP, len(pairs)) + b"".join(key + item for key, item in pairs)
    if isinstance(value, list | tuple):
        return _head(_ARRAY, len(value)) + b"".join(_encode(item, depth - 1) for item in value)
    raise Malformed("a value has no place in message content")


def _key(key: Key) -> bytes:
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise Malformed("a map key is neither integer nor text")
    return _encode(key, 0)


def _utf8(text: str) -> bytes:
    if text.startswith(_BYTE_ORDER_MARK):
        raise Malformed("a text starts with a byte order mark")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("a text is not valid Unicode") from None


class _Decoder:
    """Reads one value at an offset and returns the offset after it; every length is checked before it is used."""

    __slots__ = ("_data", "_items")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._items = 0

    def value(self, at: int, depth: int) -> tuple[Value, int]:
        data = self._data
        if at >= len(data):
            raise Malformed("the CBOR ends too early")
        self._items += 1
        if self._items > MAX_ITEMS:
            raise Malformed("a CBOR value has too many items")
        initial = data[at]
        major = initial >> 5
        if major == _SIMPLE:
            return self._simple(initial), at + 1
        argument, at = self._argument(initial & 0x1F, at + 1)
        if major == _UINT:
            return argument, at
        if major == _NINT:
            return -1 - argument, at
        if major in (_BYTES, _TEXT):
            raw = self._slice(at, argument)
            return (raw if major == _BYTES else _text(raw)), at + argument
        if major == _TAG:
            raise Malformed("CBOR tags are not used in message content")
        if depth == 0:
            raise Malformed("a CBOR value is nested too deeply")
        if argument > len(data) - at:  # every item takes a byte: a larger claim cannot come true
            raise Malformed("the CBOR ends too early")
        return self._array(at, argument, depth - 1) if major == _ARRAY else self._map(at, argument, depth - 1)

    def _simple(self, initial: int) -> bool | None:
        if initial == _NULL:
            return None
        if initial in (_FALSE, _TRUE):
            return initial == _TRUE
        raise Malformed("floating-point numbers and other simple values are not used in message content")

    def _argument(self, info: int, at: int) -> tuple[int, int]:
        if info < _DIRECT:
            return info, at
        if info > _WIDEST:
            raise Malformed("indefinite lengths and reserved heads are not deterministic CBOR")
        width = 1 << (info - _DIRECT)
        argument = int.from_bytes(self._slice(at, width), "big")
        if argument < (_DIRECT if width == 1 else 1 << (4 * width)):
            raise Malformed("a CBOR head is not in its shortest form")
        return argument, at + width

    def _slice(self, at: int, count: int) -> bytes:
        if count > len(self._data) - at:
            raise Malformed("the CBOR ends too early")
        return self._data[at : at + count]

    def _array(self, at: int, count: int, depth: int) -> tuple[list[Value], int]:
        items: list[Value] = []
        for _ in range(count):
            item, at = self.value(at, depth)
            items.append(item)
        return items, at

    def _map(self, at: int, count: int, depth: int) -> tuple[dict[Key, Value], int]:
        items: dict[Key, Value] = {}
        previous = b""
        for _ in range(count):
            start = at
            key, at = self.value(at, 0)
            if isinstance(key, bool) or not isinstance(key, int | str):
                raise Malformed("a map key is neither integer nor text")
            encoded = self._data[start:at]
            if encoded <= previous:
                raise Malformed("map keys are not in bytewise order, each once")
            previous = encoded
            items[key], at = self.value(at, depth)
        return items, at


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a CBOR text string is not UTF-8") from None
    if text.startswith(_BYTE_ORDER_MARK):
        raise Malformed("a text starts with a byte order mark")
    return text
