"""The key log: every account's keys in a tree that only grows, so that a server cannot show them differently unseen.

Structures of draft-ietf-keytrans-protocol, suite KT_128_SHA256_Ed25519, contact monitoring. Labels are random account
ids, so the draft's VRF is left out. An account's keys are *versions* 0, 1, 2, …, each committed to in a prefix tree
under a hash of label and version; each log entry holds a time and the prefix tree's root; the log's root is signed.

Integers in this file have fixed widths (TLS, not the varints of MLS). Nothing here reads or keeps anything: trees are
read through a function that is handed in. What does not verify raises `Forged`.
"""

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kith.protocol.signing import PUBLIC_KEY, Signer, verify_with_label
from kith.protocol.wire import Malformed, Reader

SUITE: Final = 0x0002
"""KT_128_SHA256_Ed25519."""
CONTACT_MONITORING: Final = 1
HASH: Final = 32
OPENING: Final = 16
"""Bytes of the random value without which a commitment says nothing."""
NOTHING: Final = bytes(HASH)
"""A missing child, and the root of an empty prefix tree."""
VERSIONS_SHOWN: Final = 256
"""How many of the newest versions one answer proves, beside the ladder."""
MAX_VERSION: Final = 2**32 - 1
DEEPEST: Final = 255
ENDORSED: Final = "KithKeyLog"
"""The label under which a key of the server's manifest signs the log's configuration."""

_COMMITMENT_KEY: Final = bytes.fromhex("d821f8790d97709796b4d7903357c3f5")
_SEARCH_TAG: Final = b"SaferKT key"
_FOUND, _OTHER_LEAF, _NO_CHILD = 1, 2, 3


class Forged(ValueError):  # noqa: N818 - a statement about a proof
    """A proof that does not prove what it is for. The text says what is wrong."""


def _forged(sentence: str) -> NoReturn:
    raise Forged(sentence)


def _uint(number: int, size: int) -> bytes:
    try:
        return number.to_bytes(size, "big")
    except OverflowError:
        raise Malformed("a number does not fit its field") from None


def _field(data: bytes, prefix: int) -> bytes:
    return _uint(len(data), prefix) + data


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# --- configuration and signed heads ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a log promises, and the key that signs its heads. Times in milliseconds."""

    signature_key: bytes
    max_ahead_ms: int
    max_behind_ms: int
    window_ms: int

    def encode(self) -> bytes:
        """`u16 suite | u8 mode | key | empty VRF key | u64 ahead | u64 behind | u64 window | no maximum lifetime`."""
        head = _uint(SUITE, 2) + _uint(CONTACT_MONITORING, 1) + _field(self.signature_key, 2) + _field(b"", 2)
        return head + b"".join(_uint(n, 8) for n in (self.max_ahead_ms, self.max_behind_ms, self.window_ms)) + b"\0"

    @staticmethod
    def decode(data: bytes) -> "Configuration":
        """The configuration with exactly these bytes."""
        reader = Reader(data)
        if (reader.u16(), reader.u8()) != (SUITE, CONTACT_MONITORING):
            raise Malformed("the key log is of another kind than this program verifies")
        key = reader.take(reader.u16())
        if len(key) != PUBLIC_KEY or reader.u16() != 0:
            raise Malformed("the key log's keys have the wrong length")
        made = Configuration(key, reader.u64(), reader.u64(), reader.u64())
        if reader.presence():
            raise Malformed("the key log has a maximum lifetime, which this program does not know")
        reader.done()
        return made

    def tbs(self, size: int, root: bytes) -> bytes:
        """What a head's signature covers: `Configuration | u64 tree_size | root`."""
        if len(root) != HASH:
            raise Malformed("a root is not 32 bytes")
        return self.encode() + _uint(size, 8) + root


def sign_head(key: Signer, configuration: Configuration, size: int, root: bytes) -> bytes:
    """The log's word that this is its root at this size."""
    return key.sign(configuration.tbs(size, root))


