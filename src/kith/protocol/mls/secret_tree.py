"""The secret tree and its ratchets (RFC 9420 section 9): a fresh key and nonce for every message of every member.

Values, not objects: deriving a key gives the tree after it, from which that key cannot be found again. Whoever drops
the new tree because a message was not genuine has changed nothing. Of a skipped generation, key and nonce are kept,
never a ratchet secret, and at most as many as the window allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from kith.protocol.mls import tree_math
from kith.protocol.mls.crypto import AEAD_KEY, AEAD_NONCE, HASH, derive_tree_secret, expand_with_label
from kith.protocol.mls.refusals import Replay, TooOld
from kith.protocol.wire import Malformed

MAX_GENERATION = 2**32 - 1


class MessageKey(NamedTuple):
    """Key and nonce of one message."""

    generation: int
    key: bytes
    nonce: bytes

    def __repr__(self) -> str:
        """The generation, never the key."""
        return f"MessageKey(generation {self.generation})"


@dataclass(frozen=True, slots=True)
class Ratchet:
    """One member's sequence of keys: the secret of the next generation, and the skipped keys still kept."""

    generation: int
    secret: bytes
    skipped: tuple[MessageKey, ...] = ()

    def __repr__(self) -> str:
        """The generation, never the secret."""
        return f"Ratchet(generation {self.generation})"

    def _current(self) -> MessageKey:
        at = self.generation
        return MessageKey(
            at,
            derive_tree_secret(self.secret, b"key", at, AEAD_KEY),
            derive_tree_secret(self.secret, b"nonce", at, AEAD_NONCE),
        )

    def step(self) -> tuple[MessageKey, "Ratchet"]:
        """The next key, and the ratchet that no longer knows it."""
        if self.generation == MAX_GENERATION:
            raise Malformed("a sender has used up its epoch")
        secret = derive_tree_secret(self.secret, b"secret", self.generation, HASH)
        return self._current(), Ratchet(self.generation + 1, secret, self.skipped)

    def take(self, generation: int, *, window: int, forward: int) -> tuple[MessageKey, "Ratchet"]:
        """The key of this generation, and the ratchet without it.

        Of what is skipped, the last `window` keys stay. Replay: used, or skipped and given up. TooOld: behind the
        window. Malformed: more than `forward` generations ahead.
        """
        if generation < self.generation:
            return self._taken(generation, window)
        if generation - self.generation > forward:
            raise Malformed("a message is too far ahead in its sender's sequence")
        ratchet, kept = self, list(self.skipped)
        while ratchet.generation < generation:
            if generation - ratchet.generation <= window:
                kept.append(ratchet._current())
            ratchet = replace(ratchet, generation=ratchet.generation + 1, secret=ratchet._next_secret())
        key, ratchet = ratchet.step()
        keep = tuple(old for old in kept if old.generation >= ratchet.generation - 1 - window)
        return key, replace(ratchet, skipped=keep)

    def _next_secret(self) -> bytes:
        return derive_tree_secret(self.secret, b"secret", self.generation, HASH)

    def _taken(self, generation: int, window: int) -> tuple[MessageKey, "Ratchet"]:
        for at, kept in enumerate(self.skipped):
            if kept.generation == generation:
                return kept, replace(self, skipped=self.skipped[:at] + self.skipped[at + 1 :])
        if window and generation < self.generation - 1 - window:
            raise TooOld("a message lies behind the window of what may come late")
        raise Replay("the key of this message was already used or given up")


class Ratchets(NamedTuple):
    """A member's two sequences."""

    handshake: Ratchet
    application: Ratchet


@dataclass(frozen=True, slots=True)
class SecretTree:
    """The secrets of subtrees where nobody has spoken yet, and the ratchets of those who have."""

    leaves: int
    nodes: Mapping[int, bytes]
    ratchets: Mapping[int, Ratchets]

    def __repr__(self) -> str:
        """How much of it is used, never a secret."""
        return f"SecretTree({self.leaves} leaves, {len(self.ratchets)} in use)"

    @staticmethod
    def of(encryption_secret: bytes, leaves: int) -> "SecretTree":
        """The tree of a new epoch with this many leaves, blank ones and the right edge included."""
        return SecretTree(leaves, {tree_math.root(leaves): encryption_secret}, {})

    def opened(self, leaf: int) -> "SecretTree":
        """The tree in which this leaf has its ratchets, and no secret above them is left."""
        if leaf in self.ratchets:
            return self
        if not 0 <= leaf < self.leaves:
            raise Malformed("a sender is not in the tree")
        nodes = dict(self.nodes)
        place = 2 * leaf
        top = next((at for at in (place, *tree_math.direct_path(place, self.leaves)) if at in nodes), None)
        if top is None:
            raise Replay("the secret of this leaf was already used")
        while top != place:
            secret = nodes.pop(top)
            left, right = tree_math.left(top), tree_math.right(top)
            nodes[left] = expand_with_label(secret, b"tree", b"left", HASH)
            nodes[right] = expand_with_label(secret, b"tree", b"right", HASH)
            top = left if place < top else right
        secret = nodes.pop(place)
        pair = Ratchets(
            Ratchet(0, expand_with_label(secret, b"handshake", b"", HASH)),
            Ratchet(0, expand_with_label(secret, b"application", b"", HASH)),
        )
        return SecretTree(self.leaves, nodes, {**self.ratchets, leaf: pair})

    def step(self, leaf: int, *, application: bool) -> tuple[MessageKey, "SecretTree"]:
        """The next key for sending."""
        tree = self.opened(leaf)
        pair = tree.ratchets[leaf]
        key, ratchet = (pair.application if application else pair.handshake).step()
        return key, tree.replaced(leaf, ratchet, application=application)

    def take(
        self, leaf: int, generation: int, *, application: bool, window: int, forward: int
    ) -> tuple[MessageKey, "SecretTree"]:
        """The key for reading that generation of that member."""
        tree = self.opened(leaf)
        pair = tree.ratchets[leaf]
        ratchet = pair.application if application else pair.handshake
        key, after = ratchet.take(generation, window=window, forward=forward)
        return key, tree.replaced(leaf, after, application=application)

    def replaced(self, leaf: int, ratchet: Ratchet, *, application: bool) -> "SecretTree":
        """The tree with another ratchet of a leaf that has its ratchets."""
        pair = self.ratchets[leaf]
        pair = pair._replace(application=ratchet) if application else pair._replace(handshake=ratchet)
        return SecretTree(self.leaves, self.nodes, {**self.ratchets, leaf: pair})


def sender_data_key(sender_data_secret: bytes, ciphertext: bytes) -> tuple[bytes, bytes]:
    """Key and nonce that hide who sent a message (section 6.3.2), from the first 32 bytes of its ciphertext."""
    sample = ciphertext[:HASH]
    return (
        expand_with_label(sender_data_secret, b"key", sample, AEAD_KEY),
        expand_with_label(sender_data_secret, b"nonce", sample, AEAD_NONCE),
    )
