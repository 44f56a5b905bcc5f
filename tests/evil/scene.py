"""One chat on the SDK, with everything around it in this process: the server, its log, the hub and the other device.

The client, its rooms, its directory and its key log are the real ones; `Server` answers its questions and may lie.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol import content as mimi
from kith.protocol import franking, identity, uris
from kith.protocol.frames import (
    MESSAGE,
    ROSTER,
    WELCOME,
    Accepted,
    ClientFrame,
    Commit,
    Frank,
    Mail,
    Refused,
    Submit,
)
from kith.protocol.identity import DeviceEntry, DeviceList, Identity
from kith.protocol.mls.client import MlsClient
from kith.protocol.mls.engine import Application, Settings
from kith.protocol.mls.group import Group
from kith.protocol.signing import public_bytes
from kith.protocol.transparency import key_value
from kith.protocol.uris import account_uri, device_uri, room_uri
from kith.sdk import Client, answers
from kith.sdk import client as sdk
from kith.sdk.chat import Message
from kith.sdk.records import PackageRecord, SessionRecord
from sdk.meeting import CHEAP, PASSPHRASE
from sdk.test_key_log import HOST
from sdk.test_key_log import Server as Log

ME, THEM, OUTSIDER = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
ROOM, ELSEWHERE = (f"00000000-0000-4000-8000-0000000000f{n}" for n in (1, 2))
MINE, THEIRS, TABLET, GHOST = (f"00000000-0000-4000-8000-0000000000d{n}" for n in (1, 2, 3, 4))
HUB_ID = 1
WAIT_S = 60.0
MEMORY = Path("/dev/shm")  # noqa: S108 - synthetic stores; what is not tested here is the disk


@dataclass
class Device:
    """Somebody's device: its keys, and MLS that lets everybody in."""

    account: str
    id: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    secret: bytes = b""

    @property
    def public(self) -> bytes:
        """Its MLS signature key."""
        return public_bytes(self.key)

    @property
    def who(self) -> Identity:
        """Its identity."""
        return Identity(account_uri(HOST, self.account), device_uri(HOST, self.id))

    @property
    def engine(self) -> MlsClient:
        """Its MLS."""
        return MlsClient(
            identity=self.who.encode(),
            signature_key=self.public,
            signer=self.key,
            random=os.urandom,
            authenticate=lambda _who, _key: True,
            roster=lambda _change: None,
            settings=Settings(leaves=1024, lifetime_s=None),
        )

    def package(self, *, expired: bool = False) -> bytes:
        """A key package of it."""
        now = int(time.time()) - (200 * 86_400 if expired else 0)
        made = self.engine.new_key_package(not_before=now - 60, not_after=now + 86_400)
        self.secret = made.secret
        return made.message


