"""People, devices and rooms on a real database, and what they do, without HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.ledger import log
from kith.ledger.database import Database, Tx
from kith.ledger.events import AccountCreated, DeviceRegistered, DeviceSignedIn
from kith.messaging import reactions
from kith.messaging.envelope import Message, read_message
from kith.messaging.flows import delivery, handshaking, key_packages, requests
from kith.messaging.flows.delivery import Hub
from kith.messaging.flows.writing import Sender
from kith.messaging.handshakes import Submitted
from kith.messaging.outcomes import Accepted, Refusal
from kith.messaging.projections import PROJECTORS as OURS
from kith.people import devices, sessions
from kith.people import store as people
from kith.people.connections import grant
from kith.people.projections import PROJECTORS as PEOPLES
from messaging.mls import HOST, Group, Phone

START = 1_767_225_600_000
"""1 January 2026, in milliseconds."""


def projectors() -> dict[Any, Any]:
    """Everybody's projectors that matter here."""
    together: dict[Any, Any] = {}
    for room in (log.PROJECTORS, PEOPLES, OURS):
        for event, functions in room.items():
            together[event] = (*together.get(event, ()), *functions)
    return together


@dataclass
class Clock:
    """Milliseconds; moves only when told."""

    now: int = START

    def __call__(self) -> int:
        """The time."""
        return self.now


class OneKey:
    """A hub with one key."""

    def __init__(self) -> None:
        self.secret = b"h" * 32
        self.signer = Ed25519PrivateKey.generate()

    def current(self) -> tuple[int, bytes, Ed25519PrivateKey]:
        """Key id, key, signer."""
        return 7, self.secret, self.signer


@dataclass
class Town:
    """A database and what happened in it."""

    database: Database
    clock: Clock
    keys: OneKey = field(default_factory=OneKey)
    heard: list[Any] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def hub(self) -> Hub:
        """What franks."""
        return Hub(HOST, self.keys)

    def do(self, flow: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a flow."""
        return self.database.write_now(flow, *args, **kwargs)

    def ask(self, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Ask for facts."""
        return self.database.read_now(question, *args, **kwargs)

    def events(self, kind: type | None = None) -> list[Any]:
        """Everything recorded so far, or one kind of it."""
        every = [recorded.event for recorded in log.every(self.database)]
        return [event for event in every if kind is None or isinstance(event, kind)]

    def react(self) -> None:
        """Let the room read what happened elsewhere."""

        def catch_up(tx: Tx) -> None:
            for recorded in log.read_from(tx, log.cursor_of(tx, reactions.READER), 10_000):
                reactions.react(tx, recorded)
                log.move_cursor(tx, reactions.READER, recorded.position)

        self.do(catch_up)

    # people

    def person(self, handle: str, band: str = "18+") -> str:
        """An account with that handle."""
        account = str(uuid4())

        def make(tx: Tx) -> None:
            tx.append(AccountCreated(account=account, band=band))
            tx.put(people.profiles, account=account, handle=handle, skeleton=handle, display_name=handle.title())
            tx.put(people.identities, account=account, aik=b"a" * 32, list_version=1, device_list=b"l", signature=b"s")

        self.do(make)
        return account

    def phone(self, account: str) -> Phone:
        """A registered device with a session."""
        phone = Phone(account, str(uuid4()))
        token = self.tokens[phone.device] = sessions.new_token()

        def make(tx: Tx) -> None:
            tx.append(DeviceSignedIn(account=account, device=phone.device))
            sessions.begin(tx, account, phone.device, token=token, share=b"s" * 32, name="Phone")
            row = devices.DeviceRow(phone.device, phone.public, tx.now, b"c" * 64)
            tx.put(people.device_keys, account=account, **row._asdict())
            tx.append(DeviceRegistered(account=account, device=phone.device))

        self.do(make)
        return phone

    def sign_out(self, phone: Phone) -> None:
        """The device is signed out."""
        self.do(sessions.destroy, phone.account, phone.device)

    # first contact

    def request(self, asker: str, handle: str) -> Any:
        """Ask for a handle."""
        return self.do(requests.ask, asker, handle=handle)

    def connect(self, one: str, other: str) -> str:
        """Connect two people; their room."""

        def make(tx: Tx) -> str:
            grant(tx, one, other)
            return requests.room_for(tx, one, other)

        return str(self.do(make))

    # rooms

    def stock(self, phone: Phone, count: int = 3, *, last_resort: bool = False) -> None:
        """Leave key packages."""
        offers = [self.offer(phone) for _ in range(count)]
        last = self.offer(phone) if last_resort else None
        answer = self.do(key_packages.store_packages, Sender(phone.account, phone.device), offers, last)
        assert not isinstance(answer, Refusal), answer

    def offer(self, phone: Phone, days: int = 80) -> key_packages.Offered:
        """A verified key package."""
        package = phone.key_package(self.clock.now, days)
        return key_packages.read_offer(
            package, server=HOST, account=phone.account, device=phone.device, now_ms=self.clock.now
        )

    def claim(self, by: Phone, room: str, *wanted: Phone) -> dict[Phone, bytes]:
        """Claimed key packages by device."""
        claim = self.do(key_packages.claim, Sender(by.account, by.device), room, [phone.device for phone in wanted])
        assert isinstance(claim, key_packages.Claim), claim
        packages = {issued.device: issued.package for issued in claim.packages}
        return {phone: packages[phone.device] for phone in wanted if phone.device in packages}

    def commit(self, by: Phone, room: str, submitted: Submitted, key: bytes | None = None) -> Accepted | Refusal:
        """Submit a commit."""
        before = self.ask(handshaking.group_of, by.account, room)
        here = {"server": HOST, "room": room, "device": by.device}
        prepared = handshaking.prepare(submitted, before, **here, now_ms=self.clock.now)
        sender = Sender(by.account, by.device)
        answer: Accepted | Refusal = self.do(handshaking.commit, sender, key or os.urandom(16), room, prepared)
        return answer

    def group(self, room: str, by: Phone, *others: Phone) -> Group:
        """The room's group with these devices."""
        submitted, group = Group.created(room, by, self.clock.now).commit(by, add=self.claim(by, room, *others))
        accepted = self.commit(by, room, submitted)
        assert isinstance(accepted, Accepted), accepted
        return group

    def send(self, by: Phone, group: Group, key: bytes | None = None, body: bytes | None = None) -> Accepted | Refusal:
        """Submit a message."""
        message = read_message(group.room, group.message() if body is None else body)
        if isinstance(message, Refusal):
            return message
        sender = Sender(by.account, by.device)
        answer: Accepted | Refusal = self.do(delivery.send, sender, key or os.urandom(16), message, hub=self.hub)
        return answer

    def mail(self, phone: Phone) -> list[delivery.Mail]:
        """What waits for a device."""
        found: list[delivery.Mail] = self.ask(delivery.waiting, phone.device, 0, 10_000)
        return found

    def body(self, mail: delivery.Mail) -> delivery.Body:
        """What a mail carries."""
        found = self.ask(delivery.body_of, mail)
        assert isinstance(found, delivery.Body)
        return found

    def ack(self, phone: Phone, *mails: int) -> None:
        """The device has these."""
        self.do(delivery.ack, phone.account, phone.device, list(mails))


__all__ = ["HOST", "START", "Accepted", "Clock", "Group", "Message", "OneKey", "Phone", "Refusal", "Town", "projectors"]
