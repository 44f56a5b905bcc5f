"""A group as the server sees it: the public tree and the GroupContext, no secrets (observer mode).

`PublicGroup.follow` checks a commit as far as that reaches: signature, proposals, path keys and parent hashes, tree
hash and transcript, GroupInfo and Welcome. Membership tag, confirmation tag and encrypted path secrets are for members
to check. What needs the server's own facts (who may, which key packages were issued) is the caller's.
"""

from dataclasses import dataclass, replace

from kith.protocol.mls import treekem
from kith.protocol.mls.codec import KITH, Dialect
from kith.protocol.mls.commit import Applied, Sent, apply_proposals, check_identities, check_leaves, check_members
from kith.protocol.mls.crypto import same
from kith.protocol.mls.engine import Member
from kith.protocol.mls.framing import parse_commit, parse_public_message
from kith.protocol.mls.group import members
from kith.protocol.mls.group_info import GroupInfo, parse_group_info
from kith.protocol.mls.key_package import MAX_LIFETIME_S, KeyPackage
from kith.protocol.mls.key_schedule import GroupContext, confirmed_transcript_hash, interim_transcript_hash
from kith.protocol.mls.leaf_node import LeafNode
from kith.protocol.mls.proposals import Commit, ProposalRef, UpdatePath
from kith.protocol.mls.public_message import Verified, verify_public
from kith.protocol.mls.ratchet_tree import (
    Tree,
    check_keys_unique,
    check_tree,
    leaf_at,
    leaves_of,
    member_at,
    tree_hashes,
)
from kith.protocol.mls.refusals import BadSignature, PolicyRefused, TooOld, WrongEpoch
from kith.protocol.mls.welcome import parse_welcome
from kith.protocol.wire import Malformed


@dataclass(frozen=True, slots=True)
class Observed:
    """What an accepted commit did."""

    committer: Member
    added: tuple[tuple[int, KeyPackage], ...]
    removed: tuple[Member, ...]
    authenticated_data: bytes


