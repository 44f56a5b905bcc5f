"""What RFC 9420 structures are made of beyond `wire`: integers to write, optionals, extensions, HPKE ciphertexts.

Reading is strict and bounded everywhere; a `Dialect` says how much of the RFC a reader accepts. The default is what
Kith speaks. The wider ones exist so that the official vectors, which use all of it, run through the same code.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kith.protocol.mls.refusals import Unsupported
from kith.protocol.mls.suite import KEY, SIGNATURE, SUITE
from kith.protocol.wire import Malformed, Reader, vector

MAX_EXTENSIONS: Final = 64
MAX_LIST: Final = 512
"""Bytes of one list of capabilities: 256 numbers."""
MAX_CIPHERTEXT: Final = 1024
"""Bytes of an encrypted path secret or group secrets."""
MAX_FOREIGN: Final = 512
"""Bytes of a key or signature of another suite."""
_U16: Final = 2

ADD, UPDATE, REMOVE, PSK, RE_INIT, EXTERNAL_INIT, GROUP_CONTEXT_EXTENSIONS = range(1, 8)
"""Proposal types (section 17.4)."""
PROPOSAL_NAMES: Final = {
    ADD: "add",
    UPDATE: "update",
    REMOVE: "remove",
    PSK: "psk",
    RE_INIT: "reinit",
    EXTERNAL_INIT: "external_init",
    GROUP_CONTEXT_EXTENSIONS: "group_context_extensions",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How much of RFC 9420 a reader accepts; whatever lies outside is Unsupported, by name."""

    proposals: frozenset[int]
    by_reference: bool = False
    any_suite: bool = False
    """Accept structures of other suites, whose keys and signatures have other sizes. They can only be re-encoded."""

    def suite(self, reader: Reader) -> int:
        """A cipher suite number."""
        suite = reader.u16()
        if suite != SUITE and not self.any_suite:
            raise Unsupported("this cipher suite of MLS is not accepted")
        return suite

    def key(self, reader: Reader) -> bytes:
        """A public key."""
        return reader.vector(max=MAX_FOREIGN) if self.any_suite else reader.fixed_vector(KEY)

    def signature(self, reader: Reader) -> bytes:
        """A signature."""
        return reader.vector(max=MAX_FOREIGN) if self.any_suite else reader.fixed_vector(SIGNATURE)


KITH: Final = Dialect(frozenset({ADD, REMOVE}))
"""What Kith's groups speak: inline Adds and Removes."""
RFC9420: Final = Dialect(frozenset(PROPOSAL_NAMES), by_reference=True)
"""Everything that RFC 9420 defines, in suite 1."""
ANY_SUITE: Final = Dialect(frozenset(PROPOSAL_NAMES), by_reference=True, any_suite=True)
"""Everything that RFC 9420 defines, to read and write again."""


def u8(number: int) -> bytes:
    """One byte."""
    return number.to_bytes(1, "big")


def u16(number: int) -> bytes:
    """Two bytes."""
    return number.to_bytes(2, "big")


def u32(number: int) -> bytes:
    """Four bytes."""
    return number.to_bytes(4, "big")


def u64(number: int) -> bytes:
    """Eight bytes."""
    return number.to_bytes(8, "big")


def optional(encoded: bytes | None) -> bytes:
    """`optional<T>` (section 2.1.1)."""
    return b"\x00" if encoded is None else b"\x01" + encoded


def vectors(items: Iterable[bytes]) -> bytes:
    """`T items<V>` of encoded items."""
    return vector(b"".join(items))


def read_numbers(reader: Reader) -> tuple[int, ...]:
    """`uint16 numbers<V>`."""
    raw = reader.vector(max=MAX_LIST)
    if len(raw) % _U16:
        raise Malformed("a list of capabilities ends within a number")
    return tuple(int.from_bytes(raw[at : at + _U16], "big") for at in range(0, len(raw), _U16))


def encode_numbers(numbers: Iterable[int]) -> bytes:
    """`uint16 numbers<V>`."""
    return vectors(map(u16, numbers))


@dataclass(frozen=True, slots=True)
class Extension:
    """A type and its uninterpreted bytes."""

    type: int
    data: bytes


def read_extensions(data: bytes) -> tuple[Extension, ...]:
    """`Extension extensions<V>` without its length; no type twice (section 13)."""
    reader = Reader(data)
    found: dict[int, Extension] = {}
    while reader.left:
        extension = Extension(reader.u16(), reader.vector())
        if extension.type in found or len(found) == MAX_EXTENSIONS:
            raise Malformed("an extension appears twice, or there are too many")
        found[extension.type] = extension
    return tuple(found.values())


def encode_extensions(extensions: Iterable[Extension]) -> bytes:
    """`Extension extensions<V>` with its length."""
    return vectors(u16(extension.type) + vector(extension.data) for extension in extensions)


@dataclass(frozen=True, slots=True)
class HpkeCiphertext:
    """HPKECiphertext (section 7.6)."""

    kem_output: bytes
    ciphertext: bytes

    def encode(self) -> bytes:
        """Both as vectors."""
        return vector(self.kem_output) + vector(self.ciphertext)


def read_hpke_ciphertext(reader: Reader, dialect: Dialect = KITH) -> HpkeCiphertext:
    """The HPKECiphertext at the cursor."""
    return HpkeCiphertext(dialect.key(reader), reader.vector(max=MAX_CIPHERTEXT))
