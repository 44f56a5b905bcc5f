"""Synthetic MLS: the public parts of groups, exact to the byte, with made-up secrets and ciphertexts."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.messaging.handshakes import Submitted
from kith.protocol.franking import build_aad
from kith.protocol.identity import Identity
from kith.protocol.mls.framing import parse_commit
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.mls.ratchet_tree import read_tree, tree_hash
from kith.protocol.signing import public_bytes, sign_with_label
from kith.protocol.uris import account_uri, device_uri
from kith.protocol.wire import vector

HOST = "kith.test"
DAY_S = 24 * 3600


def u16s(*numbers: int) -> bytes:
    """A vector of uint16."""
    return vector(b"".join(number.to_bytes(2, "big") for number in numbers))


CAPABLE = u16s(1) + u16s(1) + u16s() + u16s() + u16s(1)


@dataclass(frozen=True)
class Phone:
    """A device with its MLS signature key."""

    account: str
    device: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)

    @property
    def public(self) -> bytes:
        """The public half."""
        return public_bytes(self.key)

    def leaf(self, source: bytes, context: bytes = b"") -> bytes:
        """A signed LeafNode with a fresh encryption key."""
        identity = Identity(account_uri(HOST, self.account), device_uri(HOST, self.device)).encode()
        credential = b"\0\1" + vector(identity)
        signed = vector(os.urandom(32)) + vector(self.public) + credential + CAPABLE + source + vector(b"")
        return signed + vector(sign_with_label(self.key, "LeafNodeTBS", signed + context))

    def path_leaf(self, group_id: bytes, index: int) -> bytes:
        """The new leaf of a commit by this device."""
        return self.leaf(b"\3" + vector(b""), vector(group_id) + index.to_bytes(4, "big"))

    def key_package(self, now_ms: int, days: int = 80) -> bytes:
        """An MLSMessage with a fresh KeyPackage."""
        first = now_ms // 1000 - 60
        source = b"\1" + first.to_bytes(8, "big") + (first + days * DAY_S).to_bytes(8, "big")
        signed = b"\0\1\0\1" + vector(os.urandom(32)) + self.leaf(source) + vector(b"")
        return b"\0\1\0\5" + signed + vector(sign_with_label(self.key, "KeyPackageTBS", signed))


@dataclass(frozen=True)
class Group:
    """A group as its members know it, in public."""

    room: str
    epoch: int
    leaves: dict[int, bytes]
    phones: dict[int, Phone]
    transcript: bytes = b""
    tag: bytes = b"t" * 32

    @staticmethod
    def created(room: str, by: Phone, now_ms: int) -> Group:
        """Epoch 0, known to the creator alone."""
        leaf = parse_key_package(by.key_package(now_ms)).leaf.encoded
        return Group(room, 0, {0: leaf}, {0: by})

    @property
    def group_id(self) -> bytes:
        """16 bytes."""
        return UUID(self.room).bytes

    def tree(self) -> bytes:
        """The ratchet_tree extension's data; parents are blank."""
        nodes: list[bytes] = []
        for place in range(2 * max(self.leaves) + 1):
            leaf = self.leaves.get(place // 2) if place % 2 == 0 else None
            nodes.append(b"\0" if leaf is None else b"\1\1" + leaf)
        return vector(b"".join(nodes))

    def context(self) -> bytes:
        """GroupContext."""
        hashed = tree_hash(read_tree(self.tree()))
        return (
            b"\0\1\0\1"
            + vector(self.group_id)
            + self.epoch.to_bytes(8, "big")
            + vector(hashed)
            + vector(self.transcript)
            + vector(b"")
        )

    def index_of(self, phone: Phone) -> int:
        """The leaf of a device."""
        return next(index for index, one in self.phones.items() if one.device == phone.device)

    def info(self, by: Phone) -> bytes:
        """An MLSMessage with a GroupInfo signed by this member."""
        extensions = vector(b"\0\2" + vector(self.tree()))
        signed = self.context() + extensions + vector(self.tag) + self.index_of(by).to_bytes(4, "big")
        return b"\0\1\0\4" + signed + vector(sign_with_label(by.key, "GroupInfoTBS", signed))

    def commit(
        self,
        by: Phone,
        *,
        add: dict[Phone, bytes] | None = None,
        remove: tuple[Phone, ...] = (),
        path: bool | None = None,
    ) -> tuple[Submitted, Group]:
        """A commit by a member, and the group after it. `add`: devices with the key packages issued for them."""
        adds = add or {}
        index = self.index_of(by)
        leaves, phones = dict(self.leaves), dict(self.phones)
        proposals = b""
        for phone in remove:
            gone = self.index_of(phone)
            del leaves[gone], phones[gone]
            proposals += b"\1\0\3" + gone.to_bytes(4, "big")
        for phone, package in adds.items():
            free = next(i for i in range(len(leaves) + 1) if i not in leaves)
            leaves[free], phones[free] = parse_key_package(package).leaf.encoded, phone
            proposals += b"\1\0\1" + package[4:]
        with_path = path if path is not None else (bool(remove) or not adds)
        update = b"\0"
        if with_path:
            leaves[index] = by.path_leaf(self.group_id, index)
            update = b"\1" + leaves[index] + vector(b"")
        after = replace(self, epoch=self.epoch + 1, leaves=leaves, phones=phones, tag=os.urandom(32))
        commit = self._framed(by, index, proposals, update, after.tag)
        interim = hashlib.sha256(self.transcript + vector(self.tag)).digest()
        transcript = hashlib.sha256(interim + parse_commit(commit).transcript_input()).digest()
        after = replace(after, transcript=transcript)
        refs = [parse_key_package(package).ref for package in adds.values()]
        return Submitted(commit, welcome(*refs) if refs else None, after.info(by)), after

    def _framed(self, by: Phone, index: int, proposals: bytes, update: bytes, tag: bytes) -> bytes:
        sender = b"\1" + index.to_bytes(4, "big")
        content = (
            vector(self.group_id) + self.epoch.to_bytes(8, "big") + sender + vector(b"") + b"\3" + vector(proposals)
        ) + update
        signature = sign_with_label(by.key, "FramedContentTBS", b"\0\1\0\1" + content + self.context())
        return b"\0\1\0\1" + content + vector(signature) + vector(tag) + vector(b"M" * 32)

    def message(self, tag: bytes | None = b"f" * 32, size: int = 200) -> bytes:
        """An application message of this epoch with a franking tag, or an ephemeral one when `tag` is None."""
        aad = b"" if tag is None else build_aad(tag)
        return private(self.group_id, self.epoch, aad, size)


def private(group_id: bytes, epoch: int, aad: bytes, size: int = 200, content_type: int = 1) -> bytes:
    """A PrivateMessage with a made-up ciphertext."""
    head = b"\0\1\0\2" + vector(group_id) + epoch.to_bytes(8, "big") + bytes([content_type]) + vector(aad)
    return head + vector(b"s" * 28) + vector(os.urandom(size))


def welcome(*refs: bytes) -> bytes:
    """An MLSMessage with a Welcome for these key packages."""
    secrets = b"".join(vector(ref) + vector(b"k" * 32) + vector(b"sealed") for ref in refs)
    return b"\0\1\0\3\0\1" + vector(secrets) + vector(b"group info")
