"""The interface between Kith's clients and MLS (RFC 9420, suite 1, basic credentials).

`MlsEngine` is what the SDK uses; `client.MlsClient` is Kith's own engine behind it, and another backend could stand in.

- States are values. An operation returns the next state and leaves the one it was given as it was. Store the next
  state **before** the bytes that came with it leave the device: a state used twice would use a key twice.
- Whatever is refused raises a subclass of `wire.Malformed` from `refusals` (`WrongEpoch`, `TooOld`, `Replay`,
  `BadSignature`, `BadTag`, `Unsupported`, `PolicyRefused`, or plain `Malformed`), and nothing has changed.
- Time is Unix seconds and an argument; randomness and the signature key are given when the engine is made.
- A state holds secrets of its epoch: seal what `serialise` gives before it touches a disk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

Random: TypeAlias = Callable[[int], bytes]
"""That many unpredictable bytes, for instance `os.urandom`."""

Authenticate: TypeAlias = Callable[[bytes, bytes], bool]
"""`authenticate(identity, signature_key)`: whether the directory says that this key is that device's.

Asked for every leaf on join, and for every leaf that an Add, an Update or a commit brings (RFC 9420 section 5.3.1).
"""


class Member(NamedTuple):
    """One leaf of the group: its index, the identity in its basic credential, and its Ed25519 key."""

    leaf: int
    identity: bytes
    signature_key: bytes


@dataclass(frozen=True, slots=True)
class RosterChange:
    """What a Welcome or a commit would do to the roster.

    `committer` made the commit (or signed the Welcome's GroupInfo). On join everybody is in `added` and `own` is True.
    """

    group_id: bytes
    committer: Member
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    after: tuple[Member, ...]
    own: bool = False
    """True when this device joins by it or makes it itself."""


RosterPolicy: TypeAlias = Callable[[RosterChange], str | None]
"""Why this change is refused, as a sentence, or None. `PolicyRefused` carries the sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Numbers and doors of an engine; the defaults are Kith's, and strict."""

    out_of_order: int = 0
    """Skipped messages per sender whose key and nonce are kept for later. 0: the stream is in order."""
    forward: int = 2000
    """How far a sender's sequence may jump ahead; skipped keys are derived one by one."""
    past_epochs: int = 0
    """Past epochs whose messages can still be read, at most 4."""
    leaves: int = 256
    """Devices in a group."""
    lifetime_s: int | None = 90 * 24 * 3600
    """Longest lifetime of a key package; None accepts any (for vectors and foreign peers)."""
    proposals: frozenset[int] = frozenset({1, 3})
    """Proposal types accepted from others: Add and Remove. Update is 2, GroupContextExtensions 7."""
    extensions: frozenset[int] = frozenset()
    """Group extension types that a group may have. Kith's have none."""
    by_reference: bool = False
    """Whether proposals may travel apart from the commit that refers to them."""
    pad: bool = True
    """Pad messages to buckets of 256 bytes to 64 KiB."""


class NewKeyPackage(NamedTuple):
    """A fresh KeyPackage to publish, and the secret record that a Welcome to it needs.

    Delete `secret` after the join, unless it is of last resort. It is an encoded byte string: seal it.
    """

    message: bytes
    ref: bytes
    secret: bytes

    def __repr__(self) -> str:
        """Without the secret."""
        return f"NewKeyPackage({self.ref.hex()[:8]}…)"


StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True)
class Committed(Generic[StateT]):
    """An own commit that the server has not yet accepted. `state` remembers it, also over a restart.

    Upload `commit`, `welcome` (None without Adds) and `group_info` together; then `apply_own(state)` or
    `discard_own(state)`. All three are MLSMessages.
    """

    commit: bytes
    welcome: bytes | None
    group_info: bytes
    state: StateT


@dataclass(frozen=True, slots=True)
class Protected(Generic[StateT]):
    """A message to send, and the state to store before it leaves."""

    message: bytes
    state: StateT