class Server:
    """What the server says over HTTP, by the names of `kith.sdk.api.Api`. `lie` may change what it says of devices."""

    def __init__(self) -> None:
        self.log = Log()
        self.log.now = time.time_ns() // 1_000_000 - 60_000
        self.log.log("00000000-0000-4000-8000-0000000000ee", b"somebody")
        self.hub = self.log.manifest_key
        self.manifest = self.log.manifest
        self.aiks = {account: Ed25519PrivateKey.generate() for account in (ME, THEM, OUTSIDER)}
        self.lists: dict[str, DeviceList] = {}
        self.packages: dict[str, bytes] = {}
        self.accounts = [ME, THEM]
        self.kind = "direct"
        self.hushes: list[str] = []
        self.lie: Callable[[answers.Devices], answers.Devices] = lambda answer: answer

    def lists_devices(self, account: str, *devices: Device) -> None:
        """The account signs a new list of its devices, and the log takes it in."""
        before = self.lists.get(account)
        entries = tuple(DeviceEntry(one.who.device_uri, one.public, 5) for one in devices)
        version = 1 if before is None else before.version + 1
        self.lists[account] = DeviceList(account_uri(HOST, account), version, 7, entries)
        self.log.log(account, self.value(account))

    async def restricted(self) -> list[answers.Hushed]:
        """Whom this account restricts."""
        return [answers.Hushed(one, "them", "Them", 0) for one in self.hushes]

    def value(self, account: str) -> bytes:
        """What the log holds of an account."""
        aik, made = self.aiks[account], self.lists[account]
        return key_value(public_bytes(aik), made.encode(), identity.sign_device_list(aik, made))

    def devices(self, account: str, size: int, aik: Ed25519PrivateKey | None = None) -> answers.Devices:
        """The honest answer; or the one of a server that holds an identity key of its own."""
        aik, made = aik or self.aiks[account], self.lists[account]
        certified = [
            answers.Device(
                entry.device_uri,
                entry.mls_key,
                entry.added_ms,
                identity.sign_certificate(aik, made.account_uri, entry.device_uri, entry.mls_key, entry.added_ms),
            )
            for entry in made.entries
        ]
        signature = identity.sign_device_list(aik, made)
        proof = self.log.proof(account, size)
        return answers.Devices(account, public_bytes(aik), made.encode(), signature, certified, proof)

    # --- the calls of Api ---------------------------------------------------------------------------------------------

    async def well_known(self) -> answers.WellKnown:
        """The manifest and the log's configuration."""
        lines = [answers.ManifestLine(one.entry, one.signature) for one in self.manifest.signed]
        return answers.WellKnown(HOST, "o", 1, "kith.v1", lines, self.log.endorsed())

    async def devices_of(self, account: str, size: int = 0) -> answers.Devices:
        """Keys."""
        return self.lie(self.devices(account, size))

    async def room(self, room: str) -> answers.Room:
        """Who is in the chat."""
        roles = {ME: "admin", THEM: "owner"}
        members = [
            answers.Member(one, f"h{one[-1]}", f"Name {one[-1]}", roles.get(one, "member")) for one in self.accounts
        ]
        group = answers.Group("Choir", "", "all", approval=False, role="admin", created_ms=5)
        is_group = self.kind == "group"
        return answers.Room(room, members, 1, writable=True, kind=self.kind, group=group if is_group else None)

    async def rooms(self) -> list[answers.Room]:
        """The one chat."""
        return [await self.room(ROOM)]

    async def claim(self, _room: str, devices: list[str]) -> answers.Packages:
        """Key packages."""
        found = [answers.Package(one, THEM, self.packages[one]) for one in devices if one in self.packages]
        return answers.Packages(found, [one for one in devices if one not in self.packages])

    async def close(self) -> None:
        """Nothing is open."""


class Line:
    """The stream, as the client sends into it."""

    def __init__(self) -> None:
        self.sent: list[ClientFrame] = []
        self.acked: list[int] = []

    def send(self, frame: ClientFrame) -> bool:
        """Kept."""
        self.sent.append(frame)
        return True

    def ack(self, mail_id: int) -> None:
        """Kept."""
        self.acked.append(mail_id)

    async def stop(self) -> None:
        """Nothing runs."""


