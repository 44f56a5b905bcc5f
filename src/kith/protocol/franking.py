"""Message franking, the Kith profile: proof for a person's own server that an account sent exactly these words.

The sender commits to the content with a tag in the MLS AAD; the hub authenticates the tag together with what it knows
about the submission (`Context`) by a MAC only it can make and a signature everybody can check; a report reveals
content and context, and `verify_item` says whether all of it fits. Constants, labels and layouts are those of the
profile and never change with the product: the shared vectors depend on them.
"""

import hashlib
import hmac
import struct
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import InitVar, dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol import content as mimi
from kith.protocol.content import MAX_CONTENT, MimiContent, WrongSalt
from kith.protocol.signing import sign_with_label, verify_with_label
from kith.protocol.uris import read_uri
from kith.protocol.wire import Malformed, Reader, vector

TAG: Final = 32
"""Bytes of a franking tag, of a server frank and of a hash."""
SUITE: Final = 1
"""MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519, whose signature scheme signs franks."""
MAX_ITEMS: Final = 30
"""Items in one report."""
HUB_KEY: Final = 32
"""Bytes of a hub key: random per period, never derived, so destroying it is real deletion."""

_AAD_HEAD: Final = bytes.fromhex("23002020")
"""A vector of 35 bytes with one item: component 0x0020 (frank_aad) and a vector of 32 bytes."""
_FRANK_LABEL: Final = vector(b"SaferFrank 1.0")
_SUITE_BYTES: Final = SUITE.to_bytes(2, "big")
_SINGLE_LABEL: Final = "FrankingIntegrityTBS"
_BATCH_LABEL: Final = "FrankingBatchTBS"
_MAX_URI: Final = 512
_MAX_PATH: Final = 32 * TAG
"""A batch size is 32 bits, so no path is longer than 32 nodes."""


# --- the sender's commitment ----------------------------------------------------------------------------------------


def franking_tag(salt: bytes, content: bytes) -> bytes:
    """HMAC-SHA256(salt, M). A salt that is not 16 bytes is Malformed: HMAC would pad it to another one's tag."""
    if len(salt) != mimi.SALT:
        raise WrongSalt("the salt is not 16 bytes")
    return hmac.digest(salt, content, "sha256")


def build_aad(tag: bytes) -> bytes:
    """SafeAAD with the tag as its only item: 36 bytes."""
    if len(tag) != TAG:
        raise Malformed("a franking tag is not 32 bytes")
    return _AAD_HEAD + tag


def parse_aad(aad: bytes) -> bytes:
    """The tag in a SafeAAD that holds it and nothing else. A second component would be a covert channel."""
    if len(aad) != len(_AAD_HEAD) + TAG or aad[:4] != _AAD_HEAD:
        raise Malformed("the message does not carry exactly one franking tag")
    return aad[4:]


# --- what the hub adds ----------------------------------------------------------------------------------------------

_TAIL: Final = struct.Struct(">QQI")


@lru_cache(maxsize=32_768)
def _uri(uri: str) -> bytes:
    """A URI as it stands in a context: the hub writes the same three for every message of a device in a room."""
    return vector(uri.encode("ascii"))


