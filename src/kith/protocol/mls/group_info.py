"""GroupInfo (RFC 9420 section 12.4.3) with the ratchet tree inside: a group as everybody may see it."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from kith.protocol.mls.codec import KITH, Dialect, Extension, encode_extensions, read_extensions, u16, u32
from kith.protocol.mls.key_schedule import MAX_GROUP_ID, GroupContext
from kith.protocol.mls.leaf_node import LeafNode
from kith.protocol.mls.ratchet_tree import Node, Tree, leaf_at, leaves_of, read_tree, tree_hash
from kith.protocol.mls.suite import SUITE, WireFormat, as_message, check_version, open_message
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Malformed, Reader, vector

MAX_GROUP_INFO: Final = 1024 * 1024
"""Bytes of an MLSMessage with a GroupInfo."""
RATCHET_TREE: Final = 2
"""The extension type of the tree (section 17.3)."""
_MAX_HASH: Final = 64


class Leaf(NamedTuple):
    """One member as the tree shows it."""

    leaf_index: int
    identity: bytes
    signature_key: bytes


@dataclass(frozen=True, slots=True)
class SignedGroupInfo:
    """A GroupInfo as it arrived, with or without a tree. Nothing in it is verified before `verify_signature`."""

    context: GroupContext
    extensions: tuple[Extension, ...]
    confirmation_tag: bytes
    signer: int
    signature: bytes
    signed: bytes
    group_context: bytes
    suite: int = SUITE

    def encode(self) -> bytes:
        """The bytes of these fields, without an MLSMessage around them."""
        context = self.context.encode()
        head = context[:2] + u16(self.suite) + context[4:]
        return head + _info_tail(self.extensions, self.confirmation_tag, self.signer) + vector(self.signature)

    def tree(self, dialect: Dialect = KITH) -> Tree | None:
        """The ratchet tree that travels with it."""
        for extension in self.extensions:
            if extension.type == RATCHET_TREE:
                return read_tree(extension.data, dialect)
        return None

    def verify_signature(self, signature_key: bytes) -> bool:
        """Whether the holder of this key signed it."""
        return verify_with_label(signature_key, "GroupInfoTBS", self.signed, self.signature)


def _info_tail(extensions: tuple[Extension, ...], confirmation_tag: bytes, signer: int) -> bytes:
    return encode_extensions(extensions) + vector(confirmation_tag) + u32(signer)


def group_info_fields(
    group_context: bytes, extensions: tuple[Extension, ...], confirmation_tag: bytes, signer: int
) -> bytes:
    """A GroupInfo up to its signature (GroupInfoTBS)."""
    return group_context + _info_tail(extensions, confirmation_tag, signer)


def read_group_info(reader: Reader, dialect: Dialect = KITH) -> SignedGroupInfo:
    """The GroupInfo at the cursor, to the end of the data."""
    start = reader.at
    check_version(reader.u16())
    suite = dialect.suite(reader)
    group_id, epoch = reader.vector(max=MAX_GROUP_ID), reader.u64()
    tree, transcript = reader.vector(max=_MAX_HASH), reader.vector(max=_MAX_HASH)
    context = GroupContext(group_id, epoch, tree, transcript, read_extensions(reader.vector()))
    group_context = reader.since(start)
    extensions = read_extensions(reader.vector())
    confirmation_tag, signer = reader.vector(max=_MAX_HASH), reader.u32()
    signed = reader.since(start)
    signature = dialect.signature(reader)
    reader.done()
    return SignedGroupInfo(context, extensions, confirmation_tag, signer, signature, signed, group_context, suite)


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group at one epoch. Nothing in it is verified before `verify_signature` and `tree_hash_matches`."""

    group_id: bytes
    epoch: int
    tree_hash: bytes
    confirmed_transcript_hash: bytes
    tree: tuple[Node, ...]
    signer: int
    confirmation_tag: bytes
    signature: bytes
    signed: bytes
    group_context: bytes
    extensions: tuple[Extension, ...] = ()

    @property
    def leaves(self) -> list[Leaf]:
        """The members' leaves in order; blanks are left out."""
        return [Leaf(index, leaf.identity, leaf.signature_key) for index, leaf in leaves_of(self.tree)]

    def leaf(self, leaf_index: int) -> LeafNode | None:
        """That leaf, or None when it is blank or beyond the tree."""
        return leaf_at(self.tree, leaf_index)

    def verify_signature(self) -> bool:
        """Whether the leaf that claims to be the signer signed it."""
        leaf = self.leaf(self.signer)
        return leaf is not None and verify_with_label(leaf.signature_key, "GroupInfoTBS", self.signed, self.signature)

    def tree_hash_matches(self) -> bool:
        """Whether the tree sent along is the tree that the GroupContext commits to."""
        return tree_hash(self.tree) == self.tree_hash


def parse_signed_group_info(message: bytes, dialect: Dialect = KITH) -> SignedGroupInfo:
    """The GroupInfo in an MLSMessage mls_group_info, with or without a tree."""
    return read_group_info(open_message(message, WireFormat.GROUP_INFO, limit=MAX_GROUP_INFO), dialect)


def parse_group_info(message: bytes) -> GroupInfo:
    """The GroupInfo in an MLSMessage mls_group_info. One without a ratchet tree is Malformed here."""
    info = parse_signed_group_info(message)
    tree = info.tree()
    if tree is None:
        raise Malformed("a GroupInfo does not hold its ratchet tree")
    return GroupInfo(
        group_id=info.context.group_id,
        epoch=info.context.epoch,
        tree_hash=info.context.tree_hash,
        confirmed_transcript_hash=info.context.confirmed_transcript_hash,
        tree=tree,
        signer=info.signer,
        confirmation_tag=info.confirmation_tag,
        signature=info.signature,
        signed=info.signed,
        group_context=info.group_context,
        extensions=info.context.extensions,
    )


def group_info_message(encoded: bytes) -> bytes:
    """MLSMessage mls_group_info."""
    return as_message(WireFormat.GROUP_INFO, encoded)
