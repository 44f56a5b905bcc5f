"""Welcome (RFC 9420 section 12.4.3.1): which KeyPackages it is for. The rest is for their owners alone."""

from dataclasses import dataclass
from typing import Final

from kith.protocol.mls.proposals import skip_hpke_ciphertext
from kith.protocol.mls.suite import HASH, WireFormat, check_suite, open_message
from kith.protocol.wire import Malformed, Reader

MAX_WELCOME: Final = 1024 * 1024
"""Bytes of an MLSMessage with a Welcome."""
MAX_JOINERS: Final = 256


@dataclass(frozen=True, slots=True)
class Welcome:
    """The KeyPackageRefs it addresses, in order, each once."""

    refs: tuple[bytes, ...]


def parse_welcome(message: bytes) -> Welcome:
    """The addresses of an MLSMessage mls_welcome, which is read to its last byte."""
    reader = open_message(message, WireFormat.WELCOME, limit=MAX_WELCOME)
    check_suite(reader.u16())
    refs = _refs(Reader(reader.vector()))
    reader.vector()  # encrypted_group_info
    reader.done()
    return Welcome(refs)


def _refs(secrets: Reader) -> tuple[bytes, ...]:
    refs: list[bytes] = []
    while secrets.left:
        if len(refs) == MAX_JOINERS:
            raise Malformed("a Welcome is for too many devices")
        refs.append(secrets.fixed_vector(HASH))
        skip_hpke_ciphertext(secrets)
    if len(set(refs)) != len(refs):
        raise Malformed("a Welcome addresses one key package twice")
    return tuple(refs)
