"""A member's view of one group (RFC 9420 sections 8, 11, 12 and 12.4): created, joined, changed, read.

A `Group` is a value. Every function returns another one, or raises and leaves everything as it was. It holds the
secrets of its epoch, its own HPKE keys and the positions of all ratchets, but no signature key.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from kith.protocol.mls import key_schedule, private_message, treekem
from kith.protocol.mls.codec import KITH, Dialect, Extension
from kith.protocol.mls.commit import Applied, Sent, apply_proposals, check_identities, check_leaves, check_members
from kith.protocol.mls.crypto import HASH, derive_key_pair, same
from kith.protocol.mls.engine import Authenticate, Member, Random, RosterChange, RosterPolicy, Settings
from kith.protocol.mls.framing import (
    APPLICATION,
    MAX_COMMIT,
    FramedContent,
    framed_content,
    parse_private,
    parse_public_message,
)
from kith.protocol.mls.group_info import (
    RATCHET_TREE,
    SignedGroupInfo,
    group_info_fields,
    group_info_message,
    read_group_info,
)
from kith.protocol.mls.key_package import KeyPackage
from kith.protocol.mls.key_schedule import ZERO, EpochSecrets, GroupContext, NewEpoch, PskId
from kith.protocol.mls.leaf_node import (
    LeafNode,
    from_commit,
    leaf_fields,
    leaf_place,
)
from kith.protocol.mls.private_message import REUSE_GUARD, Epoch
from kith.protocol.mls.proposals import Commit, Proposal, ProposalRef, UpdatePath, proposal_ref
from kith.protocol.mls.public_message import Verified, protect_public, sign_content, verify_public
from kith.protocol.mls.ratchet_tree import (
    Tree,
    check_keys_unique,
    check_tree,
    encode_tree,
    leaf_at,
    leaf_count,
    leaves_of,
    member_at,
    read_tree,
    tree_hashes,
)
from kith.protocol.mls.refusals import BadSignature, BadTag, PolicyRefused, TooOld, Unsupported, WrongEpoch
from kith.protocol.mls.secret_tree import SecretTree
from kith.protocol.mls.suite import WireFormat
from kith.protocol.mls.welcome import GroupSecrets, make_welcome, open_group_info, open_group_secrets, parse_welcome
from kith.protocol.signing import Signer, sign_with_label
from kith.protocol.wire import Malformed, Reader, vector

MAX_PAST_EPOCHS: Final = 4
MAX_CACHED_PROPOSALS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the caller decides: who is who, which roster changes may happen, and the engine's settings."""

    authenticate: Authenticate
    roster: RosterPolicy
    settings: Settings = field(default_factory=Settings)
    pre_shared_key: Callable[[PskId], bytes | None] = lambda _psk: None
    """The pre-shared key with this id. Kith's groups use none, so by default there is none."""

    @property
    def dialect(self) -> Dialect:
        """How much of the RFC is read."""
        settings = self.settings
        if settings.proposals == KITH.proposals and not settings.by_reference:
            return KITH
        return Dialect(settings.proposals, by_reference=settings.by_reference)

    def __repr__(self) -> str:
        """No key."""
        return "Rules(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """What making something takes: the signature key and randomness."""

    signer: Signer
    random: Random

    def __repr__(self) -> str:
        """No key."""
        return "Hand(…)"


class PastEpoch(NamedTuple):
    """An epoch that messages may still come from."""

    number: int
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Pending:
    """Our commit that the server has not yet accepted, and the group after it."""

    commit: bytes
    welcome: bytes | None
    group_info: bytes
    after: "Group"

    def __repr__(self) -> str:
        """No secret."""
        return "Pending(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One epoch of a group, as one member knows it."""

    context: GroupContext
    encoded_context: bytes
    tree: Tree
    own_leaf: int
    keys: Mapping[int, bytes]
    """Our HPKE private keys by place: the leaf's, and those of the nodes above whose secrets we know."""
    secrets: EpochSecrets
    secret_tree: SecretTree
    confirmation_tag: bytes
    interim_transcript_hash: bytes
    past: tuple[PastEpoch, ...] = ()
    proposals: Mapping[bytes, Sent] = field(default_factory=dict)
    """Proposals of this epoch that travelled on their own, by their ProposalRef."""
    pending: Pending | None = None
    active: bool = True
    revision: int = 0

    def __repr__(self) -> str:
        """Which group and epoch, never a secret."""
        return f"Group({self.context.group_id.hex()}, epoch {self.context.epoch}, leaf {self.own_leaf})"

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self.context.epoch

    def members(self) -> tuple[Member, ...]:
        """The leaves in order."""
        return members(self.tree)

    def reading(self) -> Epoch:
        """What reading messages of this epoch takes."""
        return Epoch(self.encoded_context, self.secrets.sender_data, self.secret_tree, self.tree)


