"""The one version and the one suite that are spoken, and how an MLSMessage begins (RFC 9420 sections 5, 6 and 17)."""

from enum import IntEnum
from typing import Final

from kith.protocol.mls.refusals import Unsupported
from kith.protocol.wire import Malformed, Reader

VERSION: Final = 1
"""mls10"""
SUITE: Final = 1
"""MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519"""
BASIC: Final = 1
"""The credential type whose identity Kith reads."""
KEY: Final = 32
"""Bytes of an X25519 or Ed25519 public key."""
HASH: Final = 32
"""Bytes of SHA-256."""
SIGNATURE: Final = 64
"""Bytes of an Ed25519 signature."""


class WireFormat(IntEnum):
    """What an MLSMessage carries."""

    PUBLIC_MESSAGE = 1
    PRIVATE_MESSAGE = 2
    WELCOME = 3
    GROUP_INFO = 4
    KEY_PACKAGE = 5


def open_message(message: bytes, wire_format: WireFormat, *, limit: int) -> Reader:
    """A cursor after the head of an MLSMessage of this kind and at most `limit` bytes."""
    if len(message) > limit:
        raise Malformed("an MLS message is larger than allowed")
    reader = Reader(message)
    check_version(reader.u16())
    if reader.u16() != wire_format:
        raise Malformed(f"this is not an MLS {wire_format.name.lower()}")
    return reader


def as_message(wire_format: WireFormat, body: bytes) -> bytes:
    """MLSMessage."""
    return VERSION.to_bytes(2, "big") + wire_format.to_bytes(2, "big") + body


def check_version(version: int) -> None:
    """Refuse every protocol version but mls10."""
    if version != VERSION:
        raise Unsupported("this protocol version of MLS is not accepted")


def check_suite(suite: int) -> None:
    """Refuse every cipher suite but the one."""
    if suite != SUITE:
        raise Unsupported("this cipher suite of MLS is not accepted")