def is_endorsed(signer: bytes, configuration: bytes, signature: bytes) -> bool:
    """Whether a key of the server's manifest says that this is its key log."""
    return verify_with_label(signer, ENDORSED, configuration, signature)


def head_is_signed(configuration: Configuration, size: int, root: bytes, signature: bytes) -> bool:
    """Whether the log's key signed this head. Never raises on bad input."""
    try:
        key = Ed25519PublicKey.from_public_bytes(configuration.signature_key)
        key.verify(signature, configuration.tbs(size, root))
    except (InvalidSignature, ValueError):
        return False
    return True


# --- what is logged -------------------------------------------------------------------------------------------------


def label_of(account: str) -> bytes:
    """The 16 bytes of an account id."""
    try:
        label = bytes.fromhex(account.replace("-", ""))
    except ValueError:
        raise Malformed("this is not the id of an account") from None
    if len(label) != OPENING:
        raise Malformed("this is not the id of an account")
    return label


def key_value(aik: bytes, device_list: bytes, signature: bytes) -> bytes:
    """A version of an account's keys: identity key, device list as signed (empty before the first), its signature."""
    return _field(aik, 2) + _field(device_list, 4) + _field(signature, 2)


def parse_value(value: bytes) -> tuple[bytes, bytes, bytes]:
    """`(aik, device list, signature)` of a value."""
    reader = Reader(value)
    parts = reader.take(reader.u16()), reader.take(reader.u32()), reader.take(reader.u16())
    reader.done()
    return parts


def search_key(label: bytes, version: int) -> bytes:
    """Where a version stands in the prefix tree."""
    return _sha256(_SEARCH_TAG, _field(label, 1), _uint(version, 4))


def commitment(opening: bytes, label: bytes, version: int, value: bytes) -> bytes:
    """What the tree holds of a value: nothing can be learned from it without the opening."""
    if len(opening) != OPENING:
        raise Malformed("an opening is not 16 bytes")
    content = opening + _field(label, 1) + _uint(version, 4) + _field(value, 4)
    return hmac.digest(_COMMITMENT_KEY, content, "sha256")


def log_leaf(timestamp_ms: int, prefix_root: bytes) -> bytes:
    """The value of a log entry."""
    return _sha256(_uint(timestamp_ms, 8), prefix_root)


# --- prefix tree ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaf:
    """A committed version."""

    key: bytes
    commitment: bytes

    @property
    def hash(self) -> bytes:
        """SHA-256(02 | search key | commitment)."""
        return _sha256(b"\x02", self.key, self.commitment)


@dataclass(frozen=True, slots=True)
class Parent:
    """Two subtrees, at most one of them empty."""

    left: bytes
    right: bytes

    @property
    def hash(self) -> bytes:
        """SHA-256(03 | left | right)."""
        return _sha256(b"\x03", self.left, self.right)


Node: TypeAlias = Leaf | Parent
ReadNode: TypeAlias = Callable[[bytes], Node]


class AlreadyThere(ValueError):  # noqa: N818 - a statement about a version
    """A version is never replaced."""


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def _joined(key: bytes, depth: int, own: bytes, other: bytes) -> Parent:
    return Parent(other, own) if _bit(key, depth) else Parent(own, other)


def insert(read: ReadNode, root: bytes, leaf: Leaf) -> tuple[bytes, list[Node]]:
    """The root with one more leaf, and the nodes that are new (those of older roots stay). AlreadyThere."""
    path: list[bytes] = []
    here = root
    while here != NOTHING and isinstance(node := read(here), Parent):
        right = _bit(leaf.key, len(path))
        path.append(node.left if right else node.right)
        here = node.right if right else node.left
    made: list[Node] = [leaf]
    if here != NOTHING:
        made += _parted(read(here), leaf, len(path))
    for depth in reversed(range(len(path))):
        made.append(_joined(leaf.key, depth, made[-1].hash, path[depth]))
    return made[-1].hash, made