class Context(msgspec.Struct, frozen=True, gc=False):
    """SaferFrankingContext: what the hub itself knows about a submission, in wire order.

    `accepted_timestamp` is Unix milliseconds and never decreases in a room; `room_seq` counts accepted durable
    messages of the room without holes. URIs come from the authenticated session, never from a request body.
    """

    sender_uri: str
    room_uri: str
    accepted_timestamp: int
    sender_device: str
    epoch: int
    room_seq: int
    hub_key_id: int

    def encode(self) -> bytes:
        """The bytes that are MACed and signed."""
        try:
            return b"".join(
                (
                    _uri(self.sender_uri),
                    _uri(self.room_uri),
                    self.accepted_timestamp.to_bytes(8, "big"),
                    _uri(self.sender_device),
                    _TAIL.pack(self.epoch, self.room_seq, self.hub_key_id),
                )
            )
        except (OverflowError, struct.error, UnicodeEncodeError):
            raise Malformed("a franking context holds a value that has no encoding") from None

    @staticmethod
    def decode(data: bytes) -> "Context":
        """The context with exactly these bytes."""
        reader = Reader(data)
        context = Context.read(reader)
        reader.done()
        return context

    @staticmethod
    def read(reader: Reader) -> "Context":
        """The context at the cursor. URIs must be well formed and name an account, a room and a device."""
        return Context(
            sender_uri=read_uri(reader.vector(max=_MAX_URI), "u"),
            room_uri=read_uri(reader.vector(max=_MAX_URI), "r"),
            accepted_timestamp=reader.u64(),
            sender_device=read_uri(reader.vector(max=_MAX_URI), "d"),
            epoch=reader.u64(),
            room_seq=reader.u64(),
            hub_key_id=reader.u32(),
        )


def server_frank(hub_key: bytes, tag: bytes, ctx: Context) -> bytes:
    """The hub's MAC over tag and context; only a holder of `hub_key` (32 bytes) can make or check it."""
    return hmac.digest(hub_key, _FRANK_LABEL + tag + ctx.encode(), "sha256")


def integrity_tbs(frank: bytes, ctx: Context) -> bytes:
    """FrankingIntegrityTBS: what the hub signs so that receivers can check the context."""
    return frank + _SUITE_BYTES + ctx.encode()


def frank_and_tbs(hub_key: bytes, tag: bytes, ctx: Context) -> tuple[bytes, bytes]:
    """`server_frank` and `integrity_tbs` with the context encoded once: the hub's path for every message."""
    encoded = ctx.encode()
    frank = hmac.digest(hub_key, _FRANK_LABEL + tag + encoded, "sha256")
    return frank, frank + _SUITE_BYTES + encoded


# --- proofs ---------------------------------------------------------------------------------------------------------


class Proof(ABC):
    """FrankProof: the hub's signature over one TBS, or over the Merkle root of a batch that contains it."""

    __slots__ = ()

    @abstractmethod
    def encode(self) -> bytes:
        """The proof's bytes."""

    @staticmethod
    def decode(data: bytes) -> "SingleProof | BatchProof":
        """The proof with exactly these bytes."""
        reader = Reader(data)
        proof = Proof.read(reader)
        reader.done()
        return proof

    @staticmethod
    def read(reader: Reader) -> "SingleProof | BatchProof":
        """The proof at the cursor. Whether it proves anything is `verify_proof`'s question."""
        kind = reader.u8()
        if kind == 0:
            return SingleProof(reader.vector(max=255))
        if kind != 1:
            raise Malformed("a franking proof is of an unknown kind")
        leaf_index, batch_size = reader.u32(), reader.u32()
        path = reader.vector(max=_MAX_PATH)
        if len(path) % TAG:
            raise Malformed("a batch path is not made of 32-byte nodes")
        nodes = tuple(path[at : at + TAG] for at in range(0, len(path), TAG))
        return BatchProof(leaf_index, batch_size, nodes, reader.vector(max=255))


@dataclass(frozen=True, slots=True)
class SingleProof(Proof):
    """Kind 0: a plain signature; also the proof of a batch of one."""

    signature: bytes

    def encode(self) -> bytes:
        """`u8 0 | signature<V>`."""
        return b"\x00" + vector(self.signature)


@dataclass(frozen=True, slots=True)
class BatchProof(Proof):
    """Kind 1: a leaf's place in a batch, the sibling hashes up to the root, and the signature over the root."""

    leaf_index: int
    batch_size: int
    path: tuple[bytes, ...]
    signature: bytes

    def encode(self) -> bytes:
        """`u8 1 | u32 leaf_index | u32 batch_size | path<V> | signature<V>`."""
        head = b"\x01" + self.leaf_index.to_bytes(4, "big") + self.batch_size.to_bytes(4, "big")
        return head + vector(b"".join(self.path)) + vector(self.signature)


