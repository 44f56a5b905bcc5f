"""The people's interface under "Groups" in docs/api.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from kith.ledger.database import Database, Reader
from kith.ledger.problem import Problem, invalid, not_found
from kith.messaging import group_membership as policy
from kith.messaging import store
from kith.messaging.flows import groups, inviting, joining, photos, roster
from kith.messaging.flows.groups import Words
from kith.messaging.limits import DEFAULTS
from kith.messaging.outcomes import Refusal
from kith.messaging.pictures import MAX_BYTES, Picture, read_picture
from kith.messaging.routes import MOST_LISTED, Room, group_view, groups_of, listed, problem, room_of
from kith.people import facts
from kith.people.buckets import Charge, charge
from kith.people.server import ServerFacts
from kith.people.sessions import Session
from kith.protocol.wire import Malformed

TheSession = NamedDependency[Session]
TheDatabase = NamedDependency[Database]
TheServer = NamedDependency[ServerFacts]

Short = Annotated[str, Meta(max_length=400)]
Long = Annotated[str, Meta(max_length=4000)]
Typed = Annotated[str, Meta(min_length=1, max_length=120)]


def _answer(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise problem(refusal)


async def _paced(database: Database, server: ServerFacts, account: str) -> None:
    """Count a change of a group against the account that makes it."""
    wait = await database.write(charge, server.ticket_key, (Charge("group", account, server.limits.group),))
    if wait is not None:
        raise Problem("limited", "That was changed too often. Wait a little, then go on.", retry_after_ms=wait)


def _words(name: str | None, description: str | None) -> Words:
    said = groups.words(name, description)
    if isinstance(said, str):
        raise invalid(said)
    return said


# --- groups ---


class NewGroup(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a group is called."""

    name: Short
    description: Long = ""


@post("/groups")
async def make_group(data: JSONBody[NewGroup], session: TheSession, database: TheDatabase) -> Room:
    """Make a group, with oneself as its owner."""
    made = await database.write(groups.create, session.account, _words(data.name, data.description))
    if isinstance(made, Refusal):
        raise problem(made)
    room = await database.read(room_of, session.account, made)
    if room is None:  # left on another device in this very moment
        raise not_found()
    return room


@get("/groups")
async def show_groups(session: TheSession, database: TheDatabase, server: TheServer) -> list[Room]:
    """The groups that I belong to."""
    return await listed(database, server, session.account, groups_of, group_view)


class GroupChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is to be different; what is left out stays."""

    name: Short | None = None
    description: Long | None = None
    posting: Literal["everyone", "admins"] | None = None
    approval: bool | None = None


@put("/groups/{room_id:str}", status_code=204)
async def change_group(
    room_id: FromPath[str], data: JSONBody[GroupChange], session: TheSession, database: TheDatabase, server: TheServer
) -> None:
    """Name, description, who may write, whether joiners wait."""
    await _paced(database, server, session.account)
    said = _words(data.name, data.description)
    rules = {"posting": data.posting, "approval": data.approval}
    _answer(await database.write(groups.describe, session.account, room_id, said, **rules))  # type: ignore[arg-type]


# --- photos ---

CACHED_S = 24 * 3600
"""A photo that was asked for by its version stays in the browser that long; longer would outlive a leaving."""
PICTURE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
"""Whatever the bytes turn out to be, a browser does nothing with them but draw them."""


def _picture(found: photos.Found | None, version: int) -> Response[bytes]:
    if found is None:
        raise not_found()
    caching = f"private, max-age={CACHED_S}, immutable" if version == found.version else "private, no-cache"
    headers = {**PICTURE_HEADERS, "Cache-Control": caching}
    return Response(found.picture.data, media_type=found.picture.media_type, headers=headers)


@put("/groups/{room_id:str}/photo", status_code=204, request_max_body_size=MAX_BYTES)
async def set_photo(
    room_id: FromPath[str],
    request: Request[Any, Any, Any],
    session: TheSession,
    database: TheDatabase,
    server: NamedDependency[ServerFacts],
) -> None:
    """Give the group a photo; the body is the picture itself."""
    try:
        picture = read_picture(request.headers.get("content-type", ""), await request.body())
    except Malformed as flaw:
        raise invalid(f"{flaw}.") from None
    await _change_photo(database, server, session, room_id, picture)


@delete("/groups/{room_id:str}/photo", status_code=204)
async def remove_photo(
    room_id: FromPath[str], session: TheSession, database: TheDatabase, server: NamedDependency[ServerFacts]
) -> None:
    """Remove the group's photo."""
    await _change_photo(database, server, session, room_id, None)


