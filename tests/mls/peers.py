"""Three MLS engines behind one small interface, so that a run can mix them: Kith's, ts-mls under Node, mls-rs."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from kith.protocol.mls.engine import Application, Settings
from kith.protocol.mls.group import Group
from mls.people import Device, identity_of
from vectors.shared import REPOSITORY

MODULES = REPOSITORY / "web" / "node_modules"
LABEL, CONTEXT = b"differential", b"\x00\xff"


@dataclass(frozen=True)
class View:
    """What two members must see alike. What an engine does not show is None."""

    exporter: bytes
    epoch: int | None = None
    authenticator: bytes | None = None
    tree_hash: bytes | None = None
    roster: tuple[tuple[int, bytes], ...] | None = None

    def agrees(self, other: View) -> bool:
        """Whether everything that both show is equal."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return all(mine == theirs for mine, theirs in pairs if mine is not None and theirs is not None)


@dataclass(frozen=True)
class Heard:
    """A message as its reader sees it; `sender` and `aad` are None where an engine does not say."""

    text: bytes
    sender: bytes | None
    aad: bytes | None


class Peer(Protocol):
    """One device."""

    name: str

    def package(self) -> bytes:
        """A fresh key package."""
        ...

    def create(self, group_id: bytes) -> None:
        """Begin a group."""
        ...

    def join(self, welcome: bytes) -> None:
        """Join by a Welcome to the last package."""
        ...

    def commit(self, adds: list[bytes], removes: list[str], *, encrypted: bool) -> tuple[bytes, bytes | None]:
        """A commit and its Welcome. It counts once it is accepted."""
        ...

    def accept(self) -> None:
        """The commit was accepted."""
        ...

    def follow(self, commit: bytes) -> bool:
        """Somebody else's commit; whether this device is still in the group."""
        ...

    def protect(self, text: bytes, aad: bytes) -> bytes:
        """A message."""
        ...

    def read(self, message: bytes) -> Heard:
        """Somebody else's message."""
        ...

    def view(self) -> View:
        """What it sees of the group."""
        ...

    def restart(self) -> None:
        """From its stored state."""
        ...


def _leaf_of(roster: tuple[tuple[int, bytes], ...], name: str) -> int:
    return next(leaf for leaf, identity in roster if identity == identity_of(name))


class KithPeer:
    """Kith's engine."""

    def __init__(self, name: str, seed: int, settings: Settings | None = None) -> None:
        self.name = name
        # The other libraries read the clock, so the lifetimes of key packages must be of today.
        self.device = Device(name, seed, settings if settings is not None else Settings(), now=int(time.time()))
        self.engine = self.device.engine
        self.secret = b""
        self.state: Group | None = None

    @property
    def group(self) -> Group:
        """The state."""
        assert self.state is not None
        return self.state

    def package(self) -> bytes:
        """A fresh key package."""
        message, self.secret = self.device.package()
        return message

    def create(self, group_id: bytes) -> None:
        """Begin a group."""
        self.state = self.device.create(group_id)

    def join(self, welcome: bytes) -> None:
        """Join by the last package."""
        self.state = self.engine.join(welcome, self.secret)

    def commit(self, adds: list[bytes], removes: list[str], *, encrypted: bool) -> tuple[bytes, bytes | None]:
        """A pending commit."""
        roster = tuple((member.leaf, member.identity) for member in self.engine.roster(self.group))
        made = self.engine.commit(
            self.group,
            now_s=int(time.time()),
            adds=adds,
            removes=[_leaf_of(roster, name) for name in removes],
            authenticated_data=b"because",
            encrypted=encrypted,
        )
        self.state = made.state
        return made.commit, made.welcome

    def accept(self) -> None:
        """Apply it."""
        self.state = self.engine.apply_own(self.group)

    def follow(self, commit: bytes) -> bool:
        """Somebody else's."""
        self.state = self.engine.process(self.group, commit).state
        return self.engine.is_active(self.state)

    def protect(self, text: bytes, aad: bytes) -> bytes:
        """A message."""
        said = self.engine.protect(self.group, text, aad)
        self.state = said.state
        return said.message

    def read(self, message: bytes) -> Heard:
        """Somebody else's."""
        done = self.engine.process(self.group, message)
        assert isinstance(done.event, Application)
        self.state = done.state
        return Heard(done.event.plaintext, done.event.sender.identity, done.event.authenticated_data)

    def view(self) -> View:
        """All of it."""
        exported = self.engine.exporter(self.group, LABEL, CONTEXT, 32)
        return View(
            exporter=exported + self.engine.exporter(self.group, b"", b"", 16),
            epoch=self.group.epoch,
            authenticator=self.engine.epoch_authenticator(self.group),
            tree_hash=self.group.context.tree_hash,
            roster=tuple((member.leaf, member.identity) for member in self.engine.roster(self.group)),
        )

    def restart(self) -> None:
        """Serialise, restore, and nothing is lost."""
        again = self.engine.restore(self.engine.serialise(self.group), at_least=self.group.revision)
        assert again == self.group
        self.state = again


