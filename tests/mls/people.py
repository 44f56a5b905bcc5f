"""Synthetic devices with Kith's engine: everything follows from a seed, so every run can be repeated bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol.identity import Identity
from kith.protocol.mls.client import MlsClient
from kith.protocol.mls.engine import Authenticate, Committed, MlsEngine, RosterChange, RosterPolicy, Settings
from kith.protocol.mls.group import Group
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri

NOW = 1_700_000_000
DAY = 24 * 3600
HOST = "kith.test"
GROUP_ID = bytes(range(16))


class Chance:
    """Bytes that look random and follow from a seed; no two calls give the same."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        """The next bytes."""
        self._calls += 1
        return hashlib.shake_256(self._seed + self._calls.to_bytes(8, "big")).digest(size)


def identity_of(name: str) -> bytes:
    """The credential identity of a device by this name."""

    def uuid(kind: str) -> str:
        digits = hashlib.sha256(f"{kind} {name}".encode()).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"

    return Identity(account_uri(HOST, uuid("account")), device_uri(HOST, uuid("device"))).encode()


def anybody(_identity: bytes, _key: bytes) -> bool:
    """A directory that knows everybody."""
    return True


def anything(_change: RosterChange) -> str | None:
    """A roster policy without objections."""
    return None


@dataclass
class Device:
    """One device: its engine, and its group once it is in one."""

    name: str
    seed: int = 0
    settings: Settings = field(default_factory=Settings)
    authenticate: Authenticate = anybody
    roster: RosterPolicy = anything
    now: int = NOW

    def __post_init__(self) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"key {self.name}".encode()).digest())
        self.engine = MlsClient(
            identity=identity_of(self.name),
            signature_key=public_bytes(self.key),
            signer=self.key,
            random=Chance(f"{self.seed} {self.name}"),
            authenticate=self.authenticate,
            roster=self.roster,
            settings=self.settings,
        )
        checked: MlsEngine[Group] = self.engine  # the engine is what the interface says
        assert checked is self.engine

    @property
    def identity(self) -> bytes:
        """Account and device URI."""
        return identity_of(self.name)

    def package(self) -> tuple[bytes, bytes]:
        """A fresh key package: message and secret record."""
        made = self.engine.new_key_package(not_before=self.now - DAY, not_after=self.now + 80 * DAY)
        return made.message, made.secret

    def create(self, group_id: bytes = GROUP_ID) -> Group:
        """A group of one."""
        return self.engine.create_group(group_id, not_before=self.now - DAY, not_after=self.now + 80 * DAY)


class Town:
    """A group of devices by name, each with its current state, all in the same epoch."""

    def __init__(self, *names: str, seed: int = 0, settings: Settings | None = None) -> None:
        self.seed = seed
        self.settings = settings if settings is not None else Settings()
        self.devices: dict[str, Device] = {}
        self.states: dict[str, Group] = {}
        first = self.device(names[0])
        self.states[names[0]] = first.create()
        if names[1:]:
            self.change(names[0], add=names[1:])

    def device(self, name: str) -> Device:
        """The device by that name."""
        if name not in self.devices:
            self.devices[name] = Device(name, self.seed, self.settings)
        return self.devices[name]

    def __iter__(self) -> Iterator[tuple[Device, Group]]:
        """Everybody in the group."""
        return iter([(self.devices[name], state) for name, state in self.states.items()])

    def leaf(self, name: str) -> int:
        """The leaf of a device."""
        return self.states[name].own_leaf

    def change(
        self, by: str, add: tuple[str, ...] = (), remove: tuple[str, ...] = (), *, encrypted: bool = False
    ) -> Committed[Group]:
        """A commit that everybody follows; what was uploaded."""
        packages = {name: self.device(name).package() for name in add}
        engine = self.devices[by].engine
        made = engine.commit(
            self.states[by],
            now_s=NOW,
            adds=[message for message, _ in packages.values()],
            removes=[self.leaf(name) for name in remove],
            encrypted=encrypted,
        )
        for name in [name for name in self.states if name != by]:
            done = self.devices[name].engine.process(self.states[name], made.commit)
            self.states[name] = done.state
        self.states[by] = engine.apply_own(made.state)
        for name in remove:
            assert not self.states.pop(name).active
        for name, (_, secret) in packages.items():
            assert made.welcome is not None
            self.states[name] = self.devices[name].engine.join(made.welcome, secret)
        return made

    def say(self, by: str, text: bytes, aad: bytes = b"") -> bytes:
        """A message; the sender's state is advanced."""
        said = self.devices[by].engine.protect(self.states[by], text, aad)
        self.states[by] = said.state
        return said.message

    def agree(self) -> bool:
        """Whether all have the same epoch authenticator, exporter and roster."""
        views = {
            (
                device.engine.epoch_authenticator(state),
                device.engine.exporter(state, b"label", b"context", 32),
                device.engine.roster(state),
                state.context,
            )
            for device, state in self
        }
        return len(views) == 1