class Scene:
    """This device has joined the other one's group; `mail`, `says`, `writes` and `commit` are what then happens."""

    def __init__(self, client: Client, server: Server, line: Line, clock: Clock) -> None:
        self.client, self.server, self.line, self.clock = client, server, line, clock
        self.peer = Device(THEM, THEIRS)
        assert client._world is not None
        self.mine = Device(ME, MINE, client._world.signer)  # type: ignore[arg-type]  # its device key
        server.lists_devices(ME, self.mine)
        server.lists_devices(THEM, self.peer)
        now = int(time.time())
        self.group: Group = self.peer.engine.create_group(
            uris.group_id(ROOM), not_before=now - 60, not_after=now + 9999
        )
        self.welcome = b""
        self.pos = self.seq = 0

    @property
    def state(self) -> Any:
        """The room on this device."""
        return self.client.state(ROOM)

    @property
    def log_size(self) -> int:
        """The size of the key log's head that this device holds."""
        assert self.client._trust is not None
        return self.client._trust.log.size

    # --- what the server does -----------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Every turn and every task is over."""
        async with asyncio.timeout(WAIT_S):
            while self.client._busy or self.client._again or self.client._tasks:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0)
        self.client._look_after()

    async def later(self, ms: int) -> None:
        """Time passes for this device."""
        self.clock.ahead_ms += ms
        self.client._poke(ROOM)
        await self.settled()

    async def mail(self, kind: int, body: bytes, frank: Frank | None = None, pos: int | None = None) -> None:
        """The next mail, or mail at another position."""
        if pos is None:
            self.pos += 1
            pos = self.pos
        self.client._heard(Mail(1000 + len(self.line.acked), kind, ROOM, pos, body, frank))
        await self.settled()

    async def message(self, said: tuple[bytes, Frank], pos: int | None = None) -> None:
        """A message as it was franked."""
        await self.mail(MESSAGE, said[0], said[1], pos)

    async def roster(self, account: str = THEM) -> None:
        """Word that somebody's devices changed, and the moment at which leaves are brought in line."""
        await self._moved({"account": account})

    async def members_changed(self) -> None:
        """Word that others are in the group now."""
        await self._moved({"room": ROOM})

    async def _moved(self, what: dict[str, str]) -> None:
        self.client._heard(Mail(999, ROSTER, None, 0, msgspec.json.encode(what), None))
        for _ in range(50):
            await asyncio.sleep(0)
        self.clock.ahead_ms += 2_000
        self.client._poke(ROOM)
        async with asyncio.timeout(WAIT_S):
            while self.client._busy or self.client._again:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0)

    def joins(self) -> bytes:
        """A new key package of this device, whose secret it keeps."""
        world = self.client._world
        assert world is not None
        now = int(time.time())
        made = world.engine(lambda _who, _key: True).new_key_package(not_before=now - 60, not_after=now + 86_400)
        with world.vault.transaction():
            record = PackageRecord(secret=made.secret, last_resort=False, not_after_ms=(now + 86_400) * 1000)
            world.vault.put("keys", f"kp/{made.ref.hex()}", record)
        return made.message

    # --- the other device ---------------------------------------------------------------------------------------------

    def frank(self, tag: bytes, sender: Device, at_epoch: int, **change: Any) -> Frank:
        """The hub numbers and signs, truly or with these fields of the context changed."""
        self.seq += 1
        fields: dict[str, Any] = {
            "sender_uri": sender.who.account_uri,
            "room_uri": room_uri(HOST, ROOM),
            "accepted_timestamp": self.clock() - 3_600_000,
            "sender_device": sender.who.device_uri,
            "epoch": at_epoch,
            "room_seq": self.seq,
            "hub_key_id": HUB_ID,
        }
        context = franking.Context(**{**fields, **change})
        if "room_seq" in change:
            self.seq -= 1
        made = franking.server_frank(bytes(32), tag, context)
        proof = franking.sign_single(self.server.hub, franking.integrity_tbs(made, context)).encode()
        return Frank(context.accepted_timestamp, context.room_seq, context.hub_key_id, made, franking.SUITE, proof)

    def says(self, text: str, **change: Any) -> tuple[bytes, Frank]:
        """What the other one says, franked."""
        salt = os.urandom(16)
        plain = mimi.text(text, salt=salt, sender_uri=self.peer.who.account_uri, room_uri=room_uri(HOST, ROOM))
        encoded = mimi.encode(plain)
        tag = franking.franking_tag(salt, encoded)
        made = self.peer.engine.protect(self.group, encoded, franking.build_aad(tag))
        self.group = made.state
        return made.message, self.frank(tag, self.peer, self.group.epoch, **change)

    def ghost_says(self, ghost: Device, text: str) -> tuple[bytes, Frank]:
        """A device that came in with the newest Welcome speaks, franked."""
        group = ghost.engine.join(self.welcome, ghost.secret)
        salt = os.urandom(16)
        plain = mimi.text(text, salt=salt, sender_uri=ghost.who.account_uri, room_uri=room_uri(HOST, ROOM))
        encoded = mimi.encode(plain)
        tag = franking.franking_tag(salt, encoded)
        made = ghost.engine.protect(group, encoded, franking.build_aad(tag))
        return made.message, self.frank(tag, ghost, group.epoch)

    def commit(self, *adds: bytes, removes: tuple[int, ...] = ()) -> bytes:
        """A commit of the other one that won its epoch."""
        made = self.peer.engine.commit(self.group, now_s=int(time.time()), adds=list(adds), removes=list(removes))
        self.group = self.peer.engine.apply_own(made.state)
        self.welcome = made.welcome or self.welcome
        return made.commit

    def my_leaf(self) -> int | None:
        """Where this device is in the other one's group."""
        mine = self.mine.who.encode()
        return next((one.leaf for one in self.peer.engine.roster(self.group) if one.identity == mine), None)

    # --- this device --------------------------------------------------------------------------------------------------

    async def writes(self, text: str) -> Submit:
        """Something is written here; what leaves."""
        self.client.queue(ROOM, text)
        await self.settled()
        return self.submits()[-1]

    def submits(self) -> list[Submit]:
        """Messages that left."""
        return [one for one in self.line.sent if isinstance(one, Submit)]

    def commits(self) -> list[Commit]:
        """Commits that left."""
        return [one for one in self.line.sent if isinstance(one, Commit)]

    def read(self, submit: Submit) -> tuple[str, bytes, int]:
        """What the other one reads: the words, the tag and the epoch."""
        done = self.peer.engine.process(self.group, submit.message)
        assert isinstance(done.event, Application)
        self.group = done.state
        words = mimi.plain_text(mimi.decode(done.event.plaintext)) or ""
        return words, franking.parse_aad(done.event.authenticated_data), done.event.epoch

    def answer(self, submit: Submit, **change: Any) -> Accepted:
        """The hub's answer to a message of this device."""
        _, tag, epoch = self.read(submit)
        hub = self.frank(tag, self.mine, epoch, **change)
        self.pos += 1
        return Accepted(
            submit.key,
            self.pos,
            hub.accepted_timestamp,
            hub.room_seq,
            hub.hub_key_id,
            hub.server_frank,
            hub.suite,
            hub.proof,
        )

    async def hears(self, frame: Accepted | Refused) -> None:
        """An answer comes."""
        self.client._heard(frame)
        await self.settled()

    async def adopts(self) -> None:
        """The server takes this device's newest commit, and the other one follows it."""
        sent = self.commits()[-1]
        self.group = self.peer.engine.process(self.group, sent.commit).state
        self.pos += 1
        await self.hears(Accepted(sent.key, self.pos, 1, None, None, None, None, None))

    # --- what is seen -------------------------------------------------------------------------------------------------

    def rows(self) -> list[Message]:
        """The thread."""
        return self.client.history(ROOM, 500)

    def texts(self) -> list[str]:
        """The words of both, in their order."""
        return [row.text for row in self.rows() if row.kind == "text"]

    def lines(self) -> list[str]:
        """What the client itself says in the thread."""
        return [row.text for row in self.rows() if row.kind == "info"]

    def marks(self) -> int:
        """How much the person sees that is not a genuine message: lines, tombstones, gaps and failed messages."""
        rows = self.rows()
        seen = sum(row.kind in ("info", "tombstone") for row in rows) + sum(row.gap_before for row in rows)
        return seen + sum(one.failure is not None for one in self.state.outbox())

    async def goes_on(self) -> None:
        """The genuine conversation: a message each way, shown once."""
        said = f"still here {self.seq}"
        await self.message(self.says(said))
        assert self.texts().count(said) == 1, [repr(row) for row in self.rows()][-4:] + self.lines()[-3:]
        before = len(self.commits())
        self.client.queue(ROOM, f"and I {self.seq}")
        await self.settled()
        if len(self.commits()) > before:  # whom no list names is put out before anything is said
            await self.adopts()
        words = [one.text for one in self.state.outbox() if one.failure is None]
        for _ in words:  # what waited before goes first
            await self.hears(self.answer(self.submits()[-1]))
        assert self.texts()[-len(words) :] == words

    async def heals(self) -> None:
        """The way out: this device is put out and in again, and the chat goes on."""
        others = [one.leaf for one in self.peer.engine.roster(self.group) if one.leaf != self.group.own_leaf]
        if others:
            self.commit(removes=tuple(others))
            self.pos += 1
        self.commit(self.joins())
        await self.mail(WELCOME, self.welcome)
        assert self.state.has_group()
        await self.goes_on()


@dataclass
class Clock:
    """The true time and what was added to it."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000 + self.ahead_ms


@asynccontextmanager
async def scene(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, joined: bool = True, kind: str = "direct"
) -> AsyncIterator[Scene]:
    """A device of its own for one attack."""
    server, line, clock = Server(), Line(), Clock()
    server.kind = kind
    monkeypatch.setattr(sdk, "Api", lambda *_args, **_more: server)
    client = Client(folder / "store.kith", PASSPHRASE, cost=CHEAP, clock=clock)
    async with client:
        session = SessionRecord(origin="http://kith.test", server=HOST, account=ME, device=MINE, token="t", handle="me")
        with client._need_vault().transaction():
            client._need_vault().put("account", "session", session)
        client._begin(session)
        monkeypatch.setattr(Client, "ready", property(lambda _self: True))
        client._link, client._online = line, True  # type: ignore[assignment]  # the same two verbs
        made = Scene(client, server, line, clock)
        if joined:
            made.commit(made.joins())
            await made.mail(WELCOME, made.welcome)
            assert made.state.has_group()
        yield made
