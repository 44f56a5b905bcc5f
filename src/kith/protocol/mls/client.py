"""Kith's own engine behind `engine.MlsEngine`: one device, its signature key, and what it believes about others.

Two devices, from nothing to a message. A real caller stores every state before it sends what came with it, asks its
directory in `authenticate`, and uploads a commit with its Welcome and GroupInfo before it applies it:

>>> import os
>>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
>>> def device(name):
...     key = Ed25519PrivateKey.generate()
...     return MlsClient(
...         identity=name,
...         signature_key=key.public_key().public_bytes_raw(),
...         signer=key,
...         random=os.urandom,
...         authenticate=lambda identity, signature_key: identity in (b"ann", b"ben"),
...         roster=lambda change: None if len(change.after) == 2 else "only ann and ben talk here",
...     )
>>> ann, ben = device(b"ann"), device(b"ben")
>>> package = ben.new_key_package(not_before=1_700_000_000, not_after=1_700_086_400)
>>> group = ann.create_group(b"a room", not_before=1_700_000_000, not_after=1_700_086_400)
>>> made = ann.commit(group, now_s=1_700_000_001, adds=[package.message])
>>> ann_state = ann.apply_own(made.state)
>>> ben_state = ben.join(made.welcome, package.secret)
>>> said = ann.protect(ann_state, b"Good morning", b"authenticated data")
>>> heard = ben.process(ben_state, said.message)
>>> event, ben_state = heard.event, heard.state
>>> event.plaintext, event.authenticated_data, event.sender.identity
(b'Good morning', b'authenticated data', b'ann')
>>> ann.epoch_authenticator(said.state) == ben.epoch_authenticator(ben_state)
True
>>> ben.restore(ben.serialise(ben_state), at_least=ben.revision(ben_state)) == ben_state
True
"""

from collections.abc import Callable, Sequence

from kith.protocol.mls import group as groups
from kith.protocol.mls.codec import Extension
from kith.protocol.mls.crypto import HASH, derive_key_pair
from kith.protocol.mls.engine import (
    Application,
    Authenticate,
    Commit,
    Committed,
    Member,
    NewKeyPackage,
    Processed,
    Proposal,
    Protected,
    Random,
    RosterPolicy,
    Settings,
)
from kith.protocol.mls.framing import COMMIT
from kith.protocol.mls.group import Group, Hand, OwnPackage, Rules
from kith.protocol.mls.key_package import (
    KeyPackage,
    check_lifetime,
    key_package_fields,
    parse_key_package,
)
from kith.protocol.mls.key_schedule import PskId
from kith.protocol.mls.leaf_node import (
    LAST_DEFAULT_EXTENSION,
    Capabilities,
    LeafNode,
    Lifetime,
    from_lifetime,
    leaf_fields,
    read_leaf,
)
from kith.protocol.mls.proposals import Add, GroupContextExtensions, Remove, proposal_type
from kith.protocol.mls.proposals import Proposal as AnyProposal
from kith.protocol.mls.refusals import PolicyRefused
from kith.protocol.mls.state import decode_group, decode_own_package, encode_group, encode_own_package
from kith.protocol.mls.suite import WireFormat, as_message
from kith.protocol.signing import Signer, sign_with_label
from kith.protocol.wire import Reader, vector


