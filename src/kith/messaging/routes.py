"""The people's interface under "Connections and first contact" and "Rooms" in docs/api.md, as far as it is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from kith.ledger.database import Database, Reader, Row
from kith.ledger.problem import Problem, not_found
from kith.messaging import facts as room_facts
from kith.messaging import store
from kith.messaging.flows import delivery, key_packages, requests
from kith.messaging.flows.key_packages import Offered, read_offer
from kith.messaging.flows.requests import answering
from kith.messaging.flows.writing import Sender, judge
from kith.messaging.limits import DEFAULTS
from kith.messaging.outcomes import Refusal
from kith.people import connections, devices, facts, key_log
from kith.people.buckets import Charge, charge
from kith.people.limits import Rate
from kith.people.log_routes import within
from kith.people.server import ServerFacts
from kith.people.sessions import Session
from kith.protocol.transparency import MAX_VERSION
from kith.protocol.wire import Malformed

NoticeAbout = Callable[[Reader, str, str], object]
"""`(reader, to, about)`: the safety notice that goes with a request, as JSON values, or None. Given by app."""

MOST_LISTED = 200
"""Requests in one list."""
PACKAGES_BODY = 256 * 1024
"""Bytes of a body with key packages."""
MAX_PACKAGE = 16 * 1024

_UUID = r"\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"
DeviceId = Annotated[str, Meta(pattern=_UUID)]
Package = Annotated[bytes, Meta(max_length=MAX_PACKAGE)]


def problem(refusal: Refusal) -> Problem:
    """A flow's refusal as the answer of a call."""
    match refusal.code:
        case "absent":
            return not_found()
        case "conflict":
            return Problem("conflict", refusal.details, decision=refusal.decision)
        case "restricted" | "not_allowed":
            return Problem("forbidden", refusal.details, decision=refusal.decision)
        case "limited":
            wait = refusal.retry_after_ms or 60_000
            return Problem("limited", refusal.details, retry_after_ms=wait, decision=refusal.decision)
        case _:
            return Problem("invalid", refusal.details)


# --- first contact --------------------------------------------------------------------------------


class NewRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom to ask: a handle as typed, or the token of an invite."""

    handle: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    invite: Annotated[str, Meta(min_length=1, max_length=120)] | None = None


class RequestStored(msgspec.Struct, frozen=True):
    """The one answer to every request within the requester's own limits."""

    request: str
    status: Literal["sent"] = "sent"


@post("/requests")
async def send_request(
    data: JSONBody[NewRequest], session: NamedDependency[Session], database: NamedDependency[Database]
) -> RequestStored:
    """Ask to be connected with somebody."""
    if (data.handle is None) == (data.invite is None):
        raise Problem("invalid", "Give either a handle or an invite.")
    sent = await database.write(requests.ask, session.account, handle=data.handle, token=data.invite)
    if isinstance(sent, Refusal):
        raise problem(sent)
    return RequestStored(sent.request)


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits for my answer, with the public minimum of who asks."""

    request: str
    account: str
    handle: str
    display_name: str
    joined_ms: int
    mutual: int
    sent_ms: int
    notice: Any = None


class SentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of mine. Whatever became of it unseen, its state is `sent`."""

    request: str
    to: str
    sent_ms: int
    state: Literal["sent", "accepted"]
    account: str | None = None
    room: str | None = None


class RequestLists(msgspec.Struct, frozen=True):
    """Both sides of my first contacts."""

    received: list[Received]
    sent: list[SentRequest]


@get("/requests")
async def show_requests(
    session: NamedDependency[Session], database: NamedDependency[Database], notice_about: NamedDependency[NoticeAbout]
) -> RequestLists:
    """Who asked me, and whom I asked."""
    return await database.read(_lists, session.account, notice_about)


def _lists(reader: Reader, account: str, notice_about: NoticeAbout) -> RequestLists:
    since = reader.now - DEFAULTS.request_life_ms
    rows = reader.all(store.RECEIVED, who=account, since=since, most=MOST_LISTED)
    received = [shown for row in rows if (shown := _received(reader, row, notice_about)) is not None]
    sent = reader.all(store.SENT, who=account, since=since, most=MOST_LISTED)
    return RequestLists(received, [_sent(reader, row) for row in sent])


def _received(reader: Reader, row: Any, notice_about: NoticeAbout) -> Received | None:  # noqa: ANN401  a row
    """The request as its target sees it; one that could not be accepted any more is not shown."""
    card = facts.card(reader, row.requester)
    if card is None or not answering(reader, row)[0].allowed:
        return None
    return Received(
        request=row.request,
        account=row.requester,
        handle=card.handle,
        display_name=card.display_name,
        joined_ms=card.joined_ms,
        mutual=connections.mutual(reader, row.target, row.requester),
        sent_ms=row.sent_ms,
        notice=notice_about(reader, row.target, row.requester),
    )


