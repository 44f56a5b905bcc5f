"""A small server with rooms, franked messages and staff, for the tests of reports and of the console."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.ledger import log
from kith.ledger.database import Database, Reader, Row, Tx
from kith.ledger.events import AccountCreated
from kith.people import projections as people
from kith.people import store as people_store
from kith.protocol import content as mimi
from kith.protocol.franking import Context, ReportItem, franking_tag, integrity_tbs, server_frank, sign_batch
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri, room_uri
from kith.reports import evidence, flows, projections, staffing, store
from kith.reports.desk import Desk
from kith.reports.evidence import Examined, Parties
from kith.reports.sealing import EvidenceKey
from kith.reports.staffing import Staff

HOST = "kith.test"
START = 1_767_225_600_000
"""1 January 2026, in milliseconds."""
EVIDENCE = bytes(range(32))
PASSWORD_HASH = staffing.hash_password("correct horse battery")


@dataclass
class Clock:
    """Milliseconds; moves only when told."""

    now: int = START

    def __call__(self) -> int:
        """The time."""
        return self.now


@dataclass
class Chat:
    """A room as the server knows it: who was in it from which message to which, and what was franked."""

    room: str
    members: dict[str, tuple[int, int | None]]
    items: list[ReportItem] = field(default_factory=list)


class Hub:
    """Franks messages the way the server does, with keys of its own and randomness that can be repeated."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.hub_keys = {number: self.random.randbytes(32) for number in (1, 2)}
        self.signers = {
            number: Ed25519PrivateKey.from_private_bytes(self.random.randbytes(32)) for number in self.hub_keys
        }
        """Rotated with the hub key, so that no message of one period is vouched for by the key of another."""
        self.chats: dict[str, Chat] = {}

    def new_id(self) -> str:
        """A UUID v4."""
        return str(UUID(bytes=self.random.randbytes(16), version=4))

    def signing_key(self, hub_key_id: int) -> bytes | None:
        """The public key that serves a hub key."""
        return public_bytes(self.signers[hub_key_id]) if hub_key_id in self.signers else None

    def chat(self, *members: str) -> Chat:
        """A room with these members from its first message on."""
        made = Chat(self.new_id(), dict.fromkeys(members, (1, None)))
        self.chats[made.room] = made
        return made

    def say(self, chat: Chat, sender: str, *texts: str, hub_key_id: int = 1) -> list[ReportItem]:
        """Messages that were really sent: franked and signed as one batch."""
        contexts: list[Context] = []
        contents: list[bytes] = []
        for words in texts:
            seq = len(chat.items) + len(contexts) + 1
            contexts.append(self._context(chat, sender, seq, hub_key_id))
            contents.append(self.content(chat, sender, words))
        made = self.frank(contents, contexts)
        chat.items.extend(made)
        return made

    def content(self, chat: Chat, sender: str, words: str) -> bytes:
        """M as a client encodes it."""
        salt, author, room = self.random.randbytes(16), account_uri(HOST, sender), room_uri(HOST, chat.room)
        return mimi.encode(mimi.text(words, salt=salt, sender_uri=author, room_uri=room))

    def frank(self, contents: list[bytes], contexts: list[Context]) -> list[ReportItem]:
        """What the server adds to contents that it accepted, in one batch under one key."""
        franks = [
            server_frank(self.hub_keys[context.hub_key_id], franking_tag(mimi.decode(m).salt, m), context)
            for m, context in zip(contents, contexts, strict=True)
        ]
        signer = self.signers[contexts[0].hub_key_id]
        proofs = sign_batch(signer, [integrity_tbs(f, c) for f, c in zip(franks, contexts, strict=True)])
        return [ReportItem(m, c, f, 1, p) for m, c, f, p in zip(contents, contexts, franks, proofs, strict=True)]

    def _context(self, chat: Chat, sender: str, seq: int, hub_key_id: int) -> Context:
        return Context(
            sender_uri=account_uri(HOST, sender),
            room_uri=room_uri(HOST, chat.room),
            accepted_timestamp=START + seq * 1000,
            sender_device=device_uri(HOST, self.new_id()),
            epoch=3,
            room_seq=seq,
            hub_key_id=hub_key_id,
        )

    # What messaging answers, as `routes.Rooms`.

    def was_member(self, _: Reader | None, room: str, account: str, seq: int) -> bool:
        """Was the account in the room at this message?"""
        chat = self.chats.get(room)
        first, last = chat.members.get(account, (1, 0)) if chat else (1, 0)
        return first <= seq and (last is None or seq <= last)

    def head_seq(self, _: Reader | None, room: str) -> int:
        """The last message's number."""
        return len(self.chats[room].items) if room in self.chats else 0

    def examine(self, items: list[ReportItem], parties: Parties) -> Examined:
        """As the route does before the flow."""
        return evidence.examine(
            items,
            parties,
            room_head_seq=self.head_seq(None, parties.room),
            member_at={
                seq: self.was_member(None, parties.room, parties.reporter, seq) for seq in evidence.sequences(items)
            },
            hub_key=self.hub_keys.get,
            signing_key=self.signing_key,
        )


