"""What the server answers (docs/api.md), as types. Unknown fields are of a later version and ignored."""

from typing import Any

import msgspec
from msgspec import Struct


class Me(Struct, frozen=True):
    """GET /me."""

    account_id: str
    device_id: str
    handle: str
    display_name: str
    band: str
    server_name: str
    has_identity: bool
    device_registered: bool
    terms_version: str
    protections: list[dict[str, Any]] = []
    standing: dict[str, Any] = {}
    controls: dict[str, str] = {}


class Session(Struct, frozen=True):
    """A new session of a program: the token comes in the body."""

    account_id: str
    device_id: str
    token: str
    me: Me

    def __repr__(self) -> str:
        """Without the token."""
        return f"Session({self.account_id!r})"


class Ticket(Struct, frozen=True):
    """POST /age."""

    ticket: str
    band: str


class OwnIdentity(Struct, frozen=True):
    """GET /me/identity."""

    aik: bytes | None
    sealed_aik: bytes | None


class Device(Struct, frozen=True):
    """One registered device of an account, with its certificate."""

    device: str
    mls_key: bytes
    added_ms: int
    certificate: bytes


class Devices(Struct, frozen=True):
    """GET /accounts/{id}/devices."""

    account: str
    aik: bytes | None
    device_list: bytes | None
    device_list_signature: bytes | None
    devices: list[Device]


class OwnDevice(Struct, frozen=True):
    """One of my devices."""

    id: str
    name: str
    created_ms: int
    last_seen_ms: int
    current: bool


class OwnDevices(Struct, frozen=True):
    """GET /me/devices."""

    devices: list[OwnDevice]
    list_version: int


class Member(Struct, frozen=True):
    """Somebody in a room."""

    account: str
    handle: str
    display_name: str
    role: str


class Room(Struct, frozen=True):
    """GET /rooms/{id}."""

    room: str
    accounts: list[Member]
    epoch: int | None
    writable: bool


class Package(Struct, frozen=True):
    """A claimed key package."""

    device: str
    account: str
    key_package: bytes


class Packages(Struct, frozen=True):
    """POST /rooms/{id}/key-packages."""

    packages: list[Package]
    missing: list[str]


class Stock(Struct, frozen=True):
    """GET /me/key-packages; after an upload only `available`."""

    available: int
    last_resort: bool = True


class Received(Struct, frozen=True):
    """Somebody asks to write to me."""

    request: str
    account: str
    handle: str
    display_name: str
    joined_ms: int
    mutual: int
    sent_ms: int
    notice: dict[str, Any] | None = None


class SentRequest(Struct, frozen=True):
    """I asked to write to somebody."""

    request: str
    to: str
    sent_ms: int
    state: str
    account: str | None
    room: str | None


class Requests(Struct, frozen=True):
    """GET /requests."""

    received: list[Received]
    sent: list[SentRequest]


class Asked(Struct, frozen=True):
    """POST /requests: the same answer whoever was asked."""

    request: str
    status: str


class Connected(Struct, frozen=True):
    """A request was accepted."""

    account: str
    room: str


class Connection(Struct, frozen=True):
    """Somebody I am connected with."""

    account: str
    handle: str
    display_name: str
    room: str
    since_ms: int
    state: str


class Invite(Struct, frozen=True):
    """POST /invites."""

    token: str
    expires_ms: int


class Blocked(Struct, frozen=True):
    """Somebody I blocked."""

    account: str
    handle: str
    display_name: str
    since_ms: int


class Reported(Struct, frozen=True):
    """POST /reports."""

    report: str
    kind: str = msgspec.field(name="class")
    first: bool = False


class ManifestLine(Struct, frozen=True):
    """An entry of the server's key manifest and the signature on it."""

    entry: bytes
    signature: bytes


class WellKnown(Struct, frozen=True):
    """GET /.well-known/kith.json."""

    server_name: str
    origin: str
    api: int
    stream: str
    manifest: list[ManifestLine]


class Terms(Struct, frozen=True):
    """GET /terms."""

    version: str
    terms: list[dict[str, str]]