AnyProof: TypeAlias = SingleProof | BatchProof


def sign_single(private: Ed25519PrivateKey, tbs: bytes) -> SingleProof:
    """A proof of kind 0."""
    return SingleProof(sign_with_label(private, _SINGLE_LABEL, tbs))


def sign_batch(private: Ed25519PrivateKey, batch: Sequence[bytes]) -> list[AnyProof]:
    """One proof per TBS, in order, for the price of one signature; kind 0 when there is one."""
    if len(batch) < 2:  # noqa: PLR2004 - a batch of one uses kind 0
        return [sign_single(private, tbs) for tbs in batch]
    leaves = [leaf_hash(tbs) for tbs in batch]
    return [*batch_proofs(leaves, sign_leaves(private, leaves))]


def sign_leaves(private: Ed25519PrivateKey, leaves: Sequence[bytes]) -> bytes:
    """The signature over the root of a batch of at least two leaf hashes; with them it makes every proof again."""
    root = _levels([*leaves])[-1][0]
    return sign_with_label(private, _BATCH_LABEL, _batch_tbs(len(leaves), root))


def batch_proofs(leaves: Sequence[bytes], signature: bytes) -> list[BatchProof]:
    """The proof of every leaf of a signed batch, in order."""
    levels = _levels([*leaves])
    return [BatchProof(index, len(leaves), _path(levels, index), signature) for index in range(len(leaves))]


def verify_proof(public: bytes, tbs: bytes, proof: AnyProof) -> bool:
    """Whether the holder of `public` (32 bytes) signed this TBS, alone or in a batch. Never raises on bad input."""
    if isinstance(proof, SingleProof):
        return verify_with_label(public, _SINGLE_LABEL, tbs, proof.signature)
    root = _root(tbs, proof)
    return root is not None and verify_with_label(
        public, _BATCH_LABEL, _batch_tbs(proof.batch_size, root), proof.signature
    )


def _batch_tbs(size: int, root: bytes) -> bytes:
    return _SUITE_BYTES + size.to_bytes(4, "big") + root


def leaf_hash(tbs: bytes) -> bytes:
    """A TBS as a leaf of a batch's tree (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x00" + tbs).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _levels(hashes: list[bytes]) -> list[list[bytes]]:
    """The tree from leaves to root. Pairing neighbours and lifting an odd last one is RFC 9162's tree shape."""
    levels = [hashes]
    while len(hashes) > 1:
        lifted = hashes[-1:] if len(hashes) % 2 else []
        hashes = [_node(hashes[at], hashes[at + 1]) for at in range(0, len(hashes) - 1, 2)] + lifted
        levels.append(hashes)
    return levels


def _path(levels: list[list[bytes]], index: int) -> tuple[bytes, ...]:
    path = []
    for level in levels[:-1]:
        if (index ^ 1) < len(level):
            path.append(level[index ^ 1])
        index >>= 1
    return tuple(path)


def _root(tbs: bytes, proof: BatchProof) -> bytes | None:
    """The root that this proof leads to, or None when its numbers and its path do not fit each other."""
    index, size = proof.leaf_index, proof.batch_size
    if size < 2 or not 0 <= index < size or size >= 1 << 32:  # noqa: PLR2004 - a batch of one uses kind 0
        return None
    current, siblings = leaf_hash(tbs), iter(proof.path)
    while size > 1:
        if (index ^ 1) < size:
            sibling = next(siblings, None)
            if sibling is None or len(sibling) != TAG:
                return None
            current = _node(sibling, current) if index & 1 else _node(current, sibling)
        index, size = index >> 1, (size + 1) >> 1
    return current if next(siblings, None) is None else None