def _parted(present: Node, leaf: Leaf, depth: int) -> list[Node]:
    """The parents that part two leaves, from below."""
    if not isinstance(present, Leaf) or present.key == leaf.key:
        raise AlreadyThere("this version is in the key log already")
    split = next(at for at in range(depth, 8 * HASH) if _bit(present.key, at) != _bit(leaf.key, at))
    made: list[Node] = [_joined(leaf.key, split, leaf.hash, present.hash)]
    for at in reversed(range(depth, split)):
        made.append(_joined(leaf.key, at, made[-1].hash, NOTHING))
    return made


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is found under a search key, and the path that proves it against a prefix tree's root.

    `leaf`: the version's own, or the one that stands in its place, or None for a missing child. `siblings`: from the
    root down.
    """

    leaf: Leaf | None
    siblings: tuple[bytes, ...]

    def encode(self, key: bytes) -> bytes:
        """`u8 result | u8 depth | commitment, or other key and commitment, or nothing | siblings left to right`."""
        result = _NO_CHILD if self.leaf is None else _FOUND if self.leaf.key == key else _OTHER_LEAF
        shown = b"" if self.leaf is None else self.leaf.commitment
        if self.leaf is not None and result == _OTHER_LEAF:
            shown = self.leaf.key + shown
        order = _left_to_right(key, len(self.siblings))
        return bytes((result, len(self.siblings))) + shown + b"".join(self.siblings[at] for at in order)

    @staticmethod
    def decode(data: bytes, key: bytes) -> "Lookup":
        """The lookup of `key` with exactly these bytes."""
        reader = Reader(data)
        result, depth = reader.u8(), reader.u8()
        match result:
            case 1:
                leaf: Leaf | None = Leaf(key, reader.take(HASH))
            case 2:
                leaf = Leaf(reader.take(HASH), reader.take(HASH))
            case 3:
                leaf = None
            case _:
                raise Malformed("a search in the key log has an unknown result")
        siblings = [NOTHING] * depth
        for at in _left_to_right(key, depth):
            siblings[at] = reader.take(HASH)
        reader.done()
        return Lookup(leaf, tuple(siblings))

    def proves(self, root: bytes, key: bytes) -> bytes | None:
        """The commitment that stands under `key` in the tree of this root, None if there is none. Forged."""
        depth = len(self.siblings)
        if self.leaf is not None and self.leaf.key != key and _agreement(self.leaf.key, key) < depth:
            _forged("another entry of the key log is shown in a place where it cannot stand")
        made = NOTHING if self.leaf is None else self.leaf.hash
        for at in reversed(range(depth)):
            made = _joined(key, at, made, self.siblings[at]).hash
        if not hmac.compare_digest(made, root):
            _forged("a search in the key log does not lead to its root")
        return self.leaf.commitment if self.leaf is not None and self.leaf.key == key else None


def _left_to_right(key: bytes, depth: int) -> list[int]:
    """Depths of a path's siblings in the order in which they stand in the tree."""
    lefts = [at for at in range(depth) if _bit(key, at)]
    return lefts + [at for at in reversed(range(depth)) if not _bit(key, at)]


def _agreement(one: bytes, other: bytes) -> int:
    """How many leading bits are equal."""
    differing = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return 8 * HASH - differing.bit_length()


def look_up(read: ReadNode, root: bytes, key: bytes) -> Lookup:
    """Search a key in the tree of that root."""
    siblings: list[bytes] = []
    here = root
    while here != NOTHING:
        node = read(here)
        if isinstance(node, Leaf):
            return Lookup(node, tuple(siblings))
        right = _bit(key, len(siblings))
        siblings.append(node.left if right else node.right)
        here = node.right if right else node.left
    return Lookup(None, tuple(siblings))


# --- log tree -------------------------------------------------------------------------------------------------------

FullSubtree: TypeAlias = Callable[[int, int], bytes]
"""`(level, index)` to the value of the complete subtree of 2**level entries that starts at index * 2**level."""


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def log_parent(left: bytes, left_size: int, right: bytes, right_size: int) -> bytes:
    """SHA-256(hc(left) | hc(right)), hc = 00|value for a leaf and 01|value for a parent."""
    marks = b"\x00" if left_size == 1 else b"\x01", b"\x00" if right_size == 1 else b"\x01"
    return _sha256(marks[0], left, marks[1], right)


