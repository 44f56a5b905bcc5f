"""A real database on disk, a clock that obeys, and people's HTTP over it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Litestar
from litestar.testing import TestClient

from kith.app.http import people_app
from kith.ledger import log
from kith.ledger.database import Database, Tx
from kith.ledger.events import AccountCreated
from kith.people import devices, flows, sessions, store
from kith.people.ages import Placed
from kith.people.projections import PROJECTORS
from kith.people.routes import ROUTES
from kith.people.server import ServerFacts
from kith.protocol.identity import DeviceEntry, DeviceList, sign_certificate, sign_device_list
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri

HOST = "kith.test"
ORIGIN = f"https://{HOST}"
START = 1_767_225_600_000
"""1 January 2026, in milliseconds."""
ADULT = Placed("18+", None)
GOOD = "correct horse battery"


@dataclass
class Clock:
    """Milliseconds; moves only when told."""

    now: int = START

    def __call__(self) -> int:
        """The time."""
        return self.now


@dataclass
class World:
    """A database and what happened in it."""

    database: Database
    clock: Clock
    server: ServerFacts
    heard: list[object] = field(default_factory=list)

    def do(self, flow: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a flow."""
        return self.database.write_now(flow, *args, **kwargs)

    def ask(self, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Ask for facts."""
        return self.database.read_now(question, *args, **kwargs)

    def account(self, name: str, placed: Placed = ADULT) -> str:
        """An account with that id and handle, without HTTP."""

        def make(tx: Tx) -> None:
            tx.append(AccountCreated(account=name, band=placed.band, next_band_ms=placed.next_band_ms))
            tx.put(store.profiles, account=name, handle=name, skeleton=name, display_name=name.title())

        self.do(make)
        return name

    def signed_up(self, handle: str, placed: Placed = ADULT) -> tuple[str, str, str]:
        """`(account, device, token)` of a new account, without hashing."""
        token = sessions.new_token()
        done = self.do(
            flows.sign_up,
            placed,
            handle=handle,
            display_name=handle.title(),
            password_hash="none",
            terms_version="1",
            arrival=arrival(token),
        )
        assert done is not None
        return done.account, done.device, token

    def events(self) -> list[Any]:
        """Everything recorded so far."""
        return [recorded.event for recorded in log.every(self.database)]


def arrival(token: str | None = None, name: str = "Phone") -> flows.Arrival:
    """A device that signs in."""
    return flows.Arrival(
        token=token or sessions.new_token(),
        share=sessions.new_share(),
        name=name,
        address="192.0.2.7",
        agent="tests",
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An empty server."""
    clock = Clock()
    database = Database(tmp_path / "kith.db", {**PROJECTORS, **log.PROJECTORS}, clock=clock)
    database.create_tables()
    server = ServerFacts(name=HOST, origin=ORIGIN, ticket_key=b"k" * 32, clock=clock)
    made = World(database, clock, server)
    database.listeners.append(made.heard.append)
    yield made
    server.hasher.close()
    database.close_now()


@pytest.fixture
def app(world: World, tmp_path: Path) -> Litestar:
    """People's routes, with the errors and the guard that the real server has."""
    return people_app(
        database=world.database,
        server=world.server,
        keys=None,  # type: ignore[arg-type]  # only the key manifest needs them
        client=tmp_path / "client",
        routes=ROUTES,
        provide={},
    )


class Caller:
    """A program or a browser that talks to the server."""

    def __init__(self, http: TestClient[Litestar]) -> None:
        self.http = http
        self.token: str | None = None

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One request, with the session and the server's own Origin."""
        sent = {"Origin": ORIGIN, **headers}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        return self.http.request(method, f"/api/v1{path}", json=body, headers=sent)

    def raw(self, method: str, path: str, body: bytes, kind: str) -> Any:
        """One request with these bytes, said to be of this kind."""
        sent = {"Origin": ORIGIN, "Authorization": f"Bearer {self.token}", **({"Content-Type": kind} if kind else {})}
        return self.http.request(method, f"/api/v1{path}", content=body, headers=sent)

    def ticket(self, year: int = 1990, month: int = 5) -> str:
        """An age ticket."""
        return str(self.call("POST", "/age", {"year": year, "month": month}).json()["ticket"])

    def sign_up(
        self, handle: str, *, year: int = 1990, month: int = 5, password: str = GOOD, bearer: bool = True
    ) -> Any:
        """Make an account; keeps the token."""
        body = {
            "ticket": self.ticket(year, month),
            "handle": handle,
            "display_name": handle.title(),
            "password": password,
            "terms_version": self.call("GET", "/terms").json()["version"],
            "device_name": "Phone",
            "bearer": bearer,
        }
        answer = self.call("POST", "/accounts", body)
        if answer.status_code == 201 and bearer:
            self.token = answer.json()["token"]
        return answer

    def sign_in(self, handle: str, password: str = GOOD, *, bearer: bool = True) -> Any:
        """Sign in; keeps the token."""
        body = {"handle": handle, "password": password, "device_name": "Laptop", "bearer": bearer}
        answer = self.call("POST", "/sessions", body)
        if answer.status_code == 201 and bearer:
            self.token = answer.json()["token"]
        return answer

    def with_token(self, token: str | None) -> Caller:
        """Another program on the same connection."""
        other = Caller(self.http)
        other.token = token
        return other


@pytest.fixture
def caller(app: Litestar) -> Iterator[Caller]:
    """Nobody yet."""
    with TestClient(app, base_url=ORIGIN) as http:
        yield Caller(http)


class Keys:
    """What a client holds: the account's identity key and each device's MLS key."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.aik = Ed25519PrivateKey.generate()
        self.mls: dict[str, tuple[bytes, int]] = {}

    def identity(self, *, reset: bool = False, auth: bytes = b"r" * 32) -> dict[str, Any]:
        """Body of `PUT /me/identity`."""
        return {
            "aik": b64(public_bytes(self.aik)),
            "sealed_aik": b64(b"s" * 60),
            "recovery_auth": b64(auth),
            "reset": reset,
        }

    def signed_list(self, version: int, *, account: str | None = None) -> dict[str, Any]:
        """Body of `PUT /me/device-list`."""
        entries = tuple(DeviceEntry(device_uri(HOST, d), key, at) for d, (key, at) in self.mls.items())
        listed = DeviceList(account_uri(HOST, account or self.account), version, START, entries)
        return {"device_list": b64(listed.encode()), "device_list_signature": b64(sign_device_list(self.aik, listed))}

    def device(self, device: str, version: int, *, added_ms: int = START) -> dict[str, Any]:
        """Body of `PUT /me/device`, with a new key."""
        key = public_bytes(Ed25519PrivateKey.generate())
        self.mls[device] = (key, added_ms)
        uris = account_uri(HOST, self.account), device_uri(HOST, device)
        certificate = sign_certificate(self.aik, *uris, key, added_ms)
        return {"mls_key": b64(key), "added_ms": added_ms, "certificate": b64(certificate), **self.signed_list(version)}


def b64(raw: bytes) -> str:
    """Bytes as the interface has them."""
    return base64.b64encode(raw).decode()


def registered_ids(world: World, account: str) -> set[str]:
    """The devices of an account that have a certified key."""
    return {row.device for row in world.ask(devices.registered, account)}
