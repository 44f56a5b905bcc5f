"""Names of accounts, devices and rooms: `mimi://HOST/u|d|r/<uuid>`, one spelling each.

Handles and display names never stand in for these: only URIs with UUIDs are compared and signed.
"""

import re
from functools import lru_cache
from typing import Final, Literal, TypeAlias, cast

from kith.protocol.wire import Malformed

Kind: TypeAlias = Literal["u", "d", "r"]

MAX_HOST: Final = 253
"""Longest server name in characters (RFC 1035 section 2.3.4, without the root dot)."""

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_UUID4: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_URI: Final = re.compile(rf"mimi://({_LABEL}(?:\.{_LABEL})*)/([udr])/({_UUID4})")
_ONLY_UUID: Final = re.compile(_UUID4)
_MAX_URI: Final = len("mimi://") + MAX_HOST + len("/u/") + 36


def account_uri(server: str, uuid: str) -> str:
    """The account's name in everything that is committed or signed."""
    return _checked(f"mimi://{server}/u/{uuid}")


def device_uri(server: str, uuid: str) -> str:
    """The device's name in credentials, certificates and franking contexts."""
    return _checked(f"mimi://{server}/d/{uuid}")


def room_uri(server: str, uuid: str) -> str:
    """The room's name in content and franking contexts."""
    return _checked(f"mimi://{server}/r/{uuid}")


def parse_uri(uri: str) -> tuple[str, Kind, str]:
    """`(server, kind, uuid)`; anything but the one spelling is Malformed."""
    match = _URI.fullmatch(uri) if len(uri) <= _MAX_URI else None
    if match is None or len(match[1]) > MAX_HOST:
        raise Malformed("this is not the URI of an account, a device or a room")
    return match[1], cast("Kind", match[2]), match[3]


def group_id(room_uuid: str) -> bytes:
    """The MLS group id of a room: the 16 bytes of its UUID."""
    if not _ONLY_UUID.fullmatch(room_uuid):
        raise Malformed("this is not the id of a room")
    return bytes.fromhex(room_uuid.replace("-", ""))


def expect(uri: str, kind: Kind) -> str:
    """The same URI if it names that kind of thing; Malformed otherwise."""
    if parse_uri(uri)[1] != kind:
        raise Malformed("the URI names another kind of thing than required")
    return uri


def read_uri(raw: bytes, kind: Kind) -> str:
    """The URI in these bytes, which must be ASCII and of that kind."""
    try:
        return expect(raw.decode("ascii"), kind)
    except UnicodeDecodeError:
        raise Malformed("a URI is not ASCII") from None


@lru_cache(maxsize=32_768)
def _checked(uri: str) -> str:
    parse_uri(uri)
    return uri
