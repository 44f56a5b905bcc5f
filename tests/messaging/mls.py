"""Devices and groups of synthetic people, with Kith's own engine: what a server is sent is the real thing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.messaging.handshakes import Submitted
from kith.protocol.franking import build_aad
from kith.protocol.identity import Identity
from kith.protocol.mls.client import MlsClient
from kith.protocol.mls.engine import Settings
from kith.protocol.mls.group import Group as State
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri
from kith.protocol.wire import vector

HOST = "kith.test"
DAY_S = 24 * 3600


@dataclass(frozen=True)
class Phone:
    """A device with its MLS signature key."""

    account: str
    device: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)
    secrets: dict[bytes, bytes] = field(default_factory=dict, repr=False, compare=False)
    """What opens a Welcome, by KeyPackageRef."""

    @property
    def public(self) -> bytes:
        """The public half."""
        return public_bytes(self.key)

    @property
    def identity(self) -> bytes:
        """What stands in its credential."""
        return Identity(account_uri(HOST, self.account), device_uri(HOST, self.device)).encode()

    @property
    def engine(self) -> MlsClient:
        """An engine without scruples: what it makes is for the server to judge."""
        return MlsClient(
            identity=self.identity,
            signature_key=self.public,
            signer=self.key,
            random=os.urandom,
            authenticate=lambda _identity, _key: True,
            roster=lambda _change: None,
            settings=Settings(lifetime_s=None),
        )

    def key_package(self, now_ms: int, days: int = 80) -> bytes:
        """An MLSMessage with a fresh KeyPackage."""
        first = now_ms // 1000 - 60
        made = self.engine.new_key_package(not_before=first, not_after=first + days * DAY_S)
        self.secrets[made.ref] = made.secret
        return made.message


@dataclass(frozen=True)
class Group:
    """A group at one epoch, as each of its devices has it."""

    room: str
    now_s: int
    states: dict[Phone, State]

    @staticmethod
    def created(room: str, by: Phone, now_ms: int) -> Group:
        """Epoch 0, known to the creator alone."""
        first = now_ms // 1000 - 60
        state = by.engine.create_group(UUID(room).bytes, not_before=first, not_after=first + 80 * DAY_S)
        return Group(room, now_ms // 1000, {by: state})

    @property
    def group_id(self) -> bytes:
        """16 bytes."""
        return UUID(self.room).bytes

    @property
    def epoch(self) -> int:
        """Of every device."""
        return next(iter(self.states.values())).epoch

    def leaf_of(self, phone: Phone) -> int:
        """The index of a device's leaf."""
        members = next(iter(self.states.values())).members()
        return next(one.leaf for one in members if one.identity == phone.identity)

    def commit(
        self, by: Phone, *, add: dict[Phone, bytes] | None = None, remove: tuple[Phone, ...] = ()
    ) -> tuple[Submitted, Group]:
        """A commit by a member, and the group after it. `add`: devices with the key packages issued for them."""
        adds, removes = add or {}, [self.leaf_of(phone) for phone in remove]
        now_s = max([self.now_s, *(_valid_from(package) for package in adds.values())])
        made = by.engine.commit(self.states[by], now_s=now_s, adds=list(adds.values()), removes=removes)
        after = {by: by.engine.apply_own(made.state)}
        for phone, state in self.states.items():
            if phone != by and phone.device not in {one.device for one in remove}:
                after[phone] = phone.engine.process(state, made.commit).state
        for phone, package in adds.items():
            assert made.welcome is not None
            after[phone] = phone.engine.join(made.welcome, phone.secrets[parse_key_package(package).ref])
        return Submitted(made.commit, made.welcome, made.group_info), replace(self, states=after)

    def info(self, by: Phone) -> bytes:
        """An MLSMessage with the GroupInfo of this epoch, signed by this member."""
        return by.engine.group_info(self.states[by])

    def message(self, tag: bytes | None = b"f" * 32, size: int = 200) -> bytes:
        """An application message of this epoch with a franking tag, or an ephemeral one when `tag` is None."""
        aad = b"" if tag is None else build_aad(tag)
        return private(self.group_id, self.epoch, aad, size)


def _valid_from(package: bytes) -> int:
    lifetime = parse_key_package(package).leaf.lifetime
    assert lifetime is not None
    return lifetime.not_before


def private(group_id: bytes, epoch: int, aad: bytes, size: int = 200, content_type: int = 1) -> bytes:
    """A PrivateMessage with a made-up ciphertext."""
    head = b"\0\1\0\2" + vector(group_id) + epoch.to_bytes(8, "big") + bytes([content_type]) + vector(aad)
    return head + vector(b"s" * 28) + vector(os.urandom(size))


def welcome(*refs: bytes) -> bytes:
    """An MLSMessage with a Welcome for these key packages."""
    secrets = b"".join(vector(ref) + vector(b"k" * 32) + vector(b"sealed") for ref in refs)
    return b"\0\1\0\3\0\1" + vector(secrets) + vector(b"group info")
