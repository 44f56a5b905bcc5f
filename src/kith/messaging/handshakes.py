"""What a commit does to a room's group, read and checked as far as the public parts allow. Pure.

`read` accepts only a commit whose public consequences are exactly those of its proposals: the GroupInfo that comes
with it must be the previous tree with these Removes, these Adds and the committer's new leaf, one epoch later, signed
by the committer. What needs the server's own facts (who may, which key packages were issued, which devices are
registered) is `judge`. Tags and encrypted path secrets are for members to check (RFC 9420, section 12.4.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from kith.protocol.identity import Identity
from kith.protocol.mls.framing import CommitHeader, parse_commit
from kith.protocol.mls.group_info import GroupInfo, parse_group_info
from kith.protocol.mls.leaf_node import LeafNode
from kith.protocol.mls.ratchet_tree import leaves_of
from kith.protocol.mls.welcome import parse_welcome
from kith.protocol.uris import parse_uri
from kith.protocol.wire import Malformed, vector


class Member(NamedTuple):
    """A leaf of the group by whom it stands for."""

    account: str
    device: str
    mls_key: bytes


class Handshake(NamedTuple):
    """A commit whose public consequences were checked against the group before it."""

    group_info: bytes
    commit: bytes
    welcome: bytes | None
    epoch: int
    """The epoch that the commit ends."""
    members: dict[str, Member]
    """Every leaf afterwards, by device."""
    added: dict[str, bytes]
    """The KeyPackageRef by which each new device was added. The creator's own device is not among them."""
    removed: dict[str, Member]
    """The leaves that this commit removes, by device; one may be added again by the same commit."""


class Submitted(NamedTuple):
    """The three MLSMessages of a COMMIT frame."""

    commit: bytes
    welcome: bytes | None
    group_info: bytes


def group_id_of(room: str) -> bytes:
    """The 16 bytes of the room's UUID."""
    return UUID(room).bytes


def read(submitted: Submitted, *, server: str, room: str, device: str, previous: bytes | None) -> Handshake:
    """Read a commit of this device; Malformed, with a sentence, when its parts do not fit each other.

    `previous` is the room's stored GroupInfo, None before the first commit. Epochs are compared in the flow: a
    commit of another epoch than the stored one is not read further than its header by the caller.
    """
    header = parse_commit(submitted.commit)
    info = parse_group_info(submitted.group_info)
    if header.group_id != group_id_of(room) or info.group_id != header.group_id:
        raise Malformed("the commit is of another group than this room's")
    _check_info(header, info)
    before = None if previous is None else parse_group_info(previous)
    old = [] if before is None else leaves_of(before.tree)
    _check_authorship(header, before, info)
    _check_leaves(header, info, dict(old), first=before is None)
    _check_welcome(header, submitted.welcome)
    members = _members(info, server)
    sender = info.leaf(header.sender_leaf)
    if sender is None or _member(sender, server).device != device:
        raise Malformed("the commit was made by another device than the one that sent it")
    before_members = {index: _member(leaf, server) for index, leaf in old}
    return Handshake(
        group_info=submitted.group_info,
        commit=submitted.commit,
        welcome=submitted.welcome,
        epoch=header.epoch,
        members=members,
        added={_member(package.leaf, server).device: package.ref for package in header.adds},
        removed={before_members[index].device: before_members[index] for index in header.removes},
    )


def epoch_of(commit: bytes) -> int:
    """The epoch that a commit claims to end; Malformed when it is no commit."""
    return parse_commit(commit).epoch


def _check_info(header: CommitHeader, info: GroupInfo) -> None:
    if info.epoch != header.epoch + 1:
        raise Malformed("the GroupInfo is not of the epoch that the commit begins")
    if info.signer != header.sender_leaf or not info.verify_signature():
        raise Malformed("the GroupInfo is not signed by the device that made the commit")
    if not info.tree_hash_matches():
        raise Malformed("the ratchet tree is not the one that the GroupInfo commits to")


def _check_authorship(header: CommitHeader, before: GroupInfo | None, info: GroupInfo) -> None:
    """The committer's signature over the commit, and the transcript that it continues.

    The first commit is signed in the GroupContext of epoch 0, which only its creator knew; the GroupInfo's
    signature by the same leaf stands for it.
    """
    if before is None:
        if header.epoch != 0 or header.sender_leaf != 0:
            raise Malformed("the first commit of a group is made by its creator at epoch 0")
        return
    sender = before.leaf(header.sender_leaf)
    if sender is None or not header.verify_signature(sender.signature_key, before.group_context):
        raise Malformed("the commit is not signed by a member of the group")
    _check_transcript(header, before, info)


