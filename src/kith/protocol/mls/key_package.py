"""KeyPackages (RFC 9420 section 10): what a device publishes so that others can add it while it is away."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from kith.protocol.mls.ratchet_tree import (
    MAX_LEAF_EXTENSION_BYTES,
    SOURCE_KEY_PACKAGE,
    Extension,
    LeafNode,
    read_extensions,
    read_leaf,
)
from kith.protocol.mls.refusals import BadSignature, PolicyRefused
from kith.protocol.mls.suite import KEY, SIGNATURE, WireFormat, check_suite, check_version, open_message, ref_hash
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Reader

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

    def verify(self, now_s: int) -> None:
        """Accept it for an Add at `now_s` (Unix seconds), or raise BadSignature or PolicyRefused (section 10.1)."""
        leaf = self.leaf
        if leaf.source != SOURCE_KEY_PACKAGE or leaf.lifetime is None:
            raise PolicyRefused("the leaf of a key package must be of source key_package")
        if not leaf.covers_suite():
            raise PolicyRefused("a key package does not name what it uses among its capabilities")
        if self.init_key == leaf.encryption_key:
            raise PolicyRefused("a key package uses one key for two purposes")
        lifetime = leaf.lifetime
        if not lifetime.not_before <= now_s <= lifetime.not_after:
            raise PolicyRefused("a key package is expired or not yet valid")
        if lifetime.not_after - lifetime.not_before > MAX_LIFETIME_S:
            raise PolicyRefused("a key package is valid for more than 90 days")
        if not leaf.verify_signature():
            raise BadSignature("the leaf of a key package is not signed by its key")
        if not verify_with_label(leaf.signature_key, "KeyPackageTBS", self.signed, self.signature):
            raise BadSignature("a key package is not signed by its leaf")


def parse_key_package(message: bytes) -> KeyPackage:
    """The KeyPackage in an MLSMessage mls_key_package, read to its last byte."""
    reader = open_message(message, WireFormat.KEY_PACKAGE, limit=MAX_KEY_PACKAGE)
    package = read_key_package(reader)
    reader.done()
    return package


def read_key_package(reader: Reader) -> KeyPackage:
    """The KeyPackage at the cursor, as it also stands in an Add."""
    start = reader.at
    check_version(reader.u16())
    check_suite(reader.u16())
    init_key = reader.fixed_vector(KEY)
    leaf = read_leaf(reader)
    extensions = read_extensions(reader.vector(max=MAX_LEAF_EXTENSION_BYTES))
    signed = reader.since(start)
    signature = reader.fixed_vector(SIGNATURE)
    return KeyPackage(init_key, leaf, extensions, signature, reader.since(start), signed)