# --- reports --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReportItem:
    """An exhibit as the reporter handed it in: a claim about who said what, until it is verified."""

    content: bytes
    context: Context
    server_frank: bytes
    suite: int
    proof: AnyProof

    def encode(self) -> bytes:
        """`content<V> | SaferFrankingContext | server_frank[32] | u16 suite | FrankProof`."""
        if len(self.server_frank) != TAG:
            raise Malformed("a server frank is not 32 bytes")
        tail = self.server_frank + self.suite.to_bytes(2, "big") + self.proof.encode()
        return vector(self.content) + self.context.encode() + tail

    @staticmethod
    def decode(data: bytes) -> "ReportItem":
        """The item with exactly these bytes; its content is not interpreted."""
        reader = Reader(data)
        item = ReportItem(
            content=reader.vector(max=MAX_CONTENT),
            context=Context.read(reader),
            server_frank=reader.take(TAG),
            suite=reader.u16(),
            proof=Proof.read(reader),
        )
        reader.done()
        return item

    def __repr__(self) -> str:
        """Without anything that was said."""
        return f"ReportItem(room_seq={self.context.room_seq}, …)"


Exhibit: TypeAlias = ReportItem

Flaw: TypeAlias = Literal[
    "cbor",
    "salt",
    "sender_mismatch",
    "room_mismatch",
    "key_expired",
    "frank_mismatch",
    "signature",
    "not_member_at_seq",
    "duplicate_seq",
    "attachment_missing",
    "attachment_hash",
    "attachment_decrypt",
]
"""Why an exhibit proves nothing."""

_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class Verified:
    """Evidence: this account sent exactly this content, from this device, in this room, at this place and time.

    Only `verify_item` can make one; whatever takes a Verified cannot be handed a mere claim.
    """

    exhibit: Exhibit
    content: MimiContent
    message_id: bytes
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        """Refuse everybody but `verify_item`."""
        if seal is not _SEAL:
            raise TypeError("only verify_item makes Verified evidence")

    @property
    def context(self) -> Context:
        """What the hub recorded when it accepted the message."""
        return self.exhibit.context


@dataclass(frozen=True, slots=True)
class Unverified:
    """The reporter's claim, and why it proves nothing. It may be shown as such and must trigger nothing."""

    exhibit: Exhibit
    reason: Flaw


Keys: TypeAlias = Callable[[int], bytes | None]
"""From a `hub_key_id` to the key, or None when it is unknown or destroyed. `dict.get` is one."""


def verify_item(
    exhibit: Exhibit,
    *,
    room_uri: str,
    hub_key: Keys,
    signing_key: Keys,
    was_member: Callable[[int], bool],
) -> Verified | Unverified:
    """Judge one exhibit of a report about the room `room_uri`, in the order of the profile, section 8.

    `was_member(room_seq)` says whether the reporter was in that room when that message was accepted.
    """
    content = _parse(exhibit.content)
    if not isinstance(content, MimiContent):
        return Unverified(exhibit, content)
    context = exhibit.context
    flaw = (
        _binding_flaw(content, context, room_uri)
        or _frank_flaw(exhibit, content, hub_key(context.hub_key_id))
        or _signature_flaw(exhibit, signing_key(context.hub_key_id))
    )
    if flaw is None and not was_member(context.room_seq):
        flaw = "not_member_at_seq"
    if flaw is not None:
        return Unverified(exhibit, flaw)
    identity = mimi.message_id(context.sender_uri, context.room_uri, exhibit.content, content.salt)
    return Verified(exhibit, content, identity, _SEAL)


def _parse(data: bytes) -> MimiContent | Flaw:
    try:
        return mimi.decode(data)
    except WrongSalt:
        return "salt"
    except Malformed:
        return "cbor"


def _binding_flaw(content: MimiContent, context: Context, room_uri: str) -> Flaw | None:
    if content.sender_uri != context.sender_uri:
        return "sender_mismatch"
    if not content.room_uri == context.room_uri == room_uri:
        return "room_mismatch"
    return None


def _frank_flaw(exhibit: Exhibit, content: MimiContent, key: bytes | None) -> Flaw | None:
    if key is None:
        return "key_expired"
    expected = server_frank(key, franking_tag(content.salt, exhibit.content), exhibit.context)
    return None if hmac.compare_digest(expected, exhibit.server_frank) else "frank_mismatch"