@dataclass(frozen=True, slots=True)
class Application:
    """A message that somebody else in the group wrote."""

    sender: Member
    epoch: int
    authenticated_data: bytes
    plaintext: bytes

    def __repr__(self) -> str:
        """Without what was said."""
        return f"Application(leaf {self.sender.leaf}, epoch {self.epoch}, …)"


@dataclass(frozen=True, slots=True)
class Commit:
    """The group has moved to `epoch`. `removed_me`: this device is out, and its state can do nothing any more."""

    sender: Member
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    epoch: int
    authenticated_data: bytes
    removed_me: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal that a later commit may refer to."""

    sender: Member
    epoch: int
    type: int
    ref: bytes


@dataclass(frozen=True, slots=True)
class Processed(Generic[StateT]):
    """What a message was, and the state after it."""

    event: Application | Commit | Proposal
    state: StateT


class MlsEngine(Protocol[StateT]):
    """One device's MLS. Every method may raise the refusals named in the module; none changes what it is given."""

    def new_key_package(self, *, not_before: int, not_after: int, last_resort: bool = False) -> NewKeyPackage:
        """A KeyPackage for this device, valid between these Unix seconds."""
        ...

    def create_group(self, group_id: bytes, *, not_before: int, not_after: int) -> StateT:
        """A group of this device alone, at epoch 0."""
        ...

    def commit(
        self,
        state: StateT,
        *,
        now_s: int,
        adds: Sequence[bytes] = (),
        removes: Sequence[int] = (),
        authenticated_data: bytes = b"",
    ) -> Committed[StateT]:
        """One commit with these KeyPackages (MLSMessages) and leaf indices inline; without any, it rotates our leaf."""
        ...

    def apply_own(self, state: StateT) -> StateT:
        """The group after our pending commit. Only after the server accepted it."""
        ...

    def discard_own(self, state: StateT) -> StateT:
        """The group without our pending commit, which the server refused. A foreign commit discards it by itself."""
        ...

    def join(self, welcome: bytes, secret: bytes, *, ratchet_tree: bytes | None = None) -> StateT:
        """The group that a Welcome to our KeyPackage leads to. Everything in it is verified, every leaf judged."""
        ...

    def protect(self, state: StateT, plaintext: bytes, authenticated_data: bytes = b"") -> Protected[StateT]:
        """Encrypt for the group. `authenticated_data` travels in clear and cannot be altered."""
        ...

    def process(self, state: StateT, message: bytes) -> Processed[StateT]:
        """Read what the group's stream brings: an application message, a commit, or a proposal."""
        ...

    def exporter(self, state: StateT, label: bytes, context: bytes, length: int) -> bytes:
        """A secret of this epoch for another use (section 8.5)."""
        ...

    def epoch_authenticator(self, state: StateT) -> bytes:
        """32 bytes that are equal for two members if and only if they are in the same epoch of the same group."""
        ...

    def roster(self, state: StateT) -> tuple[Member, ...]:
        """The members in the order of their leaves."""
        ...

    def epoch(self, state: StateT) -> int:
        """The current epoch."""
        ...

    def own_leaf(self, state: StateT) -> int:
        """The index of this device's leaf."""
        ...

    def is_active(self, state: StateT) -> bool:
        """False once this device was removed."""
        ...

    def pending(self, state: StateT) -> Committed[StateT] | None:
        """Our commit that waits for the server's answer, for instance after a restart."""
        ...

    def revision(self, state: StateT) -> int:
        """A number that grows with every change of the state; keep the last one beside the stored state."""
        ...

    def serialise(self, state: StateT) -> bytes:
        """The whole state, ratchet positions included. Secret."""
        ...

    def restore(self, data: bytes, *, at_least: int = 0) -> StateT:
        """The state with exactly these bytes. One of a revision below `at_least` is `PolicyRefused`.

        An older state would use the same keys for other messages.
        """
        ...