class World:
    """A database on disk with people, staff, and a hub."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        projectors = {**log.PROJECTORS}
        for room in (people.PROJECTORS, projections.PROJECTORS):
            for kind, several in room.items():
                projectors[kind] = projectors.get(kind, ()) + several
        self.database = Database(path, projectors, clock=self.clock)
        self.database.create_tables()
        self.heard: list[object] = []
        self.database.listeners.append(self.heard.append)
        self.desk = Desk(EvidenceKey(EVIDENCE))
        self.hub = Hub()

    def do(self, flow: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a flow."""
        return self.database.write_now(flow, *args, **kwargs)

    def ask(self, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Ask for facts."""
        return self.database.read_now(question, *args, **kwargs)

    def account(self, handle: str, band: str = "18+") -> str:
        """A person; returns the account id."""
        made = self.hub.new_id()

        def make(tx: Tx) -> None:
            tx.append(AccountCreated(account=made, band=band))
            tx.put(people_store.profiles, account=made, handle=handle, skeleton=handle, display_name=handle.title())

        self.do(make)
        return made

    def staff(self, login: str, *roles: str) -> Staff:
        """A member of staff, signed in."""
        assert self.do(staffing.add_staff, login, PASSWORD_HASH, roles).allowed
        return self.sign_in(login)

    def sign_in(self, login: str) -> Staff:
        """A new session of a member of staff."""
        found = self.ask(staffing.find_login, login)
        signed_in = self.do(staffing.sign_in, login, found.staff, self.desk.limits)
        staff = self.ask(staffing.session_of, signed_in.token)
        assert isinstance(staff, Staff)
        return staff

    def open_cases(self) -> list[Row]:
        """Every open case, gravest first."""
        return self.database.read_now(
            lambda reader: reader.all(store.QUEUE, one="child-safety", two="general", three="appeals", most=100)
        )

    def exhibits(self, case: str) -> list[Row]:
        """The rows of a case's exhibits."""
        return self.database.read_now(lambda reader: reader.all(store.EXHIBITS, of_case=case))

    def notes(self, case: str) -> list[Row]:
        """The rows of a case's sealed notes."""
        return self.database.read_now(lambda reader: reader.all(store.SEALED_NOTES, of_case=case))

    def raw(self, sql: str) -> list[Any]:
        """Whatever the database holds."""
        return list(self.database._writer.execute(sql))

    def report(
        self, chat: Chat | None, reporter: str, reported: str, items: list[ReportItem] | None = None, **how: Any
    ) -> flows.Filed:
        """File a report as the route does."""
        examined = Examined()
        if chat is not None:
            parties = Parties(server=HOST, reporter=reporter, reported=reported, room=chat.room)
            examined = self.hub.examine(chat.items if items is None else items, parties)
        known: dict[str, Any] = {"category": "bullying", "minor_involved": False, "note": ""} | how
        filing = flows.Filing(reporter=reporter, account=reported, room=chat.room if chat else None, **known)
        filed = self.do(flows.file, filing, examined, self.desk)
        assert isinstance(filed, flows.Filed), filed
        return filed
