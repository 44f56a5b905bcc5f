"""GroupInfo (RFC 9420 section 12.4.3) with the ratchet tree inside: a group as everybody may see it."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from kith.protocol.mls.ratchet_tree import LeafNode, Node, leaves_of, read_extensions, read_tree, tree_hash
from kith.protocol.mls.suite import SIGNATURE, WireFormat, check_suite, check_version, open_message
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Malformed

MAX_GROUP_INFO: Final = 1024 * 1024
"""Bytes of an MLSMessage with a GroupInfo."""
RATCHET_TREE: Final = 2
"""The extension type of the tree (section 17.3)."""
_MAX_HASH: Final = 64
_MAX_GROUP_ID: Final = 255


class Leaf(NamedTuple):
    """One member as the tree shows it."""

    leaf_index: int
    identity: bytes
    signature_key: bytes


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

    @property
    def leaves(self) -> list[Leaf]:
        """The members' leaves in order; blanks are left out."""
        return [Leaf(index, leaf.identity, leaf.signature_key) for index, leaf in leaves_of(self.tree)]

    def leaf(self, leaf_index: int) -> LeafNode | None:
        """That leaf, or None when it is blank or beyond the tree."""
        place = 2 * leaf_index
        node = self.tree[place] if 0 <= place < len(self.tree) else None
        return node if isinstance(node, LeafNode) else None

    def verify_signature(self) -> bool:
        """Whether the leaf that claims to be the signer signed it."""
        leaf = self.leaf(self.signer)
        return leaf is not None and verify_with_label(leaf.signature_key, "GroupInfoTBS", self.signed, self.signature)

    def tree_hash_matches(self) -> bool:
        """Whether the tree sent along is the tree that the GroupContext commits to."""
        return tree_hash(self.tree) == self.tree_hash


def parse_group_info(message: bytes) -> GroupInfo:
    """The GroupInfo in an MLSMessage mls_group_info. One without a ratchet tree is Malformed here."""
    reader = open_message(message, WireFormat.GROUP_INFO, limit=MAX_GROUP_INFO)
    start = reader.at
    check_version(reader.u16())
    check_suite(reader.u16())
    group_id, epoch = reader.vector(max=_MAX_GROUP_ID), reader.u64()
    tree_hash, transcript_hash = reader.vector(max=_MAX_HASH), reader.vector(max=_MAX_HASH)
    read_extensions(reader.vector())
    group_context = reader.since(start)
    tree = _tree(reader.vector())
    confirmation_tag, signer = reader.vector(max=_MAX_HASH), reader.u32()
    signed = reader.since(start)
    signature = reader.fixed_vector(SIGNATURE)
    reader.done()
    return GroupInfo(
        group_id=group_id,
        epoch=epoch,
        tree_hash=tree_hash,
        confirmed_transcript_hash=transcript_hash,
        tree=tree,
        signer=signer,
        confirmation_tag=confirmation_tag,
        signature=signature,
        signed=signed,
        group_context=group_context,
    )


def _tree(extensions: bytes) -> tuple[Node, ...]:
    for extension in read_extensions(extensions):
        if extension.type == RATCHET_TREE:
            return read_tree(extension.data)
    raise Malformed("a GroupInfo does not hold its ratchet tree")