def _sent(reader: Reader, row: Any) -> SentRequest:  # noqa: ANN401  a row
    accepted = row.outcome == "accepted" and connections.connected(reader, row.requester, row.target)
    return SentRequest(
        request=row.request,
        to=row.typed or "",
        sent_ms=row.sent_ms,
        state="accepted" if accepted else "sent",
        account=row.target if accepted else None,
        room=row.room if accepted else None,
    )


class AcceptedRequest(msgspec.Struct, frozen=True):
    """Connected: with whom, and where."""

    account: str
    room: str


@post("/requests/{request_id:str}/accept", status_code=200)
async def accept_request(
    request_id: FromPath[str], session: NamedDependency[Session], database: NamedDependency[Database]
) -> AcceptedRequest:
    """Say yes."""
    answer = await database.write(requests.accept, session.account, request_id)
    if isinstance(answer, Refusal):
        raise problem(answer)
    return AcceptedRequest(answer.account, answer.room)


@post("/requests/{request_id:str}/decline", status_code=204)
async def decline_request(
    request_id: FromPath[str], session: NamedDependency[Session], database: NamedDependency[Database]
) -> None:
    """Say no, silently."""
    refusal = await database.write(requests.decline, session.account, request_id)
    if refusal is not None:
        raise problem(refusal)


@delete("/requests/{request_id:str}", status_code=204)
async def cancel_request(
    request_id: FromPath[str], session: NamedDependency[Session], database: NamedDependency[Database]
) -> None:
    """Take my request back."""
    refusal = await database.write(requests.cancel, session.account, request_id)
    if refusal is not None:
        raise problem(refusal)


class NewInvite(msgspec.Struct, frozen=True):
    """A link's token, shown once."""

    token: str
    expires_ms: int


@post("/invites")
async def make_invite(session: NamedDependency[Session], database: NamedDependency[Database]) -> NewInvite:
    """A link with which one person may ask me, once."""
    made = await database.write(requests.invite, session.account)
    if isinstance(made, Refusal):
        raise problem(made)
    return NewInvite(made.token, made.expires_ms)


# --- rooms ----------------------------------------------------------------------------------------