class MlsClient:
    """MLS for one device; see `engine.MlsEngine` for what each method promises.

    `identity` goes into our leaf's basic credential, `signature_key` is its Ed25519 key, `signer` the private half:
    without it groups can be read, and every attempt to say something is `PolicyRefused`. `random` gives unpredictable
    bytes, `os.urandom` outside tests. `roster` may refuse changes of membership with a sentence.
    """

    def __init__(
        self,
        *,
        identity: bytes,
        signature_key: bytes,
        signer: Signer | None,
        random: Random,
        authenticate: Authenticate,
        roster: RosterPolicy,
        settings: Settings | None = None,
        pre_shared_key: Callable[[PskId], bytes | None] | None = None,
    ) -> None:
        settings = settings if settings is not None else Settings()
        self._identity = identity
        self._signature_key = signature_key
        self._signer = signer
        self._random = random
        own = sorted(one for one in settings.extensions if one > LAST_DEFAULT_EXTENSION)
        self._capabilities = Capabilities(extensions=tuple(own))
        self._rules = Rules(
            authenticate=authenticate,
            roster=roster,
            settings=settings,
            pre_shared_key=pre_shared_key if pre_shared_key is not None else lambda _psk: None,
        )

    def __repr__(self) -> str:
        """No key."""
        return "MlsClient(…)"

    def _hand(self) -> Hand:
        if self._signer is None:
            raise PolicyRefused("there is no signature key here: nothing can be said")
        return Hand(signer=self._signer, random=self._random)

    # --- key packages and groups ------------------------------------------------------------------------------------

    def new_key_package(self, *, not_before: int, not_after: int, last_resort: bool = False) -> NewKeyPackage:
        """A KeyPackage for this device, valid between these Unix seconds."""
        lifetime = Lifetime(not_before, not_after)
        check_lifetime(lifetime, None, self._rules.settings.lifetime_s)
        own = self._own_package(lifetime)
        message = as_message(WireFormat.KEY_PACKAGE, own.package.encoded)
        return NewKeyPackage(message, own.package.ref, encode_own_package(own, last_resort=last_resort))

    def _own_package(self, lifetime: Lifetime) -> OwnPackage:
        signer = self._hand().signer
        init_private, init_key = derive_key_pair(self._random(HASH))
        leaf, leaf_private = self._new_leaf(lifetime)
        fields = key_package_fields(init_key, leaf)
        encoded = fields + vector(sign_with_label(signer, "KeyPackageTBS", fields))
        return OwnPackage(_read_back(encoded), init_private, leaf_private)

    def _new_leaf(self, lifetime: Lifetime) -> tuple[LeafNode, bytes]:
        leaf_private, encryption_key = derive_key_pair(self._random(HASH))
        fields = leaf_fields(
            encryption_key=encryption_key,
            signature_key=self._signature_key,
            identity=self._identity,
            capabilities=self._capabilities,
            source=from_lifetime(lifetime),
        )
        signature = sign_with_label(self._hand().signer, "LeafNodeTBS", fields)
        return read_leaf(Reader(fields + vector(signature))), leaf_private

    def create_group(
        self, group_id: bytes, *, not_before: int, not_after: int, extensions: tuple[Extension, ...] = ()
    ) -> Group:
        """A group of this device alone, at epoch 0."""
        leaf, leaf_private = self._new_leaf(Lifetime(not_before, not_after))
        return groups.create(
            group_id, leaf, leaf_private, random=self._random, extensions=extensions, rules=self._rules
        )

    def join(self, welcome: bytes, secret: bytes, *, ratchet_tree: bytes | None = None) -> Group:
        """The group that a Welcome to our KeyPackage leads to."""
        own, _ = decode_own_package(secret)
        if (own.package.identity, own.package.signature_key) != (self._identity, self._signature_key):
            raise PolicyRefused("a Welcome is for another device's key package")
        return groups.join(welcome, own, self._rules, ratchet_tree=ratchet_tree)

    def key_package_ref(self, secret: bytes) -> bytes:
        """The KeyPackageRef by which a Welcome addresses the package with this secret record."""
        return decode_own_package(secret)[0].package.ref

    def is_last_resort(self, secret: bytes) -> bool:
        """Whether the package with this secret record stays usable after a join."""
        return decode_own_package(secret)[1]

    # --- commits ----------------------------------------------------------------------------------------------------

    def commit(
        self,
        state: Group,
        *,
        now_s: int,
        adds: Sequence[bytes] = (),
        removes: Sequence[int] = (),
        authenticated_data: bytes = b"",
        extensions: tuple[Extension, ...] | None = None,
        encrypted: bool = False,
    ) -> Committed[Group]:
        """One commit with these changes inline. `extensions` replaces the group's; `encrypted` hides the handshake."""
        proposals: list[AnyProposal] = [] if extensions is None else [GroupContextExtensions(extensions)]
        proposals += [Remove(index) for index in removes]
        proposals += [Add(parse_key_package(message)) for message in adds]
        after = groups.commit(
            state,
            proposals,
            authenticated_data=authenticated_data,
            now_s=now_s,
            rules=self._rules,
            hand=self._hand(),
            encrypted=encrypted,
        )
        committed = self.pending(after)
        assert committed is not None  # noqa: S101 - `groups.commit` sets it
        return committed

    def apply_own(self, state: Group) -> Group:
        """The group after our pending commit, which the server accepted."""
        return groups.apply_own(state)

    def discard_own(self, state: Group) -> Group:
        """The group without our pending commit, which the server refused."""
        return groups.discard_own(state)

    def pending(self, state: Group) -> Committed[Group] | None:
        """Our commit that waits for the server's answer."""
        pending = state.pending
        return None if pending is None else Committed(pending.commit, pending.welcome, pending.group_info, state)

    def group_info(self, state: Group) -> bytes:
        """An MLSMessage with the current GroupInfo and ratchet tree."""
        return groups.group_info(state, self._hand().signer)

    # --- messages ---------------------------------------------------------------------------------------------------

    def protect(self, state: Group, plaintext: bytes, authenticated_data: bytes = b"") -> Protected[Group]:
        """Encrypt for the group. Store the state before the message leaves."""
        said = groups.protect(state, plaintext, authenticated_data, rules=self._rules, hand=self._hand())
        return Protected(said.message, said.group)

    def process(self, state: Group, message: bytes) -> Processed[Group]:
        """Read what the group's stream brings. On any refusal the state is as it was."""
        heard = groups.hear(state, message, self._rules)
        content = heard.verified.content
        body = content.body
        if isinstance(body, bytes):
            return Processed(Application(heard.sender, content.epoch, content.authenticated_data, body), heard.group)
        if content.content_type == COMMIT:
            done = groups.follow(heard.group, heard, self._rules)
            epoch = content.epoch + 1
            added, removed = done.roster
            return Processed(
                Commit(heard.sender, added, removed, epoch, content.authenticated_data, done.removed_me), done.group
            )
        group, ref = groups.remember_proposal(heard.group, heard.verified, self._rules)
        kind = proposal_type(group.proposals[ref].proposal)
        return Processed(Proposal(heard.sender, content.epoch, kind, ref), group)

    # --- looking ----------------------------------------------------------------------------------------------------

    def exporter(self, state: Group, label: bytes, context: bytes, length: int) -> bytes:
        """A secret of this epoch for another use (section 8.5)."""
        return groups.active(state).secrets.export(label, context, length)

    def epoch_authenticator(self, state: Group) -> bytes:
        """32 bytes, equal exactly for members in the same epoch of the same group."""
        return groups.active(state).secrets.authenticator

    def roster(self, state: Group) -> tuple[Member, ...]:
        """The members in the order of their leaves."""
        return state.members()

    def group_id(self, state: Group) -> bytes:
        """The group's id."""
        return state.context.group_id

    def epoch(self, state: Group) -> int:
        """The current epoch."""
        return state.epoch

    def own_leaf(self, state: Group) -> int:
        """The index of this device's leaf."""
        return state.own_leaf

    def own_generation(self, state: Group) -> int:
        """Messages that this device has sent in the current epoch; a leaf is rotated at 1,000."""
        return groups.own_generation(state)

    def is_active(self, state: Group) -> bool:
        """False once this device was removed."""
        return state.active

    def revision(self, state: Group) -> int:
        """Grows with every change of the state."""
        return state.revision

    # --- storing ----------------------------------------------------------------------------------------------------

    def serialise(self, state: Group) -> bytes:
        """The whole state, ratchet positions included. Secret."""
        return encode_group(state)

    def restore(self, data: bytes, *, at_least: int = 0) -> Group:
        """The state with exactly these bytes; `PolicyRefused` when it is older than `at_least`."""
        state = decode_group(data)
        if state.revision < at_least:
            raise PolicyRefused("a stored group is older than what was stored last: its keys may be used already")
        return state


def _read_back(encoded: bytes) -> KeyPackage:
    """What we made, through the same decoder as everybody's."""
    return parse_key_package(as_message(WireFormat.KEY_PACKAGE, encoded))
