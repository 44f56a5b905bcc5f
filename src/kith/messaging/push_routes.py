"""`/me/push`: whether and how this device is woken."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, NamedTuple

import msgspec
from litestar import Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from kith.ledger.database import Database
from kith.ledger.problem import Problem, invalid
from kith.messaging.flows import pushing
from kith.messaging.limits import DEFAULTS
from kith.messaging.push import MAX_ENDPOINT, Subscription, may_subscribe
from kith.people.buckets import Charge
from kith.people.pacing import within
from kith.people.server import ServerFacts
from kith.people.sessions import Session

_UUID = r"\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"
Base64Url = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,120}={0,2}\Z")]


class PushFacts(NamedTuple):
    """What the operator set: the key by which push services know this server, and which of them it calls."""

    public_key: bytes
    services: tuple[str, ...]


class Push(msgspec.Struct, frozen=True):
    """How this device is woken. `public_key` null: this server wakes nobody."""

    public_key: str | None
    on: bool
    quiet: list[str]


class NewPush(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A browser's PushSubscription."""

    endpoint: Annotated[str, Meta(min_length=1, max_length=MAX_ENDPOINT)]
    p256dh: Base64Url
    auth: Base64Url


class Quiet(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Rooms that do not wake this device."""

    rooms: Annotated[list[Annotated[str, Meta(pattern=_UUID)]], Meta(max_length=DEFAULTS.push_quiet_rooms)]


@get("/me/push")
async def show(
    session: NamedDependency[Session], database: NamedDependency[Database], push_facts: NamedDependency[PushFacts]
) -> Push:
    """Whether this device is woken, and the key that its browser needs for it."""
    found = await database.read(pushing.of, session.device)
    key = urlsafe_b64encode(push_facts.public_key).rstrip(b"=").decode() if push_facts.services else None
    return Push(key, found is not None, sorted(found.quiet) if found else [])


@put("/me/push", status_code=204)
async def subscribe(
    data: JSONBody[NewPush],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    server: NamedDependency[ServerFacts],
    push_facts: NamedDependency[PushFacts],
) -> None:
    """Wake this device at its browser's push service."""
    await within(database, server, Charge("profile", session.account, server.limits.profile))
    keys = _decoded(data.p256dh), _decoded(data.auth)
    decision = may_subscribe(data.endpoint, *keys, push_facts.services)
    if decision.refused:
        raise Problem("invalid", decision.reasons[0].because)
    await database.write(pushing.subscribe, Subscription(session.device, session.account, data.endpoint, *keys))


@put("/me/push/quiet", status_code=204)
async def mute(
    data: JSONBody[Quiet],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    server: NamedDependency[ServerFacts],
) -> None:
    """Name the rooms that do not wake it."""
    await within(database, server, Charge("profile", session.account, server.limits.profile))
    if not await database.write(pushing.mute, session.device, data.rooms):
        raise Problem("conflict", "This device is not woken. Turn notifications on first.")


@delete("/me/push", status_code=204)
async def unsubscribe(session: NamedDependency[Session], database: NamedDependency[Database]) -> None:
    """Do not wake it any more."""
    await database.write(pushing.unsubscribe, session.device)


def _decoded(text: str) -> bytes:
    bare = text.rstrip("=")
    try:
        return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        raise invalid("p256dh and auth are base64url.") from None


ROUTES = [Router("/api/v1", route_handlers=[show, subscribe, mute, unsubscribe])]