# --- ts-mls ---------------------------------------------------------------------------------------------------------


class PeerError(Exception):
    """ts-mls refused."""


def why_no_node() -> str | None:
    """Why ts-mls cannot run here, or None."""
    if shutil.which("node") is None:
        return "Node is not installed"
    if not (MODULES / "ts-mls").is_dir():
        return "the web client's packages are not installed (make web)"
    return None


def mended_library(folder: Path) -> Path:
    """A copy of ts-mls with the mends that the web client is built with; the folder to give to `Node`."""
    library = folder / "modules" / "ts-mls" / "dist" / "src"
    shutil.copytree(MODULES / "ts-mls" / "dist" / "src", library, dirs_exist_ok=True)
    (library.parents[1] / "package.json").write_text('{"type": "module"}')
    for name, mends in json.loads((MODULES.parent / "mends.json").read_text()).items():
        code = (library / name).read_text()
        for mend in mends:
            assert code.count(mend["find"]) == 1, f"{name}: {mend['why']}"
            code = code.replace(mend["find"], mend["put"])
        (library / name).write_text(code)
    link = folder / "node_modules"  # what the library itself imports
    if not link.exists():
        link.symlink_to(MODULES.resolve())
    return folder / "modules"


class Asked(Protocol):
    """Where devices live that are asked in JSON."""

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """One operation; PeerError when it is refused."""
        ...