def _signature_flaw(exhibit: Exhibit, public: bytes | None) -> Flaw | None:
    if public is None or exhibit.suite != SUITE:
        return "signature"
    tbs = integrity_tbs(exhibit.server_frank, exhibit.context)
    return None if verify_proof(public, tbs, exhibit.proof) else "signature"


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages that the room has and the report leaves out, first and last `room_seq` inclusive."""

    first: int
    last: int

    @property
    def missing(self) -> int:
        """How many messages that is."""
        return self.last - self.first + 1


ReportClass: TypeAlias = Literal["FULL", "PARTIAL", "NONE"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """All exhibits of a report in `room_seq` order, and what the report leaves out.

    Gaps and tail are counted over verified exhibits alone, since a claim may name any number; `omitted_tail` is None
    when nothing is verified. `equivocations` lists every `room_seq` under which the hub vouched for two different
    messages: proof that the hub, not a member, is at fault.
    """

    results: tuple[Verified | Unverified, ...]
    gaps: tuple[Gap, ...]
    omitted_tail: int | None
    report_class: ReportClass
    equivocations: tuple[int, ...]

    @property
    def verified(self) -> tuple[Verified, ...]:
        """The evidence, in order."""
        return tuple(result for result in self.results if isinstance(result, Verified))

    @property
    def unverified(self) -> tuple[Unverified, ...]:
        """The claims, in order."""
        return tuple(result for result in self.results if isinstance(result, Unverified))


def assess(
    items: Sequence[Exhibit],
    *,
    room_uri: str,
    room_head_seq: int,
    hub_key: Keys,
    signing_key: Keys,
    was_member: Callable[[int], bool],
) -> Assessment:
    """Judge a whole report about one room. Only its framing can be refused: fewer than 1 or more than 30 items."""
    if not 1 <= len(items) <= MAX_ITEMS:
        raise Malformed("a report holds 1 to 30 messages")
    judged = [
        verify_item(item, room_uri=room_uri, hub_key=hub_key, signing_key=signing_key, was_member=was_member)
        for item in items
    ]
    results, equivocations = _without_duplicates(judged)
    sequence = sorted(result.context.room_seq for result in results if isinstance(result, Verified))
    return Assessment(
        results=tuple(sorted(results, key=lambda result: result.exhibit.context.room_seq)),
        gaps=_gaps(sequence),
        omitted_tail=max(0, room_head_seq - sequence[-1]) if sequence else None,
        report_class=_report_class(len(sequence), len(results)),
        equivocations=equivocations,
    )


def _without_duplicates(
    judged: Iterable[Verified | Unverified],
) -> tuple[list[Verified | Unverified], tuple[int, ...]]:
    """One verified exhibit per `room_seq`: of equal ones the first, of different ones none.

    Unverified claims take no place, so that a forged item cannot displace a genuine one.
    """
    results = list(judged)
    places: defaultdict[int, list[int]] = defaultdict(list)
    for index, result in enumerate(results):
        if isinstance(result, Verified):
            places[result.context.room_seq].append(index)
    equivocations = []
    for seq, indices in places.items():
        differ = len({(results[index].exhibit.content, results[index].exhibit.context) for index in indices}) > 1
        if differ:
            equivocations.append(seq)
        for index in indices[0 if differ else 1 :]:
            results[index] = Unverified(results[index].exhibit, "duplicate_seq")
    return results, tuple(sorted(equivocations))


def _gaps(sequence: Sequence[int]) -> tuple[Gap, ...]:
    neighbours = pairwise(sequence)
    return tuple(Gap(before + 1, after - 1) for before, after in neighbours if after > before + 1)


def _report_class(verified: int, total: int) -> ReportClass:
    if verified == 0:
        return "NONE"
    return "FULL" if verified == total else "PARTIAL"
