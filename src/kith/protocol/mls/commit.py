"""What a list of proposals does to a group (RFC 9420 sections 12.1 to 12.3), checked before anything is applied.

Pure and public: members and the observing server use the same function.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, assert_never

from kith.protocol.mls.codec import Extension, read_numbers
from kith.protocol.mls.crypto import check_public_key
from kith.protocol.mls.key_package import KeyPackage
from kith.protocol.mls.key_schedule import PskId
from kith.protocol.mls.leaf_node import LAST_DEFAULT_EXTENSION, LAST_DEFAULT_PROPOSAL, SOURCE_UPDATE, LeafNode
from kith.protocol.mls.proposals import (
    Add,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from kith.protocol.mls.ratchet_tree import (
    Tree,
    check_keys_unique,
    leaves_of,
    member_at,
    with_leaf_added,
    with_leaf_removed,
    with_leaf_replaced,
)
from kith.protocol.mls.refusals import BadSignature, PolicyRefused, Unsupported
from kith.protocol.wire import Malformed, Reader

REQUIRED_CAPABILITIES: Final = 3

JudgeLeaf = Callable[[LeafNode, LeafNode | None], None]
"""Called with each new leaf and the one it replaces (None for an Add); raises when it may not be there."""


class Sent(NamedTuple):
    """A proposal and the leaf that made it; for inline ones, the committer."""

    proposal: Proposal
    sender: int


@dataclass(frozen=True, slots=True)
class Applied:
    """A group's public side after the proposals, before the path."""

    tree: Tree
    extensions: tuple[Extension, ...]
    added: tuple[tuple[int, KeyPackage], ...]
    removed: tuple[int, ...]
    psks: tuple[PskId, ...]
    needs_path: bool

    @property
    def new_leaves(self) -> frozenset[int]:
        """The indices of those who join."""
        return frozenset(index for index, _ in self.added)


def apply_proposals(  # noqa: PLR0917 - a commit's facts
    tree: Tree,
    extensions: tuple[Extension, ...],
    group_id: bytes,
    sent: Sequence[Sent],
    committer: int,
    judge_package: Callable[[KeyPackage], None],
    judge_leaf: JudgeLeaf,
) -> Applied:
    """Check these proposals against each other and the group, and apply them in the order of section 12.3."""
    member_at(tree, committer)
    by_kind = _sorted(sent)
    extensions = _extensions(by_kind.extensions, extensions)
    touched = [item.sender for item in by_kind.updates] + [item.removed for item in by_kind.removes]
    if len(set(touched)) != len(touched) or committer in touched:
        raise Malformed("a commit changes one leaf twice, or its committer's own")
    for update in by_kind.updates:
        before = member_at(tree, update.sender)
        _check_update(update.leaf, before, group_id, update.sender)
        judge_leaf(update.leaf, before)
        tree = with_leaf_replaced(tree, update.sender, update.leaf)
    for remove in by_kind.removes:
        tree = with_leaf_removed(tree, remove.removed)
    added: list[tuple[int, KeyPackage]] = []
    for add in by_kind.adds:
        judge_package(add.key_package)
        for key in (add.key_package.init_key, add.key_package.leaf.encryption_key):
            check_public_key(key)
        judge_leaf(add.key_package.leaf, None)
        tree, index = with_leaf_added(tree, add.key_package.leaf)
        added.append((index, add.key_package))
    if len({package.init_key for _, package in added}) != len(added):
        raise Malformed("a commit adds one key package twice")
    check_keys_unique(tree)
    if by_kind.extensions:
        check_leaves((leaf for _, leaf in leaves_of(tree)), extensions)
    else:  # those who stayed were able already
        check_leaves((*(update.leaf for update in by_kind.updates), *(one.leaf for _, one in added)), extensions)
    check_identities(tree)
    return Applied(
        tree=tree,
        extensions=extensions,
        added=tuple(added),
        removed=tuple(item.removed for item in by_kind.removes),
        psks=tuple(by_kind.psks),
        needs_path=not sent or bool(by_kind.updates or by_kind.removes or by_kind.extensions),
    )


class _Updating(NamedTuple):
    leaf: LeafNode
    sender: int


class _ByKind(NamedTuple):
    extensions: list[GroupContextExtensions]
    updates: list[_Updating]
    removes: list[Remove]
    adds: list[Add]
    psks: list[PskId]


def _sorted(sent: Sequence[Sent]) -> _ByKind:
    kinds = _ByKind([], [], [], [], [])
    for proposal, sender in sent:
        match proposal:
            case GroupContextExtensions():
                kinds.extensions.append(proposal)
            case Update(leaf):
                kinds.updates.append(_Updating(leaf, sender))
            case Remove():
                kinds.removes.append(proposal)
            case Add():
                kinds.adds.append(proposal)
            case PreSharedKey(psk):
                kinds.psks.append(psk)
            case ReInit() | ExternalInit():
                raise Unsupported(f"a commit with a proposal of type {type(proposal).__name__} is not accepted")
            case _:  # pragma: no cover - mypy proves that there is no other
                assert_never(proposal)
    if len(set(kinds.psks)) != len(kinds.psks):
        raise Malformed("a commit injects one pre-shared key twice")
    return kinds


def _extensions(proposed: list[GroupContextExtensions], before: tuple[Extension, ...]) -> tuple[Extension, ...]:
    if len(proposed) > 1:
        raise Malformed("a commit sets the group's extensions twice")
    return proposed[0].extensions if proposed else before


def _check_update(leaf: LeafNode, before: LeafNode, group_id: bytes, index: int) -> None:
    if leaf.source != SOURCE_UPDATE:
        raise Malformed("the leaf of an update is of another source")
    if leaf.encryption_key == before.encryption_key:
        raise Malformed("an update keeps its key")
    check_public_key(leaf.encryption_key)
    if not leaf.verify_signature(group_id, index):
        raise BadSignature("the leaf of an update is not signed by its key")


def check_members(tree: Tree, extensions: tuple[Extension, ...]) -> None:
    """Every leaf is able to do what the group needs, and of another identity than the others."""
    check_leaves((leaf for _, leaf in leaves_of(tree)), extensions)
    check_identities(tree)


def check_identities(tree: Tree) -> None:
    """No device stands in the tree twice."""
    leaves = leaves_of(tree)
    if len({leaf.identity for _, leaf in leaves}) != len(leaves):
        raise PolicyRefused("a device would be in the group twice")


def check_leaves(leaves: Iterable[LeafNode], extensions: tuple[Extension, ...]) -> None:
    """These leaves are of suite 1 and basic, and able to do what the group uses and requires."""
    required = next((one.data for one in extensions if one.type == REQUIRED_CAPABILITIES), None)
    needed = _required(required) if required is not None else ((), (), ())
    for leaf in leaves:
        able = leaf.capabilities
        if not leaf.covers_suite() or not able.covers(extensions):
            raise PolicyRefused("a member does not support what the group uses")
        lists = zip(needed, (able.extensions, able.proposals, able.credentials), strict=True)
        if not all(set(wanted) <= set(have) for wanted, have in lists):
            raise PolicyRefused("a member does not support what the group requires")


def _required(data: bytes) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """RequiredCapabilities (section 7.2): what is not implied for everybody."""
    reader = Reader(data)
    extensions, proposals, credentials = (read_numbers(reader) for _ in range(3))
    reader.done()
    return (
        tuple(one for one in extensions if one > LAST_DEFAULT_EXTENSION),
        tuple(one for one in proposals if one > LAST_DEFAULT_PROPOSAL),
        credentials,
    )