class Participant(msgspec.Struct, frozen=True):
    """Somebody in a room."""

    account: str
    handle: str
    display_name: str
    role: Literal["member", "admin", "owner"] = "member"


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """What a room that is a group has besides."""

    name: str
    description: str
    posting: Literal["everyone", "admins"]
    approval: bool
    role: Literal["member", "admin", "owner"]
    created_ms: int
    photo: int | None


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A room as its members see it; `group_info` only when one room is asked for."""

    room: str
    accounts: list[Participant]
    epoch: int | None
    room_pos: int
    room_seq: int
    writable: bool
    delivered_pos: int | None = None
    group_info: bytes | None = None
    kind: Literal["direct", "group"] = "direct"
    group: GroupView | None = None


@get("/rooms")
async def show_rooms(
    session: NamedDependency[Session], database: NamedDependency[Database], server: NamedDependency[ServerFacts]
) -> list[Room]:
    """My direct rooms."""
    return await listed(database, server, session.account, _rooms_of, _room)


@get("/rooms/{room_id:str}")
async def show_room(
    room_id: FromPath[str], session: NamedDependency[Session], database: NamedDependency[Database]
) -> Room:
    """One of my rooms, with the public state of its group."""
    room = await database.read(room_of, session.account, room_id)
    if room is None:
        raise not_found()
    return room


def _rooms_of(reader: Reader, account: str) -> list[Row]:
    return reader.all(store.ROOMS_WITH, who=account)


def groups_of(reader: Reader, account: str) -> list[Row]:
    """The groups that this account belongs to."""
    return reader.all(store.GROUPS_OF, who=account)


LISTED_AT_ONCE = 10
"""Rooms put together before others have a turn: some milliseconds, also when they are groups."""


async def listed(
    database: Database,
    server: ServerFacts,
    account: str,
    of: Callable[[Reader, str], list[Row]],
    show: Callable[[Reader, str, Row], Room],
) -> list[Room]:
    """A whole list of rooms, piece by piece; each is at one moment, the list is not. It costs what it is long."""
    rows = await database.read(of, account)
    pieces = [rows[at : at + LISTED_AT_ONCE] for at in range(0, len(rows), LISTED_AT_ONCE)]
    pace = Rate(DEFAULTS.room_lists_at_once, DEFAULTS.room_list_again_ms)
    cost = min(1 + len(pieces), pace.size)
    if (wait := server.listed_rooms.charge(account, pace, database.now(), cost)) is not None:
        raise Problem("limited", "Your chats were listed very often. Wait a little, then go on.", retry_after_ms=wait)
    shown: list[Room] = []
    for piece in pieces:
        shown += await database.read(_shown, account, piece, show)
        await asyncio.sleep(0)
    return shown


def _shown(reader: Reader, account: str, rows: list[Row], show: Callable[[Reader, str, Row], Room]) -> list[Room]:
    return [show(reader, account, row) for row in rows]


def room_of(reader: Reader, account: str, room: str) -> Room | None:
    """A room of this account with the public state of its group; None when it is not hers."""
    row = reader.one(store.ROOM, id=room)
    if row is not None:
        return _room(reader, account, row, group_info=True) if account in (row.one, row.other) else None
    mine = next((one for one in reader.all(store.GROUPS_OF, who=account) if one.room == room), None)
    return None if mine is None else group_view(reader, account, mine, group_info=True)


def _room(reader: Reader, account: str, row: Any, *, group_info: bool = False) -> Room:  # noqa: ANN401  a row
    people = [_participant(reader, one) for one in (row.one, row.other)]
    room = _head(reader, account, row.room, people, group_info=group_info)
    upto = delivery.received_upto(reader, account, row.room, room.room_pos)
    return msgspec.structs.replace(room, delivered_pos=upto)


def group_view(reader: Reader, account: str, row: Any, *, group_info: bool = False) -> Room:  # noqa: ANN401  a row
    """A group as one of its people sees it."""
    people = [
        _participant(reader, one.account, one.role)
        for one in reader.all(store.PARTICIPANTS, id=row.room)
        if one.role != "joiner"
    ]
    profile = reader.one(store.GROUP_PROFILE, id=row.room)
    view = GroupView(
        name="" if profile is None else profile.name,
        description="" if profile is None else profile.description,
        posting=row.posting,
        approval=bool(row.approval),
        role=row.role,
        created_ms=row.created_ms,
        photo=reader.value(store.GROUP_PHOTO_VERSION, id=row.room),
    )
    room = _head(reader, account, row.room, people, group_info=group_info)
    return msgspec.structs.replace(room, kind="group", group=view)


def _head(reader: Reader, account: str, room: str, people: list[Participant], *, group_info: bool) -> Room:
    head = reader.one(store.HEAD if group_info else store.HEAD_NUMBERS, id=room)
    return Room(
        room=room,
        accounts=people,
        epoch=None if head is None else head.epoch,
        room_pos=0 if head is None else head.room_pos,
        room_seq=0 if head is None else head.room_seq,
        writable=judge(reader, account, room)[1].allowed,
        group_info=head.group_info if group_info and head is not None else None,
    )


def _participant(reader: Reader, account: str, role: Any = "member") -> Participant:  # noqa: ANN401  of a row
    card = facts.card(reader, account)
    handle, name = ("", "") if card is None else (card.handle, card.display_name)
    return Participant(account, handle, name, role)


class DeviceView(msgspec.Struct, frozen=True):
    """A registered device and the proof that it belongs to its account."""

    device: str
    mls_key: bytes
    added_ms: int
    certificate: bytes


class DevicesView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account's identity key, its signed device list, and its registered devices; nothing of it before the first."""

    account: str
    aik: bytes | None
    device_list: bytes | None
    device_list_signature: bytes | None
    devices: list[DeviceView]
    transparency: key_log.KeysProof | None = None


@get("/accounts/{account_id:str}/devices")
async def show_devices(
    account_id: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    server: NamedDependency[ServerFacts],
    tree_size: FromQuery[int] = 0,
) -> DevicesView:
    """The devices of somebody whom I am connected or share a room with, or my own, with proof from the key log."""
    view = await database.read(_devices, server, session.account, account_id, within(tree_size))
    if view is None:
        raise not_found()
    return view


@get("/accounts/{account_id:str}/transparency")
async def show_watch(  # noqa: PLR0917 - Litestar calls by name
    account_id: FromPath[str],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    server: NamedDependency[ServerFacts],
    tree_size: FromQuery[int] = 0,
    since: FromQuery[int] = -1,
    version: FromQuery[int] = 0,
) -> key_log.Watch:
    """What the key log held of the same people's keys at the entries that everybody checks."""
    asked = within(tree_size), within(since, -1), within(version, 0, MAX_VERSION)
    wait = await database.write(
        charge, server.ticket_key, (Charge("key-log", session.account, server.limits.log_account),)
    )
    if wait is not None:
        raise Problem("limited", "That was asked too often. Wait a little, then go on.", retry_after_ms=wait)
    view = await database.read(_watch, server, session.account, account_id, *asked)
    if view is None:
        raise not_found()
    return view


