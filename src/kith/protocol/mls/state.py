"""A group as bytes (and a key package's secrets): strictly read again, ratchet positions included.

The bytes are secret; seal them before they touch a disk. They never hold a key that was used: of a ratchet only what
comes next, and the skipped keys that the window keeps. `revision` grows with every change; whoever stores the bytes
keeps the last revision beside them, because an older copy would use the same keys for other messages.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from kith.protocol.mls.codec import RFC9420, optional, u8, u32, u64, vectors
from kith.protocol.mls.commit import Sent
from kith.protocol.mls.crypto import AEAD_KEY, AEAD_NONCE, HASH
from kith.protocol.mls.group import Group, OwnPackage, PastEpoch, Pending
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.mls.key_schedule import EpochSecrets, interim_transcript_hash, read_group_context
from kith.protocol.mls.private_message import Epoch
from kith.protocol.mls.proposals import read_proposal
from kith.protocol.mls.ratchet_tree import encode_tree, read_tree
from kith.protocol.mls.secret_tree import MessageKey, Ratchet, Ratchets, SecretTree
from kith.protocol.mls.suite import WireFormat, as_message
from kith.protocol.wire import Malformed, Reader, vector

VERSION: Final = 1
_ENTRIES: Final = 1024
"""Entries of any list in a state: leaves, nodes, proposals."""
_SKIPPED: Final = 65536
_KEY: Final = 32


def encode_group(group: Group) -> bytes:
    """The whole state. Secret."""
    pending = group.pending
    return b"".join(
        (
            u8(VERSION),
            u64(group.revision),
            u8(group.active),
            vector(group.encoded_context),
            vector(encode_tree(group.tree)),
            u32(group.own_leaf),
            _encode_places(group.keys),
            _encode_secrets(group.secrets),
            _encode_secret_tree(group.secret_tree),
            vector(group.confirmation_tag),
            vectors(_encode_past(one) for one in group.past),
            vectors(_encode_sent(ref, sent) for ref, sent in group.proposals.items()),
            optional(None if pending is None else _encode_pending(pending)),
        )
    )


def decode_group(data: bytes) -> Group:
    """The state with exactly these bytes."""
    return _decode(data, inner=False)


def _decode(data: bytes, *, inner: bool) -> Group:
    reader = Reader(data)
    if reader.u8() != VERSION:
        raise Malformed("a stored group is of an unknown version")
    revision, active = reader.u64(), reader.presence()
    encoded_context = reader.vector()
    context = read_group_context(sub := Reader(encoded_context))
    sub.done()
    tree = read_tree(reader.vector())
    own_leaf, keys = reader.u32(), _read_places(reader)
    secrets, secret_tree = _read_secrets(reader), _read_secret_tree(reader)
    confirmation_tag = reader.vector(max=HASH)
    past = _read_list(reader, _read_past)
    proposals = _read_map(reader, _read_sent)
    pending = _read_pending(reader) if reader.presence() else None
    reader.done()
    if pending is not None and inner:
        raise Malformed("a stored group waits for two answers")
    if 2 * own_leaf >= len(tree) or any(place >= len(tree) or tree[place] is None for place in keys):
        raise Malformed("a stored group has keys outside its tree")
    return Group(
        context=context,
        encoded_context=encoded_context,
        tree=tree,
        own_leaf=own_leaf,
        keys=keys,
        secrets=secrets,
        secret_tree=secret_tree,
        confirmation_tag=confirmation_tag,
        interim_transcript_hash=interim_transcript_hash(context.confirmed_transcript_hash, confirmation_tag),
        past=tuple(past),
        proposals=proposals,
        pending=pending,
        active=active,
        revision=revision,
    )


# --- parts ----------------------------------------------------------------------------------------------------------

K = TypeVar("K")
T = TypeVar("T")


def _read_list(reader: Reader, read: Callable[[Reader], T]) -> list[T]:
    inner = Reader(reader.vector())
    items: list[T] = []
    while inner.left:
        if len(items) == _ENTRIES:
            raise Malformed("a stored group has too many parts")
        items.append(read(inner))
    return items


def _read_map(reader: Reader, read: Callable[[Reader], tuple[K, T]]) -> dict[K, T]:
    items = _read_list(reader, read)
    found = dict(items)
    if len(found) != len(items):
        raise Malformed("a stored group has one part twice")
    return found


def _encode_places(places: Mapping[int, bytes]) -> bytes:
    return vectors(u32(place) + vector(key) for place, key in places.items())


def _read_places(reader: Reader) -> dict[int, bytes]:
    return _read_map(reader, lambda inner: (inner.u32(), inner.fixed_vector(_KEY)))


def _encode_secrets(secrets: EpochSecrets) -> bytes:
    return vectors(vector(getattr(secrets, name)) for name in _SECRETS)


def _read_secrets(reader: Reader) -> EpochSecrets:
    inner = Reader(reader.vector())
    found = [inner.vector(max=HASH) for _ in _SECRETS]
    inner.done()
    return EpochSecrets(*found)


_SECRETS: Final = (
    "sender_data",
    "exporter",
    "authenticator",
    "confirmation_key",
    "membership_key",
    "resumption_psk",
    "init",
)


def _encode_secret_tree(tree: SecretTree) -> bytes:
    ratchets = vectors(
        u32(leaf) + _encode_ratchet(pair.handshake) + _encode_ratchet(pair.application)
        for leaf, pair in tree.ratchets.items()
    )
    return u32(tree.leaves) + _encode_places(tree.nodes) + ratchets


def _read_secret_tree(reader: Reader) -> SecretTree:
    def pair(inner: Reader) -> tuple[int, Ratchets]:
        return inner.u32(), Ratchets(_read_ratchet(inner), _read_ratchet(inner))

    return SecretTree(reader.u32(), _read_places(reader), _read_map(reader, pair))


def _encode_ratchet(ratchet: Ratchet) -> bytes:
    skipped = vectors(u32(key.generation) + key.key + key.nonce for key in ratchet.skipped)
    return u32(ratchet.generation) + vector(ratchet.secret) + skipped


def _read_ratchet(reader: Reader) -> Ratchet:
    generation, secret = reader.u32(), reader.fixed_vector(HASH)
    inner = Reader(reader.vector(max=_SKIPPED))
    skipped: list[MessageKey] = []
    while inner.left:
        skipped.append(MessageKey(inner.u32(), inner.take(AEAD_KEY), inner.take(AEAD_NONCE)))
    return Ratchet(generation, secret, tuple(skipped))


def _encode_past(past: PastEpoch) -> bytes:
    epoch = past.epoch
    return (
        u64(past.number)
        + vector(epoch.context)
        + vector(epoch.sender_data_secret)
        + _encode_secret_tree(epoch.secret_tree)
        + vector(encode_tree(epoch.tree))
    )


def _read_past(reader: Reader) -> PastEpoch:
    number, context, sender_data = reader.u64(), reader.vector(), reader.fixed_vector(HASH)
    secret_tree = _read_secret_tree(reader)
    return PastEpoch(number, Epoch(context, sender_data, secret_tree, read_tree(reader.vector())))


def _encode_sent(ref: bytes, sent: Sent) -> bytes:
    return vector(ref) + u32(sent.sender) + sent.proposal.encode()


def _read_sent(reader: Reader) -> tuple[bytes, Sent]:
    ref, sender = reader.fixed_vector(HASH), reader.u32()
    return ref, Sent(read_proposal(reader, RFC9420), sender)


def _encode_pending(pending: Pending) -> bytes:
    welcome = optional(None if pending.welcome is None else vector(pending.welcome))
    return vector(pending.commit) + welcome + vector(pending.group_info) + vector(encode_group(pending.after))


def _read_pending(reader: Reader) -> Pending:
    commit = reader.vector()
    welcome = reader.vector() if reader.presence() else None
    return Pending(commit, welcome, reader.vector(), _decode(reader.vector(), inner=True))


# --- key packages ---------------------------------------------------------------------------------------------------


def encode_own_package(own: OwnPackage, *, last_resort: bool) -> bytes:
    """A key package with its private keys. Secret."""
    message = as_message(WireFormat.KEY_PACKAGE, own.package.encoded)
    return u8(VERSION) + u8(last_resort) + vector(message) + vector(own.init_private) + vector(own.leaf_private)


def decode_own_package(data: bytes) -> tuple[OwnPackage, bool]:
    """The key package with its private keys, and whether it is of last resort."""
    reader = Reader(data)
    if reader.u8() != VERSION:
        raise Malformed("a stored key package is of an unknown version")
    last_resort = reader.presence()
    package = parse_key_package(reader.vector())
    own = OwnPackage(package, reader.fixed_vector(_KEY), reader.fixed_vector(_KEY))
    reader.done()
    return own, last_resort
