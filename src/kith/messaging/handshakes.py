"""What a commit does to a room's group, and whether it may (standards of the MLS page, section 4). Pure.

`read` is for before the flow: strict decoding, signatures, proposals, the tree, transcript, GroupInfo and Welcome, all
by the observer of `protocol.mls`, which holds a group's public side and no secret. What is left needs facts of the
accepting transaction, and `judge` decides it there: which key packages were issued, who belongs to the room in which
role, which devices are registered, whose leaves are due to go. Membership tag, confirmation tag and encrypted path
secrets are for members to check (RFC 9420, section 12.4.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from kith.ledger.decision import ALLOW, Decision, refuse
from kith.protocol.identity import Identity
from kith.protocol.mls import observer
from kith.protocol.mls.engine import Member as Leaf
from kith.protocol.mls.framing import parse_commit
from kith.protocol.mls.key_package import KeyPackage
from kith.protocol.mls.refusals import BadSignature, PolicyRefused, Unsupported
from kith.protocol.uris import parse_uri
from kith.protocol.wire import Malformed


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
    """The epoch that the commit ends: the base on which it was verified."""
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


class Flawed(Malformed):
    """A commit that breaks one of the server's own rules; `rule` names it."""

    def __init__(self, rule: str, because: str) -> None:
        super().__init__(because)
        self.rule = rule


def group_id_of(room: str) -> bytes:
    """The 16 bytes of the room's UUID."""
    return bytes.fromhex(room.replace("-", ""))


def rule_of(flaw: Malformed) -> str:
    """The rule that a refused commit broke, by which its decision is found."""
    match flaw:
        case Flawed(rule=rule):
            return rule
        case BadSignature():
            return "commit-signature"
        case Unsupported():
            return "commit-unsupported"
        case PolicyRefused():
            return "commit-policy"
        case _:
            return "commit-consistency"


def epoch_of(commit: bytes) -> int:
    """The epoch that a commit claims to end; Malformed when it is no commit."""
    return parse_commit(commit).epoch


def read(submitted: Submitted, *, server: str, room: str, device: str, previous: bytes | None, now_s: int) -> Handshake:
    """Checks 1 to 5 and 9 to 12 on a commit of this device; Malformed, with a sentence, when one fails.

    `previous` is the room's stored GroupInfo, None before the first commit. Epochs are compared again in the flow.
    """
    header = parse_commit(submitted.commit)
    if header.group_id != group_id_of(room):
        raise Flawed("commit-room", "the commit is of another group than this room's")
    parts = (submitted.commit, submitted.group_info, submitted.welcome)
    if previous is None:
        after, seen = observer.begin(*parts, now_s=now_s)
    else:
        after, seen = observer.resume(previous).follow(*parts, now_s=now_s)
    if _member(seen.committer, server).device != device:
        raise Flawed("commit-device", "the commit was made by another device than the one that sent it")
    return Handshake(
        group_info=submitted.group_info,
        commit=submitted.commit,
        welcome=submitted.welcome,
        epoch=header.epoch,
        members=_members(after.members(), server),
        added={_device(package): package.ref for _, package in seen.added},
        removed=_members(seen.removed, server),
    )


def _members(leaves: Iterable[Leaf], server: str) -> dict[str, Member]:
    members = [_member(leaf, server) for leaf in leaves]
    found = {member.device: member for member in members}
    if len(found) != len(members):
        raise Flawed("commit-duplicate", "a device stands in the group twice")
    return found


def _member(leaf: Leaf, server: str) -> Member:
    identity = Identity.decode(leaf.identity)
    host, _, account = parse_uri(identity.account_uri)
    if host != server:
        raise Flawed("commit-roster", "a leaf is of another server")
    return Member(account, parse_uri(identity.device_uri)[2], leaf.signature_key)


def _device(package: KeyPackage) -> str:
    return parse_uri(Identity.decode(package.identity).device_uri)[2]


class Circumstances(NamedTuple):
    """What the accepting transaction knows when a commit asks to be accepted."""

    sender: str
    """The committer's account."""
    closed: AbstractSet[str]
    """Accounts that belong to the room and have never been in its group, when her role does not bring people in."""
    begins: bool
    """Whether her role lets her make the group's first commit."""
    registered: Mapping[str, Member]
    """Every registered device of every account that belongs to the room, with its certified key."""
    before: Mapping[str, str]
    """The account of every leaf before the commit, by device."""
    due: AbstractSet[str]
    """Devices whose leaf must go: signed out, or of an account that left, was removed or banned."""
    granted: Mapping[str, bytes]
    """For each device, the key package issued for it to the committing device for this room."""
    addable: AbstractSet[str] = frozenset()
    """Devices without a leaf for which the committer could have had a key package."""
    most: int = 256
    """Leaves that a group may have."""


def judge(handshake: Handshake, known: Circumstances) -> Decision:
    """Checks 6 to 9: whether this commit may happen. The sentences are for the committer, who sees all of this."""
    return (
        _packages(handshake, known)
        or _departures(handshake, known)
        or _remaining(handshake, known)
        or _arrivals(handshake, known)
        or ALLOW
    )


def _packages(handshake: Handshake, known: Circumstances) -> Decision | None:
    for device, ref in handshake.added.items():
        if known.granted.get(device) != ref:
            because = "The commit adds a key package that was not issued to this device for this room."
            return refuse("commit-package", because)
    return None


def _departures(handshake: Handshake, known: Circumstances) -> Decision | None:
    """Every due Remove, and besides those only own devices and such as are registered no more with their key."""
    for device in known.due:
        if device not in handshake.removed:
            because = "The commit keeps a device that has to leave; remove every device that is not registered here."
            return refuse("commit-due", because)
    for device, member in handshake.removed.items():
        if device in known.due or member.account == known.sender:
            continue
        if known.registered.get(device) == member:
            return refuse("commit-remove", "The commit removes a device of somebody else that is still registered.")
    return None


def _remaining(handshake: Handshake, known: Circumstances) -> Decision | None:
    for device, member in handshake.members.items():
        if known.registered.get(device) != member:
            because = "The group would hold a device that is not registered here; remove it in the same commit."
            return refuse("commit-roster", because)
    if len(handshake.members) > known.most:
        return refuse("commit-size", f"A group has at most {known.most} devices; this would make more.")
    return None


def _arrivals(handshake: Handshake, known: Circumstances) -> Decision | None:
    """Who comes in comes by somebody who may bring people, and with every device that could be added."""
    there = set(known.before.values())
    new = {member.account for member in handshake.members.values()} - there - {known.sender}
    if new & known.closed or not (known.before or known.begins):
        return refuse("commit-role", "Only an admin's device can bring somebody new into this group.")
    for device in known.addable - handshake.members.keys():
        member = known.registered.get(device)
        if member is not None and member.account in new:
            because = "The commit brings somebody in without all of their devices; add the others too."
            return refuse("commit-whole", because)
    return None