@dataclass(frozen=True, slots=True)
class PublicGroup:
    """One epoch of a group without its secrets. Made by `observe` and `follow`, which verify it."""

    context: GroupContext
    tree: Tree
    confirmation_tag: bytes

    def members(self) -> tuple[Member, ...]:
        """The leaves in order."""
        return members(self.tree)

    def follow(
        self, commit: bytes, group_info: bytes, welcome: bytes | None, *, now_s: int, dialect: Dialect = KITH
    ) -> tuple["PublicGroup", Observed]:
        """The group after a commit that was sent with this GroupInfo and Welcome; refused when they do not agree."""
        verified, committer = self._verified(commit, dialect)
        body = verified.content.body
        if not isinstance(body, Commit):
            raise Malformed("this public message is not a commit")
        applied = self._applied(body, committer.leaf, now_s)
        _check_welcome(welcome, {package.ref for _, package in applied.added})
        if body.path is None and applied.needs_path:
            raise Malformed("this commit needs an update path")
        tree, hashes = self._merged(applied, body.path, committer.leaf)
        after = self._next(verified, applied, hashes[len(tree) // 2])
        info = parse_group_info(group_info)
        _check_info(info, after, committer)
        if verified.confirmation_tag is None or not same(verified.confirmation_tag, info.confirmation_tag):
            raise Malformed("the GroupInfo does not carry the commit's confirmation tag")
        gone = set(applied.removed)
        removed = tuple(member for member in self.members() if member.leaf in gone)
        observed = Observed(committer, applied.added, removed, verified.content.authenticated_data)
        return PublicGroup(after, tree, info.confirmation_tag), observed

    def _verified(self, commit: bytes, dialect: Dialect) -> tuple[Verified, Member]:
        message = parse_public_message(commit, dialect)
        content = message.content
        if content.group_id != self.context.group_id:
            raise PolicyRefused("a commit of another group")
        if content.epoch > self.context.epoch:
            raise WrongEpoch("a commit of an epoch that is not here yet")
        if content.epoch < self.context.epoch:
            raise TooOld("a commit of an epoch that is over")
        leaf = member_at(self.tree, content.sender_leaf)
        verified = verify_public(
            message, membership_key=None, group_context=self.context.encode(), signature_key=leaf.signature_key
        )
        return verified, Member(content.sender_leaf, leaf.identity, leaf.signature_key)

    def _applied(self, body: Commit, committer: int, now_s: int) -> Applied:
        sent: list[Sent] = []
        for item in body.proposals:
            if isinstance(item, ProposalRef):
                raise Malformed("a commit refers to a proposal that is not here")
            sent.append(Sent(item, committer))

        def judge_package(package: KeyPackage) -> None:
            package.verify(now_s, lifetime_s=MAX_LIFETIME_S)

        group_id, extensions = self.context.group_id, self.context.extensions
        return apply_proposals(self.tree, extensions, group_id, sent, committer, judge_package, _same_device)

    def _merged(self, applied: Applied, path: UpdatePath | None, committer: int) -> tuple[Tree, tuple[bytes, ...]]:
        if path is None:
            return applied.tree, tuple(tree_hashes(applied.tree))
        _same_device(path.leaf, leaf_at(self.tree, committer))
        if not path.leaf.verify_signature(self.context.group_id, committer):
            raise BadSignature("the new leaf of a commit is not signed by its key")
        check_leaves((path.leaf,), applied.extensions)
        merged = treekem.merge_path(applied.tree, committer, path, new_leaves=applied.new_leaves)
        check_keys_unique(merged.tree)
        check_identities(merged.tree)
        return merged.tree, merged.hashes

    def _next(self, verified: Verified, applied: Applied, tree_hash: bytes) -> GroupContext:
        interim = interim_transcript_hash(self.context.confirmed_transcript_hash, self.confirmation_tag)
        confirmed = confirmed_transcript_hash(interim, verified.transcript_input())
        provisional = self.context.next(tree_hash=tree_hash, extensions=applied.extensions)
        return replace(provisional, confirmed_transcript_hash=confirmed)


def observe(group_info: bytes) -> PublicGroup:
    """The group that a GroupInfo with its ratchet tree shows, its signatures and hashes verified."""
    info = parse_group_info(group_info)
    if not info.verify_signature():
        raise BadSignature("a GroupInfo is not signed by a member of its group")
    if check_tree(info.tree, info.group_id)[len(info.tree) // 2] != info.tree_hash:
        raise Malformed("the ratchet tree is not the one that the GroupInfo commits to")
    check_members(info.tree, info.extensions)
    return _shown(info)


def begin(commit: bytes, group_info: bytes, welcome: bytes | None, *, now_s: int) -> tuple[PublicGroup, Observed]:
    """A group by its first commit: its creator at leaf 0, exactly the Adds behind it, and nobody else.

    The commit is signed in the GroupContext of epoch 0, which only its creator knew; the signature of the same leaf on
    the GroupInfo, whose tree is checked as a joiner checks it, stands for it.
    """
    header = parse_commit(commit)
    if header.epoch != 0 or header.sender_leaf != 0 or header.removes:
        raise Malformed("the first commit of a group is made by its creator at epoch 0")
    if header.path is None and not header.adds:
        raise Malformed("this commit needs an update path")
    group, info = observe(group_info), parse_group_info(group_info)
    if (group.context.group_id, group.context.epoch, info.signer) != (header.group_id, 1, 0):
        raise Malformed("the GroupInfo does not show the group that the commit leads to")
    if not same(header.confirmation_tag, info.confirmation_tag):
        raise Malformed("the GroupInfo does not carry the commit's confirmation tag")
    added = tuple(enumerate(header.adds, start=1))
    for _, package in added:
        package.verify(now_s, lifetime_s=MAX_LIFETIME_S)
    (first, creator), *others = leaves_of(group.tree)
    expected = [(index, package.leaf.encoded) for index, package in added]
    if first != 0 or [(index, leaf.encoded) for index, leaf in others] != expected:
        raise Malformed("the GroupInfo shows other members than the commit leaves")
    if header.path is not None and header.path.leaf.encoded != creator.encoded:
        raise Malformed("the GroupInfo does not show the new leaf of the commit")
    _check_welcome(welcome, {package.ref for package in header.adds})
    committer = Member(0, creator.identity, creator.signature_key)
    return group, Observed(committer, added, (), header.authenticated_data)


def resume(group_info: bytes) -> PublicGroup:
    """The group that a stored GroupInfo shows: one that `observe` or `follow` verified when it came. No signatures."""
    return _shown(parse_group_info(group_info))


def _shown(info: GroupInfo) -> PublicGroup:
    context = GroupContext(info.group_id, info.epoch, info.tree_hash, info.confirmed_transcript_hash, info.extensions)
    return PublicGroup(context, info.tree, info.confirmation_tag)


def _same_device(leaf: LeafNode, before: LeafNode | None) -> None:
    if before is not None and leaf.identity != before.identity:
        raise PolicyRefused("a leaf changes the device that it stands for")


def _check_welcome(welcome: bytes | None, refs: set[bytes]) -> None:
    if (welcome is None) != (not refs):
        raise Malformed("a Welcome goes with a commit that adds somebody, and with no other")
    if welcome is not None and set(parse_welcome(welcome).refs) != refs:
        raise Malformed("the Welcome is for other devices than the commit adds")


def _check_info(info: GroupInfo, after: GroupContext, committer: Member) -> None:
    if info.signer != committer.leaf or not info.verify_signature():
        raise BadSignature("the GroupInfo is not signed by the device that made the commit")
    if info.group_context != after.encode():
        raise Malformed("the GroupInfo does not show the group that the commit leads to")
    if not info.tree_hash_matches():
        raise Malformed("the ratchet tree is not the one that the GroupInfo commits to")