def log_root(subtree: FullSubtree, size: int, start: int = 0) -> bytes:
    """The value of the subtree of `size` entries from `start`; of the whole log by default."""
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return subtree(level, start >> level)
    half = _split(size)
    return log_parent(log_root(subtree, half, start), half, log_root(subtree, size - half, start + half), size - half)


def completed(position: int, leaf: bytes, subtree: FullSubtree) -> list[tuple[int, int, bytes]]:
    """`(level, index, value)` of every subtree that the entry at `position` completes, itself first."""
    made = [(0, position, leaf)]
    while (last := made[-1])[1] & 1:
        level, index, value = last
        size = 1 << level
        made.append((level + 1, index >> 1, log_parent(subtree(level, index - 1), size, value, size)))
    return made


def inclusion(subtree: FullSubtree, position: int, size: int, start: int = 0) -> list[bytes]:
    """The path from an entry to the root of the log of `size`."""
    if not 0 <= position < size:
        raise IndexError("no such entry")
    if size == 1:
        return []
    half = _split(size)
    if position < half:
        return [*inclusion(subtree, position, half, start), log_root(subtree, size - half, start + half)]
    return [*inclusion(subtree, position - half, size - half, start + half), log_root(subtree, half, start)]


def root_over(path: Sequence[bytes], *, position: int, size: int, leaf: bytes) -> bytes:
    """The root to which a path leads from an entry. Forged."""
    left = list(path)
    root = _climbed(left, position, size, leaf)
    if left:
        _forged("a path in the key log is too long")
    return root


def _climbed(left: list[bytes], position: int, size: int, leaf: bytes) -> bytes:
    if not 0 <= position < size:
        _forged("the key log shows an entry that cannot be in it")
    if size == 1:
        return leaf
    half, sibling = _split(size), _taken(left)
    if position < half:
        return log_parent(_climbed(left, position, half, leaf), half, sibling, size - half)
    return log_parent(sibling, half, _climbed(left, position - half, size - half, leaf), size - half)


def _taken(left: list[bytes]) -> bytes:
    if not left:
        _forged("a path in the key log is too short")
    return left.pop()


def consistency(subtree: FullSubtree, first: int, second: int) -> list[bytes]:
    """The proof that the log of size `first` is the beginning of that of size `second`."""
    if not 0 < first <= second:
        raise ValueError("the first log must not be empty, nor larger than the second")
    return _subproof(subtree, first, second, 0, whole=True)


def _subproof(subtree: FullSubtree, first: int, size: int, start: int, *, whole: bool) -> list[bytes]:
    if first == size:
        return [] if whole else [log_root(subtree, size, start)]
    half = _split(size)
    if first <= half:
        deep = _subproof(subtree, first, half, start, whole=whole)
        return [*deep, log_root(subtree, size - half, start + half)]
    deep = _subproof(subtree, first - half, size - half, start + half, whole=False)
    return [*deep, log_root(subtree, half, start)]


def check_extends(proof: Sequence[bytes], *, first: int, old: bytes, second: int, new: bytes) -> None:
    """Forged unless the log `new` of size `second` begins with the log `old` of size `first`."""
    if not 0 < first <= second:
        _forged("the server shows a key log that is shorter than one it showed before")
    left = list(proof)
    before, after = _both(left, first, second, old, whole=True)
    if left or not hmac.compare_digest(before, old) or not hmac.compare_digest(after, new):
        _forged("the server shows a key log that does not continue the one it showed before")


def _both(left: list[bytes], first: int, size: int, old: bytes, *, whole: bool) -> tuple[bytes, bytes]:
    """The values of the old and of the new tree over this part."""
    if first == size:
        value = old if whole else _taken(left)
        return value, value
    half, sibling = _split(size), _taken(left)
    if first <= half:
        before, after = _both(left, first, half, old, whole=whole)
        return before, log_parent(after, half, sibling, size - half)
    before, after = _both(left, first - half, size - half, old, whole=False)
    return log_parent(sibling, half, before, first - half), log_parent(sibling, half, after, size - half)