class Node:
    """A process with devices in it: of ts-mls alone, or of whatever `command` starts."""

    def __init__(self, modules: Path = MODULES, *, command: list[str] | None = None) -> None:
        alone = ["node", str(Path(__file__).with_name("peer.mjs")), str(modules)]
        self._process = subprocess.Popen(
            command if command is not None else alone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """One operation; PeerError when it is refused."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer


class TsPeer:
    """A device with ts-mls. `ms` is what its last operation took where it ran."""

    def __init__(self, node: Asked, name: str) -> None:
        self.name = name
        self.ms = 0.0
        self._node = node
        node.ask("device", name=name, identity=identity_of(name).hex())

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """One operation of this device."""
        answer = self._node.ask(op, name=self.name, **arguments)
        self.ms = answer.get("ms", 0.0)
        return answer

    def package(self) -> bytes:
        """A fresh key package."""
        return bytes.fromhex(self.ask("package")["message"])

    def create(self, group_id: bytes) -> None:
        """Begin a group."""
        self.ask("create", group=group_id.hex())

    def join(self, welcome: bytes) -> None:
        """Join by any package of ours."""
        self.ask("join", welcome=welcome.hex())

    def commit(self, adds: list[bytes], removes: list[str], *, encrypted: bool) -> tuple[bytes, bytes | None]:
        """A pending commit."""
        leaves = [_leaf_of(self.roster(), name) for name in removes] if removes else []
        made = self.ask(
            "commit", adds=[one.hex() for one in adds], removes=leaves, aad=b"because".hex(), encrypted=encrypted
        )
        return bytes.fromhex(made["commit"]), bytes.fromhex(made["welcome"]) if made["welcome"] else None

    def accept(self) -> None:
        """Apply it."""
        self.ask("accept")

    def follow(self, commit: bytes) -> bool:
        """Somebody else's."""
        return bool(self.ask("process", message=commit.hex())["active"])

    def protect(self, text: bytes, aad: bytes) -> bytes:
        """A message."""
        return bytes.fromhex(self.ask("protect", text=text.hex(), aad=aad.hex())["message"])

    def read(self, message: bytes) -> Heard:
        """Somebody else's."""
        heard = self.ask("process", message=message.hex())
        return Heard(bytes.fromhex(heard["text"]), bytes.fromhex(heard["identity"]), bytes.fromhex(heard["aad"]))

    def roster(self) -> tuple[tuple[int, bytes], ...]:
        """Leaves and identities."""
        return tuple((leaf, bytes.fromhex(identity)) for leaf, identity in self.ask("view")["roster"])

    def view(self) -> View:
        """All of it."""
        seen = self.ask("view")
        return View(
            exporter=bytes.fromhex(seen["exporter"]),
            epoch=seen["epoch"],
            authenticator=bytes.fromhex(seen["authenticator"]),
            tree_hash=bytes.fromhex(seen["tree"]),
            roster=tuple((leaf, bytes.fromhex(identity)) for leaf, identity in seen["roster"]),
        )

    def restart(self) -> None:
        """Encode and decode."""
        self.ask("restart")


# --- mls-rs ---------------------------------------------------------------------------------------------------------


@cache
def mls_rs() -> Any | None:
    """The module of the mls-rs wheel, or None where none is installed."""
    try:
        mls_rs_uniffi = importlib.import_module("mls_rs_uniffi")
    except (ImportError, OSError):  # there is no wheel for every platform
        return None
    return mls_rs_uniffi


class RsPeer:
    """A device with mls-rs. It names no sender and has no authenticated data, so these stay unseen."""

    def __init__(self, name: str) -> None:
        library = mls_rs()
        assert library is not None
        self.name = name
        self._library = library
        keys = library.generate_signature_keypair(library.CipherSuite.CURVE25519_AES128)
        self._client = library.Client(identity_of(name), keys, library.client_config_default())
        self._group: Any = None
        self._names: dict[str, Any] = {}

    def package(self) -> bytes:
        """A fresh key package."""
        return bytes(self._client.generate_key_package_message().to_bytes())

    def create(self, group_id: bytes) -> None:
        """Begin a group."""
        self._group = self._client.create_group(group_id)

    def join(self, welcome: bytes) -> None:
        """Join."""
        self._group = self._client.join_group(None, self._library.Message.from_bytes(welcome)).group

    def introduce(self, others: list[RsPeer]) -> None:
        """Learn the signing identities that `remove_members` wants."""
        self._names = {other.name: other._client.signing_identity() for other in others}

    def commit(self, adds: list[bytes], removes: list[str], *, encrypted: bool) -> tuple[bytes, bytes | None]:
        """A pending commit: of one kind only, which is how this library has them."""
        assert not encrypted
        if adds:
            made = self._group.add_members([self._library.Message.from_bytes(one) for one in adds])
        elif removes:
            made = self._group.remove_members([self._names[name] for name in removes])
        else:
            made = self._group.commit()
        self._pending = made.commit_message
        welcome = made.welcome_message
        return bytes(made.commit_message.to_bytes()), bytes(welcome.to_bytes()) if welcome else None

    def accept(self) -> None:
        """The library applies its own commit when it hears it."""
        self._group.process_incoming_message(self._pending)

    def follow(self, commit: bytes) -> bool:
        """Somebody else's."""
        done = self._group.process_incoming_message(self._library.Message.from_bytes(commit))
        return not done.effect.is_removed()

    def protect(self, text: bytes, aad: bytes) -> bytes:
        """A message, without authenticated data."""
        assert not aad
        return bytes(self._group.encrypt_application_message(text).to_bytes())

    def read(self, message: bytes) -> Heard:
        """Somebody else's."""
        done = self._group.process_incoming_message(self._library.Message.from_bytes(message))
        return Heard(bytes(done.data), None, None)

    def view(self) -> View:
        """Exported secrets, which follow from everything else."""
        exported = bytes(self._group.export_secret(LABEL, CONTEXT, 32))
        return View(exporter=exported + bytes(self._group.export_secret(b"", b"", 16)))

    def restart(self) -> None:
        """Write and load."""
        self._group.write_to_storage()


def relaxed(settings: Settings) -> Settings:
    """Settings for groups with mls-rs, whose key packages live a year."""
    return replace(settings, lifetime_s=None)