async def _change_photo(
    database: Database, server: ServerFacts, session: Session, room: str, picture: Picture | None
) -> None:
    _answer(await database.write(photos.change, session.account, room, picture, key=server.ticket_key))


@get("/groups/{room_id:str}/photo", cache_control=None)
async def show_photo(
    room_id: FromPath[str], session: TheSession, database: TheDatabase, v: FromQuery[int] = 0
) -> Response[bytes]:
    """The photo, for members and invited people; `v` is the version that is wanted."""
    return _picture(await database.read(photos.seen_by, session.account, room_id), v)


@post("/groups/{room_id:str}/leave", status_code=204)
async def leave_group(room_id: FromPath[str], session: TheSession, database: TheDatabase) -> None:
    """Go, at once."""
    _answer(await database.write(roster.leave, session.account, room_id))


class NewRole(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The role that somebody gets."""

    role: Literal["member", "admin", "owner"]


@put("/groups/{room_id:str}/members/{account_id:str}", status_code=204)
async def give_role(  # noqa: PLR0917 - Litestar calls by name
    room_id: FromPath[str],
    account_id: FromPath[str],
    data: JSONBody[NewRole],
    session: TheSession,
    database: TheDatabase,
    server: TheServer,
) -> None:
    """Change a role, or let a joiner in."""
    await _paced(database, server, session.account)
    waits = await database.read(_is_joiner, room_id, account_id)
    if waits and data.role == "member":
        _answer(await database.write(joining.let_in, session.account, room_id, account_id))
    else:
        _answer(await database.write(roster.give_role, session.account, room_id, account_id, data.role))


def _is_joiner(reader: Reader, room: str, account: str) -> bool:
    seat = roster.seat_of(reader, account, room)
    return seat is not None and seat.role == "joiner"


@delete("/groups/{room_id:str}/members/{account_id:str}", status_code=204)
async def remove_member(
    room_id: FromPath[str], account_id: FromPath[str], session: TheSession, database: TheDatabase
) -> None:
    """Remove a member, or turn a joiner down."""
    _answer(await database.write(roster.remove, session.account, room_id, account_id))


class Banned(msgspec.Struct, frozen=True):
    """Somebody who may not come back."""

    account: str
    handle: str
    display_name: str
    since_ms: int


class Joiner(msgspec.Struct, frozen=True):
    """Somebody who waits for an admin's yes; `by`: who made the link."""

    account: str
    handle: str
    display_name: str
    since_ms: int
    by: str


def _named(reader: Reader, account: str) -> tuple[str, str, str]:
    card = facts.card(reader, account)
    return (account, "", "") if card is None else (account, card.handle, card.display_name)


def _for_admins(reader: Reader, account: str, room: str) -> bool:
    seat = roster.inside(reader, account, room)
    return seat is not None and policy.manages(seat.role)


def _bans(reader: Reader, account: str, room: str) -> list[Banned] | None:
    if not _for_admins(reader, account, room):
        return None
    return [Banned(*_named(reader, row.account), row.since_ms) for row in reader.all(store.BANS, id=room)]


def _joiners(reader: Reader, account: str, room: str) -> list[Joiner] | None:
    if not _for_admins(reader, account, room):
        return None
    rows = [row for row in reader.all(store.PARTICIPANTS, id=room) if row.role == "joiner"]
    return [Joiner(*_named(reader, row.account), row.since_ms, row.brought_by) for row in rows]


def _found(answer: Any) -> Any:  # noqa: ANN401  whatever it is
    if answer is None:
        raise not_found()
    return answer


@get("/groups/{room_id:str}/bans")
async def show_bans(room_id: FromPath[str], session: TheSession, database: TheDatabase) -> list[Banned]:
    """Who is banned; for admins."""
    return _found(await database.read(_bans, session.account, room_id))  # type: ignore[no-any-return]


@put("/groups/{room_id:str}/bans/{account_id:str}", status_code=204)
async def ban_member(
    room_id: FromPath[str], account_id: FromPath[str], session: TheSession, database: TheDatabase, server: TheServer
) -> None:
    """Remove somebody for good."""
    await _paced(database, server, session.account)
    _answer(await database.write(roster.remove, session.account, room_id, account_id, ban=True))


@delete("/groups/{room_id:str}/bans/{account_id:str}", status_code=204)
async def unban_member(
    room_id: FromPath[str], account_id: FromPath[str], session: TheSession, database: TheDatabase, server: TheServer
) -> None:
    """Lift a ban."""
    await _paced(database, server, session.account)
    _answer(await database.write(roster.unban, session.account, room_id, account_id))


@get("/groups/{room_id:str}/joiners")
async def show_joiners(room_id: FromPath[str], session: TheSession, database: TheDatabase) -> list[Joiner]:
    """Who waits; for admins."""
    return _found(await database.read(_joiners, session.account, room_id))  # type: ignore[no-any-return]


# --- invitations ---


class NewInvitation(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom to invite: a handle as typed, or the account of somebody one knows."""

    handle: Typed | None = None
    account: Annotated[str, Meta(min_length=1, max_length=36)] | None = None


class InvitationStored(msgspec.Struct, frozen=True):
    """The one answer to every invitation within the inviter's own limits."""

    invitation: str
    status: Literal["sent"] = "sent"


@post("/groups/{room_id:str}/invitations")
async def send_invitation(
    room_id: FromPath[str], data: JSONBody[NewInvitation], session: TheSession, database: TheDatabase
) -> InvitationStored:
    """Invite somebody into a group."""
    if (data.handle is None) == (data.account is None):
        raise Problem("invalid", "Give either a handle or an account.")
    whom = {"handle": data.handle, "target": data.account}
    sent = await database.write(inviting.invite, session.account, room_id, **whom)  # type: ignore[arg-type]
    if isinstance(sent, Refusal):
        raise problem(sent)
    return InvitationStored(sent.invitation)


class InviterView(msgspec.Struct, frozen=True):
    """Who invites."""

    account: str
    handle: str
    display_name: str
    connected: bool


class ReceivedInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation that waits for my answer: who, since when, how many, and how many of them I know."""

    invitation: str
    room: str
    name: str
    description: str
    inviter: InviterView
    members: int
    known: int
    created_ms: int
    sent_ms: int
    photo: int | None


class SentInvitation(msgspec.Struct, frozen=True):
    """An invitation of mine. Whatever became of it unseen, its state is `sent`."""

    invitation: str
    room: str
    to: str
    sent_ms: int
    state: Literal["sent", "joined"]


class InvitationLists(msgspec.Struct, frozen=True):
    """Both sides."""

    received: list[ReceivedInvitation]
    sent: list[SentInvitation]


@get("/group-invitations")
async def show_invitations(session: TheSession, database: TheDatabase) -> InvitationLists:
    """Who invited me, and whom I invited."""
    return await database.read(_invitations, session.account)


def _invitations(reader: Reader, account: str) -> InvitationLists:
    since = reader.now - DEFAULTS.request_life_ms
    sent = reader.all(store.INVITATIONS_SENT, who=account, since=since, most=MOST_LISTED)
    return InvitationLists(
        [_received(one) for one in inviting.waiting(reader, account, MOST_LISTED)],
        [
            SentInvitation(
                row.invitation,
                row.room,
                row.typed or "",
                row.sent_ms,
                "joined" if row.outcome == "accepted" else "sent",
            )
            for row in sent
        ],
    )


def _received(one: inviting.Waiting) -> ReceivedInvitation:
    return ReceivedInvitation(
        invitation=one.invitation,
        room=one.room,
        name=one.group.name,
        description=one.group.description,
        inviter=InviterView(one.inviter, one.card.handle, one.card.display_name, one.connected),
        members=one.group.members,
        known=one.group.known,
        created_ms=one.group.created_ms,
        sent_ms=one.sent_ms,
        photo=one.group.photo,
    )


class Entered(msgspec.Struct, frozen=True):
    """In which group."""

    room: str


@post("/group-invitations/{invitation_id:str}/accept", status_code=200)
async def accept_invitation(invitation_id: FromPath[str], session: TheSession, database: TheDatabase) -> Entered:
    """Say yes."""
    room = await database.write(inviting.accept, session.account, invitation_id)
    if isinstance(room, Refusal):
        raise problem(room)
    return Entered(room)


@post("/group-invitations/{invitation_id:str}/decline", status_code=204)
async def decline_invitation(invitation_id: FromPath[str], session: TheSession, database: TheDatabase) -> None:
    """Say no, silently."""
    _answer(await database.write(inviting.decline, session.account, invitation_id))


@delete("/group-invitations/{invitation_id:str}", status_code=204)
async def cancel_invitation(invitation_id: FromPath[str], session: TheSession, database: TheDatabase) -> None:
    """Take my invitation back."""
    _answer(await database.write(inviting.cancel, session.account, invitation_id))


# --- links ---


class NewLink(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How long it works (ms); a week when left out."""

    life_ms: Annotated[int, Meta(ge=60_000)] | None = None


class LinkMade(msgspec.Struct, frozen=True):
    """A link's token, shown once."""

    link: str
    token: str
    expires_ms: int


@post("/groups/{room_id:str}/links")
async def make_link(
    room_id: FromPath[str], data: JSONBody[NewLink], session: TheSession, database: TheDatabase, server: TheServer
) -> LinkMade:
    """A link into a group."""
    await _paced(database, server, session.account)
    made = await database.write(joining.make, session.account, room_id, data.life_ms)
    if isinstance(made, Refusal):
        raise problem(made)
    return LinkMade(made.link, made.token, made.expires_ms)


class LinkView(msgspec.Struct, frozen=True):
    """A live link; its token is kept by nobody."""

    link: str
    by: str
    made_ms: int
    expires_ms: int
    joined: int


@get("/groups/{room_id:str}/links")
async def show_links(room_id: FromPath[str], session: TheSession, database: TheDatabase) -> list[LinkView]:
    """The live links; for admins."""
    rows = _found(await database.read(joining.links_of, session.account, room_id))
    return [LinkView(row.link, row.made_by, row.made_ms, row.expires_ms, row.joined) for row in rows]


@delete("/groups/{room_id:str}/links/{link_id:str}", status_code=204)
async def revoke_link(
    room_id: FromPath[str], link_id: FromPath[str], session: TheSession, database: TheDatabase
) -> None:
    """Make a link dead."""
    _answer(await database.write(joining.revoke, session.account, room_id, link_id))


class Token(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What stands in a link's fragment. In a body, so that no log of addresses has it."""

    token: Typed


class LinkSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder of a link is told before she says yes."""

    name: str
    description: str
    members: int
    known: int
    created_ms: int
    by: InviterView
    approval: bool
    photo: int | None


@post("/group-links/look", status_code=200)
async def look_at_link(data: JSONBody[Token], session: TheSession, database: TheDatabase) -> LinkSeen:
    """What is behind a link."""
    seen = await database.read(joining.look, session.account, data.token)
    if seen is None:
        raise not_found()
    return LinkSeen(
        name=seen.group.name,
        description=seen.group.description,
        members=seen.group.members,
        known=seen.group.known,
        created_ms=seen.group.created_ms,
        by=InviterView(seen.by, seen.card.handle, seen.card.display_name, seen.connected),
        approval=seen.approval,
        photo=seen.group.photo,
    )


@post("/group-links/photo", status_code=200)
async def look_at_photo(data: JSONBody[Token], session: TheSession, database: TheDatabase) -> Response[bytes]:
    """The photo of the group behind a link."""
    return _picture(await database.read(photos.by_link, session.account, data.token), 0)


class JoinedView(msgspec.Struct, frozen=True):
    """In, or waiting for an admin's yes."""

    room: str
    state: Literal["joined", "asked"]


@post("/group-links/join", status_code=200)
async def join_by_link(data: JSONBody[Token], session: TheSession, database: TheDatabase) -> JoinedView:
    """Come in by a link."""
    answer = await database.write(joining.join, session.account, data.token)
    if isinstance(answer, Refusal):
        raise problem(answer)
    return JoinedView(answer.room, answer.state)


ROUTES: list[Router] = [
    Router(
        "/api/v1",
        route_handlers=[
            make_group,
            show_groups,
            change_group,
            set_photo,
            remove_photo,
            show_photo,
            leave_group,
            give_role,
            remove_member,
            show_bans,
            ban_member,
            unban_member,
            show_joiners,
            send_invitation,
            show_invitations,
            accept_invitation,
            decline_invitation,
            cancel_invitation,
            make_link,
            show_links,
            revoke_link,
            look_at_link,
            look_at_photo,
            join_by_link,
        ],
    )
]