def _check_transcript(header: CommitHeader, before: GroupInfo, info: GroupInfo) -> None:
    """confirmed_transcript_hash of the new epoch (RFC 9420 section 8.2)."""
    interim = hashlib.sha256(before.confirmed_transcript_hash + vector(before.confirmation_tag)).digest()
    if hashlib.sha256(interim + header.transcript_input()).digest() != info.confirmed_transcript_hash:
        raise Malformed("the GroupInfo does not continue the group's transcript")


def _check_leaves(header: CommitHeader, info: GroupInfo, old: dict[int, LeafNode], *, first: bool) -> None:
    """The tree afterwards is the tree before with these proposals and the committer's new leaf, and nothing else."""
    path = header.path
    if path is None and (header.removes or not header.adds):
        raise Malformed("this commit needs an update path")
    if first:
        creator = info.leaf(0)
        if creator is None or not creator.verify_signature(info.group_id, 0):
            raise Malformed("the creator's leaf is missing or not signed by its device")
        old = {0: creator}
    expected = {index: leaf.encoded for index, leaf in old.items()}
    for index in header.removes:
        if index == header.sender_leaf or expected.pop(index, None) is None:
            raise Malformed("the commit removes itself, or a leaf that is not there")
    for package in header.adds:
        expected[_leftmost_free(expected)] = package.leaf.encoded
    if path is not None:
        if not path.leaf.verify_signature(info.group_id, header.sender_leaf):
            raise Malformed("the committer's new leaf is not signed by its device")
        expected[header.sender_leaf] = path.leaf.encoded
    if {index: leaf.encoded for index, leaf in leaves_of(info.tree)} != expected:
        raise Malformed("the GroupInfo shows other members than the commit leaves")


def _leftmost_free(taken: Mapping[int, bytes]) -> int:
    index = 0
    while index in taken:
        index += 1
    return index


def _check_welcome(header: CommitHeader, welcome: bytes | None) -> None:
    refs = [package.ref for package in header.adds]
    if len(set(refs)) != len(refs):
        raise Malformed("the commit adds one key package twice")
    if (welcome is None) != (not refs):
        raise Malformed("a Welcome goes with a commit that adds somebody, and with no other")
    if welcome is not None and set(parse_welcome(welcome).refs) != set(refs):
        raise Malformed("the Welcome is for other devices than the commit adds")


def _members(info: GroupInfo, server: str) -> dict[str, Member]:
    leaves = leaves_of(info.tree)
    members = {member.device: member for member in (_member(leaf, server) for _, leaf in leaves)}
    keys = {leaf.signature_key for _, leaf in leaves} | {leaf.encryption_key for _, leaf in leaves}
    if len(members) != len(leaves) or len(keys) != 2 * len(leaves):
        raise Malformed("a device or a key stands in the group twice")
    return members


def _member(leaf: LeafNode, server: str) -> Member:
    identity = Identity.decode(leaf.identity)
    host, _, account = parse_uri(identity.account_uri)
    if host != server:
        raise Malformed("a leaf is of another server")
    return Member(account, parse_uri(identity.device_uri)[2], leaf.signature_key)


def judge(
    handshake: Handshake,
    *,
    sender: str,
    registered: Mapping[str, Member],
    granted: Mapping[str, bytes],
) -> str | None:
    """Why this commit may not happen, as a sentence, or None. Facts are of the accepting transaction.

    `sender`: the committer's account. `registered`: every registered device of the room's two accounts with its
    certified key. `granted`: for each device, the key package issued for it to this device for this room.
    """
    for device, ref in handshake.added.items():
        if granted.get(device) != ref:
            return "The commit adds a key package that was not issued to this device for this room."
    for device, member in handshake.removed.items():
        if member.account != sender and registered.get(device) == member:
            return "The commit removes a device of somebody else that is still registered."
    for device, member in handshake.members.items():
        if registered.get(device) != member:
            return "The group would hold a device that is not registered; remove it in the same commit."
    return None