def members(tree: Tree) -> tuple[Member, ...]:
    """The leaves of a tree in order."""
    return tuple(_member(index, leaf) for index, leaf in leaves_of(tree))


def _member(index: int, leaf: LeafNode) -> Member:
    return Member(index, leaf.identity, leaf.signature_key)


# --- beginning ------------------------------------------------------------------------------------------------------


def create(
    group_id: bytes,
    leaf: LeafNode,
    leaf_private: bytes,
    *,
    random: Random,
    rules: Rules,
    extensions: tuple[Extension, ...] = (),
) -> Group:
    """A group of one, at epoch 0 (section 11). `leaf` is ours, of source key_package."""
    if not 1 <= len(group_id) <= key_schedule.MAX_GROUP_ID:
        raise Malformed("a group id has 1 to 255 bytes")
    _check_group_extensions(extensions, rules)
    tree: Tree = (leaf,)
    context = GroupContext(group_id, 0, tree_hashes(tree)[0], b"", extensions)
    return _begun(context, tree, 0, {0: leaf_private}, key_schedule.epoch_from_secret(random(HASH)))


def _begun(context: GroupContext, tree: Tree, own_leaf: int, keys: Mapping[int, bytes], new: NewEpoch) -> Group:
    tag = new.secrets.confirmation_tag(context.confirmed_transcript_hash)
    return Group(
        context=context,
        encoded_context=context.encode(),
        tree=tree,
        own_leaf=own_leaf,
        keys=keys,
        secrets=new.secrets,
        secret_tree=SecretTree.of(new.encryption, leaf_count(tree)),
        confirmation_tag=tag,
        interim_transcript_hash=key_schedule.interim_transcript_hash(context.confirmed_transcript_hash, tag),
    )


class OwnPackage(NamedTuple):
    """A key package of ours with its private keys."""

    package: KeyPackage
    init_private: bytes
    leaf_private: bytes

    def __repr__(self) -> str:
        """No key."""
        return f"OwnPackage({self.package.ref.hex()[:8]}…)"


def join(welcome: bytes, own: OwnPackage, rules: Rules, *, ratchet_tree: bytes | None = None) -> Group:
    """The group that a Welcome leads to (section 12.4.3.1). Nothing of it is believed before it is verified."""
    parsed = parse_welcome(welcome)
    secrets = open_group_secrets(parsed, own.package.ref, own.init_private)
    psk = _psk_secret(secrets.psks, rules)
    info = read_group_info(Reader(open_group_info(parsed, key_schedule.welcome_secret(secrets.joiner, psk))))
    tree = _joined_tree(info, ratchet_tree)
    _check_joined(info, tree, rules)
    own_leaf = _own_leaf(tree, own.package.leaf)
    new = key_schedule.epoch_from_joiner(secrets.joiner, psk, info.group_context)
    keys = {2 * own_leaf: own.leaf_private}
    if secrets.path_secret is not None:
        places = treekem.signer_path(tree, info.signer, own_leaf) if info.signer != own_leaf else []
        keys |= treekem.checked_climb(tree, secrets.path_secret, places).private
    group = _begun(info.context, tree, own_leaf, keys, new)
    if not same(group.confirmation_tag, info.confirmation_tag):
        raise BadTag("a Welcome leads to a group that its secrets do not belong to")
    return group


