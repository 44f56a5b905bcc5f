"""KeyPackages (RFC 9420 section 10): what a device publishes so that others can add it while it is away."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from kith.protocol.mls.codec import KITH, Dialect, Extension, encode_extensions, read_extensions, u16
from kith.protocol.mls.crypto import ref_hash
from kith.protocol.mls.leaf_node import MAX_LEAF_EXTENSION_BYTES, SOURCE_KEY_PACKAGE, LeafNode, Lifetime, read_leaf
from kith.protocol.mls.refusals import BadSignature, PolicyRefused
from kith.protocol.mls.suite import SUITE, VERSION, WireFormat, check_version, open_message
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Reader, vector

MAX_KEY_PACKAGE: Final = 16 * 1024
"""Bytes of an MLSMessage with a KeyPackage."""
MAX_LIFETIME_S: Final = 90 * 24 * 3600
"""Longest time between `not_before` and `not_after`, in seconds."""


@dataclass(frozen=True)
class KeyPackage:
    """An offer by one device to be added. Nothing in it is verified before `verify`."""

    init_key: bytes
    leaf: LeafNode
    extensions: tuple[Extension, ...]
    signature: bytes
    encoded: bytes
    signed: bytes
    suite: int = SUITE

    def encode(self) -> bytes:
        """The bytes of these fields; `encoded` are those that were received."""
        return key_package_fields(self.init_key, self.leaf, self.extensions, self.suite) + vector(self.signature)

    @property
    def identity(self) -> bytes:
        """The identity in the leaf's basic credential."""
        return self.leaf.identity

    @property
    def signature_key(self) -> bytes:
        """The key that the leaf will sign with."""
        return self.leaf.signature_key

    @cached_property
    def ref(self) -> bytes:
        """KeyPackageRef (section 5.2): the name by which a Welcome addresses it."""
        return ref_hash(b"MLS 1.0 KeyPackage Reference", self.encoded)

    def verify(self, now_s: int | None, *, lifetime_s: int | None = MAX_LIFETIME_S) -> None:
        """Accept it for an Add at `now_s` (Unix seconds), or raise BadSignature or PolicyRefused (section 10.1).

        Whoever receives an Add passes no time: a device that catches up must not refuse an Add that was fresh when it
        was made. `lifetime_s` is the longest lifetime; None accepts any.
        """
        leaf = self.leaf
        if leaf.source != SOURCE_KEY_PACKAGE or leaf.lifetime is None:
            raise PolicyRefused("the leaf of a key package must be of source key_package")
        if not leaf.covers_suite():
            raise PolicyRefused("a key package does not name what it uses among its capabilities")
        if self.init_key == leaf.encryption_key:
            raise PolicyRefused("a key package uses one key for two purposes")
        check_lifetime(leaf.lifetime, now_s, lifetime_s)
        if not leaf.verify_signature():
            raise BadSignature("the leaf of a key package is not signed by its key")
        if not verify_with_label(leaf.signature_key, "KeyPackageTBS", self.signed, self.signature):
            raise BadSignature("a key package is not signed by its leaf")


def check_lifetime(lifetime: Lifetime, now_s: int | None, lifetime_s: int | None) -> None:
    """PolicyRefused unless it holds now, where a time is given, and is no longer than `lifetime_s`."""
    if now_s is not None and not lifetime.not_before <= now_s <= lifetime.not_after:
        raise PolicyRefused("a key package is expired or not yet valid")
    if lifetime_s is not None and not 0 <= lifetime.not_after - lifetime.not_before <= lifetime_s:
        raise PolicyRefused("a key package is valid for more than 90 days")


def key_package_fields(
    init_key: bytes, leaf: LeafNode, extensions: tuple[Extension, ...] = (), suite: int = SUITE
) -> bytes:
    """A KeyPackage up to its signature (KeyPackageTBS)."""
    return u16(VERSION) + u16(suite) + vector(init_key) + leaf.encode() + encode_extensions(extensions)


def parse_key_package(message: bytes, dialect: Dialect = KITH) -> KeyPackage:
    """The KeyPackage in an MLSMessage mls_key_package, read to its last byte."""
    reader = open_message(message, WireFormat.KEY_PACKAGE, limit=MAX_KEY_PACKAGE)
    package = read_key_package(reader, dialect)
    reader.done()
    return package


def read_key_package(reader: Reader, dialect: Dialect = KITH) -> KeyPackage:
    """The KeyPackage at the cursor, as it also stands in an Add."""
    start = reader.at
    check_version(reader.u16())
    suite = dialect.suite(reader)
    init_key = dialect.key(reader)
    leaf = read_leaf(reader, dialect)
    extensions = read_extensions(reader.vector(max=MAX_LEAF_EXTENSION_BYTES))
    signed = reader.since(start)
    signature = dialect.signature(reader)
    return KeyPackage(init_key, leaf, extensions, signature, reader.since(start), signed, suite)