# --- versions at an entry -------------------------------------------------------------------------------------------


def ladder(greatest: int) -> list[int]:
    """The versions to look up so that `greatest` is proven to be the newest: 0, 1, 3, 7, …, then halving."""
    asked, low, high = [0], -1, 0
    while high <= greatest:
        low, high = high, 2 * high + 1
        asked.append(high)
    while low + 1 < high:
        middle = (low + high) // 2
        asked.append(middle)
        low, high = (middle, high) if middle <= greatest else (low, middle)
    return [version for version in asked if version <= MAX_VERSION]


def shown_from(version: int, greatest: int | None) -> int:
    """The first version that an answer from `version` on proves, when `greatest` is the newest."""
    return max(version, (-1 if greatest is None else greatest) + 1 - VERSIONS_SHOWN)


def wanted(greatest: int | None, since: int) -> list[int]:
    """What an entry's proof looks up: the ladder, then every other version from `since` on."""
    if greatest is None:
        return [0]
    steps = ladder(greatest)
    return steps + sorted(set(range(since, greatest + 1)) - set(steps))


@dataclass(frozen=True, slots=True)
class Entry:
    """A log entry, its path to the head, and searches for one label's versions in its prefix tree, as served."""

    position: int
    timestamp_ms: int
    prefix_root: bytes
    path: tuple[bytes, ...]
    greatest: int | None
    lookups: tuple[bytes, ...]

    def root(self, size: int) -> bytes:
        """The log's root to which this entry leads. Forged."""
        leaf = log_leaf(self.timestamp_ms, self.prefix_root)
        return root_over(self.path, position=self.position, size=size, leaf=leaf)

    def versions(self, label: bytes, since: int) -> dict[int, bytes]:
        """The commitments of the versions that were looked up; the greatest is proven to be that. Forged, Malformed."""
        # Before anything is listed: a server may name any number here.
        if self.greatest is not None and not (0 <= self.greatest <= min(MAX_VERSION, since + VERSIONS_SHOWN)):
            _forged("the key log shows a number of versions that cannot be")
        asked = wanted(self.greatest, since)
        if len(asked) != len(self.lookups):
            _forged("the key log answers another search than was asked")
        found: dict[int, bytes] = {}
        for version, shown in zip(asked, self.lookups, strict=True):
            key = search_key(label, version)
            held = Lookup.decode(shown, key).proves(self.prefix_root, key)
            if (held is not None) != (self.greatest is not None and version <= self.greatest):
                _forged("the key log shows another newest version than it holds")
            if held is not None:
                found[version] = held
        return found


def distinguished(  # noqa: PLR0917 - the bounds of a recursion
    size: int, window_ms: int, newest_ms: int, timestamp: Callable[[int], int], after: int, upto: int | None = None
) -> Iterator[int]:
    """Entries that everybody checks, in order, from those after position `after` up to `upto`.

    About one a monitoring window; which they are follows from the times alone and is never undone. `timestamp` is
    asked for these entries and for those above them in the search tree.
    """
    last = size - 1 if upto is None else upto

    def below(start: int, count: int, left_ms: int, right_ms: int) -> Iterator[int]:
        if count <= 0 or start + count - 1 <= after or start > last or right_ms - left_ms < window_ms:
            return
        root = (1 << (count.bit_length() - 1)) - 1
        here = start + root
        at_ms = timestamp(here)
        yield from below(start, root, left_ms, at_ms)
        if after < here <= last:
            yield here
        yield from below(here + 1, count - root - 1, at_ms, right_ms)

    return below(0, size, 0, newest_ms)


def check_rising(entries: Collection[Entry]) -> None:
    """Forged when a later entry has an earlier time."""
    times = [entry.timestamp_ms for entry in sorted(entries, key=lambda entry: entry.position)]
    if times != sorted(times):
        _forged("the times in the key log run backwards")