def _joined_tree(info: SignedGroupInfo, ratchet_tree: bytes | None) -> Tree:
    tree = info.tree() if ratchet_tree is None else read_tree(ratchet_tree)
    if tree is None:
        raise Malformed("a Welcome comes without the ratchet tree")
    return tree


def _check_joined(info: SignedGroupInfo, tree: Tree, rules: Rules) -> None:
    signer = member_at(tree, info.signer)
    if not info.verify_signature(signer.signature_key):
        raise BadSignature("a Welcome is not signed by a member of the group")
    _check_size(tree, rules)
    if check_tree(tree, info.context.group_id)[len(tree) // 2] != info.context.tree_hash:
        raise Malformed("the ratchet tree is not the one that the group has")
    _check_group_extensions(info.context.extensions, rules)
    check_members(tree, info.context.extensions)
    for _, leaf in leaves_of(tree):
        _check_known(leaf, rules)
    everybody = members(tree)
    committer = _member(info.signer, signer)
    _check_roster(RosterChange(info.context.group_id, committer, everybody, (), everybody, own=True), rules)


def _own_leaf(tree: Tree, own: LeafNode) -> int:
    for index, leaf in leaves_of(tree):
        if leaf.encoded == own.encoded:
            return index
    raise Malformed("a Welcome leads to a group without this device")


def _psk_secret(psks: Sequence[PskId], rules: Rules) -> bytes:
    found: list[tuple[PskId, bytes]] = []
    for one in psks:
        psk = rules.pre_shared_key(one)
        if psk is None:
            raise Unsupported("a pre-shared key (psk) is not accepted")
        found.append((one, psk))
    return key_schedule.psk_secret(found)


# --- checks that the caller decides ---------------------------------------------------------------------------------


def _check_known(leaf: LeafNode, rules: Rules) -> None:
    if not rules.authenticate(leaf.identity, leaf.signature_key):
        raise PolicyRefused("a device of the group does not match the directory")


def _check_roster(change: RosterChange, rules: Rules) -> None:
    refusal = rules.roster(change)
    if refusal is not None:
        raise PolicyRefused(refusal)


def _check_size(tree: Tree, rules: Rules) -> None:
    if len(leaves_of(tree)) > rules.settings.leaves:
        raise PolicyRefused(f"a group has at most {rules.settings.leaves} devices")


def _check_group_extensions(extensions: tuple[Extension, ...], rules: Rules) -> None:
    for one in extensions:
        if one.type not in rules.settings.extensions:
            raise Unsupported(f"a group extension of type {one.type} is not accepted")


def active(group: Group) -> Group:
    """The group, unless this device was removed from it."""
    if not group.active:
        raise PolicyRefused("this device is no longer in the group")
    return group


def _judge_leaf(rules: Rules) -> Callable[[LeafNode, LeafNode | None], None]:
    def judge(leaf: LeafNode, before: LeafNode | None) -> None:
        if before is not None and leaf.identity != before.identity:
            raise PolicyRefused("a leaf changes the device that it stands for")
        _check_known(leaf, rules)

    return judge


def _applied(group: Group, sent: Sequence[Sent], committer: int, rules: Rules, *, now_s: int | None) -> Applied:
    def judge_package(package: KeyPackage) -> None:
        package.verify(now_s, lifetime_s=rules.settings.lifetime_s)

    applied = apply_proposals(
        group.tree, group.context.extensions, group.context.group_id, sent, committer, judge_package, _judge_leaf(rules)
    )
    _check_size(applied.tree, rules)
    if applied.extensions is not group.context.extensions:
        _check_group_extensions(applied.extensions, rules)
    return applied


class Roster(NamedTuple):
    """Who comes and who goes."""

    added: tuple[Member, ...]
    removed: tuple[Member, ...]


def _roster_change(group: Group, applied: Applied, committer: Member, rules: Rules, *, own: bool) -> Roster:
    added = tuple(_member(index, package.leaf) for index, package in applied.added)
    gone = set(applied.removed)
    removed = tuple(member for member in group.members() if member.leaf in gone)
    after = members(applied.tree)
    _check_roster(RosterChange(group.context.group_id, committer, added, removed, after, own=own), rules)
    return Roster(added, removed)


def own_member(group: Group) -> Member:
    """Our own leaf."""
    return _member(group.own_leaf, member_at(group.tree, group.own_leaf))


# --- committing -----------------------------------------------------------------------------------------------------


def commit(
    group: Group,
    proposals: Sequence[Proposal],
    *,
    authenticated_data: bytes,
    now_s: int,
    rules: Rules,
    hand: Hand,
    encrypted: bool = False,
) -> Group:
    """The group with a pending commit of these inline proposals, always with a path (section 12.4.1)."""
    active(group)
    if group.pending is not None:
        raise PolicyRefused("another commit of this device still waits for its answer")
    me = own_member(group)
    applied = _applied(group, [Sent(one, group.own_leaf) for one in proposals], group.own_leaf, rules, now_s=now_s)
    _roster_change(group, applied, me, rules, own=True)
    leaf_private, leaf_public = derive_key_pair(hand.random(HASH))
    made = treekem.new_path(
        applied.tree,
        group.own_leaf,
        path_secret=hand.random(HASH),
        sign_leaf=_leaf_signer(group, leaf_public, hand.signer),
    )
    provisional = group.context.next(tree_hash=made.hashes[len(made.tree) // 2], extensions=applied.extensions)
    path = treekem.encrypt_path(
        made, group_context=provisional.encode(), new_leaves=applied.new_leaves, random=hand.random
    )
    content = framed_content(
        group.context.group_id, group.epoch, group.own_leaf, authenticated_data, Commit(tuple(proposals), path)
    )
    wire_format = WireFormat.PRIVATE_MESSAGE if encrypted else WireFormat.PUBLIC_MESSAGE
    verified = Verified(
        wire_format, content, sign_content(wire_format, content, group.encoded_context, hand.signer), None
    )
    keys = _kept_keys(group, made.tree) | dict(made.secrets.private) | {2 * group.own_leaf: leaf_private}
    after, new = _next_epoch(group, provisional, made.tree, keys, verified, made.secrets.commit_secret, ZERO, rules)
    verified = replace(verified, confirmation_tag=after.confirmation_tag)
    info = _sign_group_info(after, hand.signer)
    welcome = _welcome(applied, made, info, new, hand.random) if applied.added else None
    group, message = _framed(group, verified, hand.random, rules)
    pending = Pending(message, welcome, group_info_message(info), replace(after, revision=group.revision + 2))
    return replace(group, pending=pending, revision=group.revision + 1)


def _leaf_signer(group: Group, leaf_public: bytes, signer: Signer) -> Callable[[bytes], bytes]:
    before = member_at(group.tree, group.own_leaf)

    def sign(parent_hash: bytes) -> bytes:
        fields = leaf_fields(
            encryption_key=leaf_public,
            signature_key=before.signature_key,
            identity=before.identity,
            capabilities=before.capabilities,
            source=from_commit(parent_hash),
            extensions=before.extensions,
        )
        tbs = fields + leaf_place(group.context.group_id, group.own_leaf)
        return fields + vector(sign_with_label(signer, "LeafNodeTBS", tbs))

    return sign


def _framed(group: Group, verified: Verified, random: Random, rules: Rules) -> tuple[Group, bytes]:
    if verified.wire_format == WireFormat.PUBLIC_MESSAGE:
        key = group.secrets.membership_key
        return group, protect_public(verified, membership_key=key, group_context=group.encoded_context)
    sealed = _seal(group, verified, random, rules)
    return replace(group, secret_tree=sealed.secret_tree), sealed.message


def _seal(group: Group, verified: Verified, random: Random, rules: Rules) -> private_message.Sealed:
    return private_message.protect(
        verified,
        sender_data_secret=group.secrets.sender_data,
        secret_tree=group.secret_tree,
        reuse_guard=random(REUSE_GUARD),
        pad=rules.settings.pad,
    )


def _next_epoch(  # noqa: PLR0917 - where an epoch comes from
    group: Group,
    provisional: GroupContext,
    tree: Tree,
    keys: Mapping[int, bytes],
    verified: Verified,
    commit_secret: bytes,
    psk: bytes,
    rules: Rules,
) -> tuple[Group, NewEpoch]:
    confirmed = key_schedule.confirmed_transcript_hash(group.interim_transcript_hash, verified.transcript_input())
    context = replace(provisional, confirmed_transcript_hash=confirmed)
    encoded = context.encode()
    joiner = key_schedule.joiner_secret(group.secrets.init, commit_secret, encoded)
    new = key_schedule.epoch_from_joiner(joiner, psk, encoded)
    after = _begun(context, tree, group.own_leaf, keys, new)
    return replace(after, past=_past(group, rules), revision=group.revision + 1), new


def _past(group: Group, rules: Rules) -> tuple[PastEpoch, ...]:
    keep = min(rules.settings.past_epochs, MAX_PAST_EPOCHS)
    return (*group.past, PastEpoch(group.epoch, group.reading()))[-keep:] if keep else ()


def _kept_keys(group: Group, tree: Tree) -> dict[int, bytes]:
    """The private keys whose public halves still stand where they stood."""
    kept: dict[int, bytes] = {}
    for place, key in group.keys.items():
        before = group.tree[place]
        after = tree[place] if place < len(tree) else None
        if before is not None and after is not None and before.encryption_key == after.encryption_key:
            kept[place] = key
    return kept


def _sign_group_info(group: Group, signer: Signer) -> bytes:
    extensions = (Extension(RATCHET_TREE, encode_tree(group.tree)),)
    fields = group_info_fields(group.encoded_context, extensions, group.confirmation_tag, group.own_leaf)
    return fields + vector(sign_with_label(signer, "GroupInfoTBS", fields))


def _welcome(applied: Applied, made: treekem.NewPath, info: bytes, new: NewEpoch, random: Random) -> bytes:
    joiners: list[tuple[bytes, bytes, GroupSecrets, bytes]] = []
    by_index = dict(applied.added)
    for index, package in by_index.items():
        path_secret = treekem.secret_above(made, index)
        joiners.append((package.ref, package.init_key, GroupSecrets(new.joiner, path_secret), random(HASH)))
    return make_welcome(info, new.welcome, joiners).encode()


def group_info(group: Group, signer: Signer) -> bytes:
    """An MLSMessage with the current GroupInfo and ratchet tree, signed by us."""
    return group_info_message(_sign_group_info(group, signer))


def apply_own(group: Group) -> Group:
    """The group after our pending commit, which the server accepted."""
    if group.pending is None:
        raise PolicyRefused("no commit of this device waits for an answer")
    # Messages that came in since the commit was made advanced this epoch's ratchets: a past epoch must remember that.
    after = group.pending.after
    past = tuple(
        PastEpoch(group.epoch, group.reading()) if epoch.number == group.epoch else epoch for epoch in after.past
    )
    return replace(after, past=past, revision=group.revision + 1)


def discard_own(group: Group) -> Group:
    """The group without a pending commit."""
    return replace(group, pending=None, revision=group.revision + 1)


# --- messages -------------------------------------------------------------------------------------------------------


def own_generation(group: Group) -> int:
    """How many messages we sent in this epoch."""
    pair = group.secret_tree.ratchets.get(group.own_leaf)
    return 0 if pair is None else pair.application.generation


class Said(NamedTuple):
    """A message to send, and the group after it."""

    message: bytes
    group: Group


def protect(group: Group, plaintext: bytes, authenticated_data: bytes, *, rules: Rules, hand: Hand) -> Said:
    """An application message for this epoch."""
    active(group)
    content = framed_content(group.context.group_id, group.epoch, group.own_leaf, authenticated_data, plaintext)
    signature = sign_content(WireFormat.PRIVATE_MESSAGE, content, group.encoded_context, hand.signer)
    sealed = _seal(group, Verified(WireFormat.PRIVATE_MESSAGE, content, signature, None), hand.random, rules)
    return Said(sealed.message, replace(group, secret_tree=sealed.secret_tree, revision=group.revision + 1))


class Heard(NamedTuple):
    """Genuine content, its sender, and the group with its key gone. A commit in it is not yet applied."""

    verified: Verified
    sender: Member
    group: Group


def hear(group: Group, message: bytes, rules: Rules) -> Heard:
    """Verify what the group's stream brings."""
    active(group)
    if len(message) > MAX_COMMIT:
        raise Malformed("an MLS message is larger than allowed")
    if message[2:4] == WireFormat.PRIVATE_MESSAGE.to_bytes(2, "big"):
        return _hear_private(group, message, rules)
    return _hear_public(group, message, rules)


def _check_place(group: Group, group_id: bytes, epoch: int) -> None:
    if group_id != group.context.group_id:
        raise PolicyRefused("a message of another group")
    if epoch > group.epoch:
        raise WrongEpoch(f"a message of epoch {epoch}, which is not here yet")


def _hear_private(group: Group, message: bytes, rules: Rules) -> Heard:
    parsed = parse_private(message)
    header = parsed[0]
    _check_place(group, header.group_id, header.epoch)
    settings = rules.settings
    application = header.content_type == APPLICATION
    current = header.epoch == group.epoch
    past = None if current or not application else next((one for one in group.past if one.number == header.epoch), None)
    if not current and past is None:
        raise TooOld(f"a message of epoch {header.epoch}, whose keys are gone")
    epoch = group.reading() if past is None else past.epoch
    opened = private_message.unprotect(
        parsed, epoch, dialect=rules.dialect, window=settings.out_of_order, forward=settings.forward
    )
    sender = _sender(epoch.tree, opened.verified.content)
    if past is None:
        after = replace(group, secret_tree=opened.secret_tree, revision=group.revision + 1)
    else:
        used = PastEpoch(past.number, replace(epoch, secret_tree=opened.secret_tree))
        kept = tuple(used if one is past else one for one in group.past)
        after = replace(group, past=kept, revision=group.revision + 1)
    return Heard(opened.verified, sender, after)


def _hear_public(group: Group, message: bytes, rules: Rules) -> Heard:
    parsed = parse_public_message(message, rules.dialect)
    content = parsed.content
    _check_place(group, content.group_id, content.epoch)
    if content.epoch < group.epoch:
        raise TooOld(f"a handshake of epoch {content.epoch}, which is over")
    sender = _sender(group.tree, content)
    verified = verify_public(
        parsed,
        membership_key=group.secrets.membership_key,
        group_context=group.encoded_context,
        signature_key=sender.signature_key,
    )
    return Heard(verified, sender, replace(group, revision=group.revision + 1))


def _sender(tree: Tree, content: FramedContent) -> Member:
    return _member(content.sender_leaf, member_at(tree, content.sender_leaf))


def remember_proposal(group: Group, verified: Verified, rules: Rules) -> tuple[Group, bytes]:
    """The group that knows a proposal which a later commit may refer to, and its name."""
    body = verified.content.body
    if isinstance(body, bytes | Commit):
        raise Malformed("this message is not a proposal")
    if not rules.settings.by_reference:
        raise Unsupported("a proposal by reference is not accepted")
    if len(group.proposals) >= MAX_CACHED_PROPOSALS:
        raise PolicyRefused("too many proposals wait for a commit")
    ref = proposal_ref(verified.encode())
    return replace(group, proposals={**group.proposals, ref: Sent(body, verified.content.sender_leaf)}), ref


# --- following a commit ---------------------------------------------------------------------------------------------


class Followed(NamedTuple):
    """The group after somebody else's commit, and what it did."""

    group: Group
    roster: Roster
    removed_me: bool


def follow(group: Group, heard: Heard, rules: Rules) -> Followed:
    """Apply a verified commit (section 12.4.2). A pending commit of ours is thereby lost."""
    verified, sender = heard.verified, heard.sender
    body = verified.content.body
    if not isinstance(body, Commit) or verified.confirmation_tag is None:
        raise Malformed("this message is not a commit")
    if sender.leaf == group.own_leaf:
        raise PolicyRefused("a commit of our own came back")
    applied = _applied(group, _resolved(group, body, sender.leaf), sender.leaf, rules, now_s=None)
    if body.path is None and applied.needs_path:
        raise Malformed("this commit needs an update path")
    roster = _roster_change(group, applied, sender, rules, own=False)
    merged = None if body.path is None else _merged(group, applied, body.path, sender, rules)
    if group.own_leaf in applied.removed:
        return Followed(_removed(group), roster, removed_me=True)
    after = _after(group, applied, body.path, merged, verified, rules)
    if not same(after.confirmation_tag, verified.confirmation_tag):
        raise BadTag("a commit does not lead to the epoch that it claims")
    return Followed(after, roster, removed_me=False)


def _resolved(group: Group, body: Commit, committer: int) -> list[Sent]:
    sent: list[Sent] = []
    for item in body.proposals:
        if isinstance(item, ProposalRef):
            known = group.proposals.get(item.ref)
            if known is None:
                raise Malformed("a commit refers to a proposal that is not here")
            sent.append(known)
        else:
            sent.append(Sent(item, committer))
    return sent


def _merged(group: Group, applied: Applied, path: UpdatePath, sender: Member, rules: Rules) -> treekem.Merged:
    leaf = path.leaf
    check_leaves((leaf,), applied.extensions)
    if not leaf.verify_signature(group.context.group_id, sender.leaf):
        raise BadSignature("the new leaf of a commit is not signed by its key")
    _judge_leaf(rules)(leaf, leaf_at(group.tree, sender.leaf))
    merged = treekem.merge_path(applied.tree, sender.leaf, path, new_leaves=applied.new_leaves)
    check_keys_unique(merged.tree)
    check_identities(merged.tree)
    return merged


def _removed(group: Group) -> Group:
    """What is left after our removal: nothing that could open a message."""
    empty = EpochSecrets(*([b""] * 7))
    return replace(
        group,
        keys={},
        secrets=empty,
        secret_tree=SecretTree(leaf_count(group.tree), {}, {}),
        past=(),
        proposals={},
        pending=None,
        active=False,
        revision=group.revision + 1,
    )


def _after(  # noqa: PLR0917 - a commit's parts
    group: Group,
    applied: Applied,
    path: UpdatePath | None,
    merged: treekem.Merged | None,
    verified: Verified,
    rules: Rules,
) -> Group:
    tree = applied.tree if merged is None else merged.tree
    hashes = tree_hashes(tree) if merged is None else merged.hashes
    provisional = group.context.next(tree_hash=hashes[len(tree) // 2], extensions=applied.extensions)
    keys = _kept_keys(group, tree)
    commit_secret = ZERO
    if merged is not None and path is not None:
        secrets = treekem.decrypt_path(
            merged,
            path,
            own_leaf=group.own_leaf,
            keys=keys,
            new_leaves=applied.new_leaves,
            group_context=provisional.encode(),
        )
        keys |= secrets.private
        commit_secret = secrets.commit_secret
    psk = _psk_secret(applied.psks, rules)
    return _next_epoch(group, provisional, tree, keys, verified, commit_secret, psk, rules)[0]