def _watch(  # noqa: PLR0917 - who asks about whom, and from where on
    reader: Reader, server: ServerFacts, viewer: str, account: str, tree_size: int, since: int, version: int
) -> key_log.Watch | None:
    if not _may_see(reader, viewer, account):
        return None
    return key_log.watch(reader, server, account, tree_size, since, version, own=viewer == account)


def _devices(reader: Reader, server: ServerFacts, viewer: str, account: str, tree_size: int) -> DevicesView | None:
    if not _may_see(reader, viewer, account):
        return None
    identity = devices.identity(reader, account)
    if identity is None:  # connected, and not at a device yet: a chat waits for her, it does not fail
        return DevicesView(account=account, aik=None, device_list=None, device_list_signature=None, devices=[])
    return DevicesView(
        account=account,
        aik=identity.aik,
        device_list=identity.device_list,
        device_list_signature=identity.signature,
        devices=[DeviceView(*row) for row in devices.registered(reader, account)],
        transparency=key_log.keys_proof(reader, server, account, tree_size),
    )


def _may_see(reader: Reader, viewer: str, account: str) -> bool:
    if viewer == account or connections.connected(reader, viewer, account):
        return True
    if room_facts.fellows(reader, viewer, account):
        return True
    one, other = connections.pair(viewer, account)
    return reader.one(store.ROOM_OF, a=one, b=other) is not None


# --- key packages ---------------------------------------------------------------------------------


class NewPackages(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """MLSMessages mls_key_package of this device."""

    packages: Annotated[list[Package], Meta(max_length=DEFAULTS.key_packages_stored)]
    last_resort: Package | None = None


class PackagesLeft(msgspec.Struct, frozen=True):
    """How many one-time key packages are left."""

    available: int


class PackagesKept(msgspec.Struct, frozen=True):
    """What is left, and whether there is a last resort."""

    available: int
    last_resort: bool


@post("/me/key-packages", status_code=200, request_max_body_size=PACKAGES_BODY)
async def put_packages(
    data: JSONBody[NewPackages],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    server: NamedDependency[ServerFacts],
) -> PackagesLeft:
    """Leave key packages, so that others can add this device while it is away."""
    stored = (await database.read(key_packages.available, session.device)).available
    if data.packages and stored + len(data.packages) > DEFAULTS.key_packages_stored:  # before anything is verified
        raise problem(key_packages.too_many(stored, DEFAULTS))
    try:  # two signatures each: away from the loop, and before the flow
        offers, last = await asyncio.to_thread(_offers, data, session, server.name, database.now())
    except Malformed as flaw:
        raise Problem("invalid", f"A key package is not acceptable: {flaw}.") from None
    sender = Sender(session.account, session.device)
    left = await database.write(key_packages.store_packages, sender, offers, last)
    if isinstance(left, Refusal):
        raise problem(left)
    return PackagesLeft(left.available)


def _offers(
    data: JSONBody[NewPackages], session: NamedDependency[Session], server: str, now_ms: int
) -> tuple[list[Offered], Offered | None]:
    def read(package: bytes) -> Offered:
        return read_offer(package, server=server, account=session.account, device=session.device, now_ms=now_ms)

    return [read(package) for package in data.packages], None if data.last_resort is None else read(data.last_resort)


@get("/me/key-packages")
async def show_packages(session: NamedDependency[Session], database: NamedDependency[Database]) -> PackagesKept:
    """How many key packages this device has left."""
    return PackagesKept(*await database.read(key_packages.available, session.device))


class NewClaim(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """For which devices of the room key packages are wanted."""

    devices: Annotated[list[DeviceId], Meta(min_length=1, max_length=DEFAULTS.key_packages_per_claim)]


class IssuedView(msgspec.Struct, frozen=True):
    """A key package issued to this device for this room."""

    device: str
    account: str
    ref: bytes
    key_package: bytes


class ClaimView(msgspec.Struct, frozen=True):
    """What there was, and the devices for which there was nothing."""

    packages: list[IssuedView]
    missing: list[str]


@post("/rooms/{room_id:str}/key-packages", status_code=200)
async def claim_packages(
    room_id: FromPath[str],
    data: JSONBody[NewClaim],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
) -> ClaimView:
    """Fetch key packages to add devices of this room's people to its group."""
    sender = Sender(session.account, session.device)
    claim = await database.write(key_packages.claim, sender, room_id, data.devices)
    if isinstance(claim, Refusal):
        raise problem(claim)
    return ClaimView([IssuedView(*issued) for issued in claim.packages], claim.missing)


ROUTES: list[Router] = [
    Router(
        "/api/v1",
        route_handlers=[
            send_request,
            show_requests,
            accept_request,
            decline_request,
            cancel_request,
            make_invite,
            show_rooms,
            show_room,
            show_devices,
            show_watch,
            put_packages,
            show_packages,
            claim_packages,
        ],
    )
]
