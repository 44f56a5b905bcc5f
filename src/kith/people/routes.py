"""The people's interface under "People" in docs/api.md, and connections, blocks and hushes: HTTP to flows and back."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from kith.ledger.database import Database, Reader, Tx
from kith.ledger.problem import Problem, invalid, not_found
from kith.people import (
    ages,
    blocks,
    connections,
    device_lists,
    devices,
    export,
    facts,
    flows,
    handles,
    hushes,
    known_devices,
    links,
    log_routes,
    passwords,
    sessions,
    standards,
    store,
    tickets,
    views,
)
from kith.people.buckets import Charge, place_of
from kith.people.device_lists import SignedList
from kith.people.flows import Arrival, SignedIn
from kith.people.pacing import TOO_OFTEN, within
from kith.people.server import ServerFacts
from kith.people.sessions import Session
from kith.people.views import DevicesView, IdentityView, Me, SessionAnswer, StandingView, TermsView

Asked = Request[Any, Any, Any]
TheDatabase = NamedDependency[Database]
TheServer = NamedDependency[ServerFacts]
TheSession = NamedDependency[Session]
WAIT_COOKIE = "__Host-kith-wait"
MAX_AGENT = 200
"""Characters of a program's name that are kept."""

_BAD_HANDLE = "A handle has 3 to 30 letters, digits, dots or underscores, with letters of one alphabet only."
_BAD_NAME = "A name has 1 to 50 characters that can be seen."
_TAKEN = "That handle can't be had. Try another."
_NO_MATCH = "That handle and password don't go together."
_NO_CODE = "That handle and recovery code don't go together."
_NOT_NOW = "You can't make an account right now."
_BUSY = "Many people are signing in at this moment. Try again in a few seconds."
_SIGN_IN_AGAIN = "Sign out on this device and in again with your password, then start over with new keys."
_BUSY_MS = 3_000

# --- bodies ---------------------------------------------------------------------------------------

Text64 = Annotated[str, Meta(max_length=64)]
Typed = Annotated[str, Meta(max_length=512)]
Key32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53)]


class Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A request body; what it does not name is refused. Prints nothing: bodies hold passwords."""

    def __repr__(self) -> str:
        """The name of the body alone."""
        return f"{type(self).__name__}(…)"


Known = Annotated[str, Meta(max_length=known_devices.MAX_COOKIE)] | None
"""What a program got when it signed in before; a browser has it as a cookie."""


class AgeQuestion(Body, frozen=True):
    """Month and year of birth."""

    year: int
    month: int


class AgeAnswer(msgspec.Struct, frozen=True):
    """The ticket for making an account, and the band it carries."""

    ticket: str
    band: str


class SignUp(Body, frozen=True):
    """A new account."""

    ticket: Annotated[str, Meta(max_length=tickets.MAX_TICKET)]
    handle: Typed
    display_name: Typed
    password: Typed
    terms_version: Text64
    device_name: Typed
    bearer: bool = False


class SignIn(Body, frozen=True):
    """Handle and password."""

    handle: Typed
    password: Typed
    device_name: Typed
    bearer: bool = False
    known_device: Known = None


class Recover(Body, frozen=True):
    """Handle, what the recovery code proves, and a new password."""

    handle: Typed
    recovery_auth: Key32
    new_password: Typed
    device_name: Typed
    bearer: bool = False
    sign_out_others: bool = True
    known_device: Known = None


class NewIdentity(Body, frozen=True):
    """The account's public key, its sealed private half, and what proves the recovery code."""

    aik: Key32
    sealed_aik: Annotated[bytes, Meta(min_length=60, max_length=60)]
    recovery_auth: Key32
    reset: bool = False


class NewDevice(Body, frozen=True):
    """This device's certified key, and the list that names it."""

    mls_key: Key32
    added_ms: Milliseconds
    certificate: Signature
    device_list: Annotated[bytes, Meta(max_length=40_000)]
    device_list_signature: Signature


class NewList(Body, frozen=True):
    """A newly signed device list."""

    device_list: Annotated[bytes, Meta(max_length=40_000)]
    device_list_signature: Signature


class PasswordChange(Body, frozen=True):
    """The old and the new password."""

    current: Typed
    new: Typed
    sign_out_others: bool = False


class NewLink(Body, frozen=True):
    """A new device's one-time key, and the proof under the code on its screen."""

    public_key: Key32
    tag: Key32


class LinkMade(msgspec.Struct, frozen=True):
    """Until when the code can be used."""

    until_ms: int


class Approval(Body, frozen=True):
    """What an own device sealed to a waiting device's key."""

    public_key: Key32
    sealed: Annotated[bytes, Meta(min_length=92, max_length=92)]


class WaitingDevices(msgspec.Struct, frozen=True):
    """The devices that wait for approval."""

    waiting: list[links.Waiting]


class NewControls(Body, frozen=True):
    """Who may send requests, and what others see; what is left out, or null, stays as it is."""

    requests: Literal["everyone", "nobody"] | None = None
    read_receipts: bool | None = None
    typing: bool | None = None


class NewProfile(Body, frozen=True):
    """Another display name."""

    display_name: Typed


class Share(msgspec.Struct, frozen=True):
    """The server's half of the device's local key."""

    share: bytes


# --- age, accounts, sessions ----------------------------------------------------------------------


@post("/age")
async def ask_age(
    request: Asked, data: JSONBody[AgeQuestion], database: TheDatabase, server: TheServer
) -> Response[Any]:
    """The first question: no other personal data is taken before it. Keeps nothing but, under 13, a wait."""
    if await _must_wait(request, database):
        return _not_now()
    limits = server.limits
    wait = server.asked_age.charge(place_of(_address(request)), limits.age_address, database.now())
    if wait is not None:
        raise Problem("limited", TOO_OFTEN, retry_after_ms=wait)
    await within(database, server, Charge("age", "everywhere", limits.age_global))
    placed = ages.place(data.year, data.month, database.now())
    if placed == "not-a-date":
        raise invalid("Enter the month and year you were born.")
    if placed == "too-young":
        token = sessions.new_token()
        await database.write(_start_wait, sessions.hash_of(token), limits.wait_ms)
        return _not_now(token, limits.wait_ms // 1000)
    ticket = tickets.issue(server.ticket_key, placed, database.now() + limits.ticket_ms)
    return Response(AgeAnswer(ticket, placed.band), status_code=201)


async def _must_wait(request: Asked, database: Database) -> bool:
    token = request.cookies.get(WAIT_COOKIE, "")
    if not 1 <= len(token) <= sessions.MAX_TOKEN:
        return False
    return await database.read(_waits, sessions.hash_of(token))


def _waits(reader: Reader, hashed: bytes) -> bool:
    until = reader.value(store.WAIT, hashed=hashed)
    return until is not None and reader.now < until


def _start_wait(tx: Tx, hashed: bytes, wait_ms: int) -> None:
    tx.put(store.waits, token_hash=hashed, until_ms=tx.now + wait_ms)


def _not_now(token: str | None = None, seconds: int = 0) -> Response[Any]:
    cookies = [] if token is None else [_cookie(WAIT_COOKIE, token, seconds)]
    return Response({"error": {"code": "forbidden", "message": _NOT_NOW}}, status_code=403, cookies=cookies)


@post("/accounts")
async def sign_up(request: Asked, data: JSONBody[SignUp], database: TheDatabase, server: TheServer) -> Response[Any]:
    """Make an account. 409 when the handle cannot be had."""
    if await _must_wait(request, database):
        return _not_now()
    placed = tickets.redeem(server.ticket_key, data.ticket, database.now())
    if placed is None:
        raise invalid("That took too long. Start again with month and year.")
    if data.terms_version != standards.VERSION:
        raise invalid("The terms have changed. Read them again, then go on.")
    handle, name, arrival = _handle(data.handle), _name(data.display_name), _arrival(request, data.device_name)
    _good_password(data.password, handle)
    limits = server.limits
    await within(
        database,
        server,
        Charge("sign-up", "everywhere", limits.sign_up_global),
        Charge("sign-up", place_of(arrival.address), limits.sign_up_address),
    )
    if await database.read(flows.handle_taken, handle):
        raise Problem("conflict", _TAKEN)
    hashed = await _hash(server, data.password)
    done = await database.write(
        flows.sign_up,
        placed,
        handle=handle,
        display_name=name,
        password_hash=hashed,
        terms_version=data.terms_version,
        arrival=arrival,
        limits=limits,
    )
    if done is None:
        raise Problem("conflict", _TAKEN)
    return await _signed_in(database, server, done, arrival, bearer=data.bearer)


@post("/sessions")
async def sign_in(
    request: Asked, data: JSONBody[SignIn], database: TheDatabase, server: TheServer
) -> Response[SessionAnswer]:
    """Sign in. A wrong handle and a wrong password cost and answer the same."""
    arrival = _arrival(request, data.device_name)
    handle = handles.normalised(data.handle) or ""
    device = await _known_device(request, data.known_device, database, server, handle)
    await within(database, server, *_guesses("sign-in", handle or data.handle, arrival.address, server, device))
    account, stored = await database.read(_credentials, handle) or (None, None)
    matches = await _verify(server, stored, data.password)
    if account is None or stored is None or not matches:
        raise Problem("unauthenticated", _NO_MATCH)
    fresh = await _hash(server, data.password) if passwords.is_outdated(stored) else None
    done = await database.write(
        flows.sign_in, account, verified_hash=stored, arrival=arrival, limits=server.limits, new_hash=fresh
    )
    if done is None:
        raise Problem("unauthenticated", _NO_MATCH)
    return await _signed_in(database, server, done, arrival, bearer=data.bearer)


def _credentials(reader: Reader, handle: str) -> tuple[str, str] | None:
    row = reader.one(store.CREDENTIALS, typed=handle)
    return None if row is None else (row.account, row.hash)


async def _known_device(
    request: Asked, brought: str | None, database: Database, server: ServerFacts, handle: str
) -> str | None:
    """This device's own name for its tries, when the handle's owner signed in on it before."""
    cookie = request.cookies.get(known_devices.COOKIE, brought)
    account = await database.read(facts.by_handle, handle) if cookie else None
    if cookie is None or account is None:
        return None
    life_ms = server.limits.known_device_ms
    return known_devices.recognised(server.ticket_key, account, cookie, database.now(), life_ms)


def _guesses(
    what: Literal["sign-in", "recovery"], handle: str, address: str, server: ServerFacts, device: str | None
) -> list[Charge]:
    """What a try counts against. On a known device nobody else's tries count, so that they lock nobody out.

    Neither at this handle, nor everywhere: a crowd that tries any names at all must not shut everybody out either. What
    known devices of one account try counts together, for whoever has an account can make many.
    """
    limits, place = server.limits, place_of(address)
    everywhere, from_place, handle_rate, own_rate = (
        (limits.sign_in_global, limits.sign_in_address, limits.sign_in_handle, limits.sign_in_pair)
        if what == "sign-in"
        else (limits.recovery_global, limits.recovery_address, limits.recovery_handle, limits.recovery_handle)
    )
    if device is not None:
        own = f"as {handle} on known devices"
        return [Charge(what, f"on {device}", own_rate), Charge(what, own, limits.known_devices_handle)]
    general = [
        Charge(what, "everywhere", everywhere),
        Charge(what, f"from {place}", from_place),
        Charge(what, f"as {handle}", handle_rate),
    ]
    pair = [Charge(what, f"as {handle} from {place}", own_rate)] if what == "sign-in" else []
    return [*general, *pair]


@post("/recovery")
async def recover(
    request: Asked, data: JSONBody[Recover], database: TheDatabase, server: TheServer
) -> Response[SessionAnswer]:
    """Set a new password with the recovery code. An unknown handle and a wrong code cost and answer the same."""
    arrival = _arrival(request, data.device_name)
    handle = handles.normalised(data.handle) or ""
    _good_password(data.new_password, handle)
    device = await _known_device(request, data.known_device, database, server, handle)
    await within(database, server, *_guesses("recovery", handle or data.handle, arrival.address, server, device))
    account = await database.read(_recoverable, handle)
    hashed = await _hash(server, data.new_password)
    auth_hash = hashlib.sha256(data.recovery_auth).digest()
    done = await database.write(
        flows.recover,
        account or "",
        auth_hash=auth_hash,
        new_hash=hashed,
        arrival=arrival,
        sign_out_others=data.sign_out_others,
        limits=server.limits,
    )
    if done is None:
        raise Problem("unauthenticated", _NO_CODE)
    return await _signed_in(database, server, done, arrival, bearer=data.bearer)


def _recoverable(reader: Reader, handle: str) -> str | None:
    account: str | None = reader.value(store.RECOVERY_BY_HANDLE, typed=handle)
    return account


@delete("/sessions/current", status_code=204)
async def sign_out(session: TheSession, database: TheDatabase) -> Response[None]:
    """Sign this device out; its share is destroyed."""
    await database.write(flows.remove_device, session.account, session.device)
    return Response(None, status_code=204, cookies=[_cookie(sessions.COOKIE, "", 0)])


# --- me -------------------------------------------------------------------------------------------


@get("/me")
async def show_me(session: TheSession, database: TheDatabase, server: TheServer) -> Me:
    """Everything the client shows about the person who is signed in."""
    if sessions.is_stale(session, database.now()):
        await database.write(sessions.seen, session.device)
    return await database.read(views.me, session, server)


@get("/me/share")
async def show_share(session: TheSession, database: TheDatabase) -> Share:
    """The server's half of this device's local key."""
    share = await database.read(sessions.share_of, session.device)
    if share is None:
        raise not_found()
    return Share(share)


@put("/me/identity", status_code=204)
async def put_identity(
    session: TheSession, data: JSONBody[NewIdentity], database: TheDatabase, server: TheServer
) -> None:
    """Store the identity key once, or replace it with `reset`, which needs a sign-in not long ago."""
    await within(database, server, Charge("profile", session.account, server.limits.profile))
    if data.reset and not await database.read(sessions.began_within, session.device, server.limits.reset_ms):
        raise Problem("forbidden", _SIGN_IN_AGAIN)
    stored = await database.write(
        flows.set_identity,
        session.account,
        aik=data.aik,
        sealed_aik=data.sealed_aik,
        auth_hash=hashlib.sha256(data.recovery_auth).digest(),
        reset=data.reset,
    )
    if not stored:
        raise Problem("conflict", "This account has an identity key already. Use the recovery code to open it.")


@get("/me/identity")
async def show_identity(session: TheSession, database: TheDatabase) -> IdentityView:
    """One's own identity key, and its sealed half for the recovery code."""
    return await database.read(views.my_identity, session.account)


@put("/me/device", status_code=204)
async def put_device(session: TheSession, data: JSONBody[NewDevice], database: TheDatabase, server: TheServer) -> None:
    """Register this device: a certified key, and the list that names exactly the live registered devices."""
    listed = await _verified_list(session, database, server, data.device_list, data.device_list_signature)
    certified = device_lists.verify_device(
        server.name,
        session.account,
        session.device,
        listed,
        mls_key=data.mls_key,
        added_ms=data.added_ms,
        certificate=data.certificate,
    )
    if isinstance(certified, str):
        raise invalid(certified)
    _conflict(await database.write(flows.register_device, session.account, certified))


@put("/me/device-list", status_code=204)
async def put_device_list(
    session: TheSession, data: JSONBody[NewList], database: TheDatabase, server: TheServer
) -> None:
    """Store a newly signed list, after a device was removed."""
    listed = await _verified_list(session, database, server, data.device_list, data.device_list_signature)
    _conflict(await database.write(flows.sign_list, session.account, listed))


async def _verified_list(
    session: Session, database: Database, server: ServerFacts, encoded: bytes, signature: bytes
) -> SignedList:
    await within(database, server, Charge("profile", session.account, server.limits.profile))
    identity = await database.read(devices.identity, session.account)
    if identity is None:
        raise Problem("conflict", "Make an identity key first.")
    listed = device_lists.verify_list(
        server.name, session.account, identity.aik, encoded, signature, now=database.now()
    )
    if isinstance(listed, str):
        raise invalid(listed)
    return listed


def _conflict(sentence: str | None) -> None:
    if sentence is not None:
        raise Problem("conflict", sentence)


@get("/me/devices")
async def show_devices(session: TheSession, database: TheDatabase) -> DevicesView:
    """The devices that are signed in."""
    return await database.read(views.my_devices, session)


@delete("/me/devices/{device:str}", status_code=204)
async def remove_device(session: TheSession, device: FromPath[str], database: TheDatabase) -> None:
    """Sign one of my devices out."""
    if not await database.write(flows.remove_device, session.account, device):
        raise not_found()


@put("/me/link")
async def put_link(session: TheSession, data: JSONBody[NewLink], database: TheDatabase, server: TheServer) -> LinkMade:
    """Wait for approval by another own device."""
    await within(database, server, Charge("link", session.account, server.limits.link))
    until = await database.write(links.offer, session.account, session.device, data.public_key, data.tag, server.limits)
    if until is None:
        raise Problem("conflict", "This device needs no approval.")
    return LinkMade(until)


@get("/me/link")
async def show_link(session: TheSession, database: TheDatabase) -> links.Answer:
    """Whether this device was approved."""
    found = await database.read(links.answer, session.device)
    if found is None:
        raise not_found()
    return found


@delete("/me/link", status_code=204)
async def delete_link(session: TheSession, database: TheDatabase) -> None:
    """Wait no longer, or say that the answer has arrived."""
    await database.write(links.withdraw, session.device)


@get("/me/links")
async def show_links(session: TheSession, database: TheDatabase) -> WaitingDevices:
    """The devices of this account that wait for approval."""
    return WaitingDevices(await database.read(links.waiting, session.account))


@put("/me/links/{device:str}", status_code=204)
async def approve_link(
    session: TheSession,
    device: FromPath[str],
    data: JSONBody[Approval],
    database: TheDatabase,
    server: TheServer,
) -> None:
    """Pass something sealed on to a waiting device, once."""
    await within(database, server, Charge("link", session.account, server.limits.link))
    if not await database.write(links.approve, session.account, session.device, device, data.public_key, data.sealed):
        raise not_found()


@post("/me/password", status_code=204)
async def change_password(
    session: TheSession, data: JSONBody[PasswordChange], database: TheDatabase, server: TheServer
) -> None:
    """Choose another password."""
    account = session.account
    await within(database, server, Charge("password", account, server.limits.password))
    stored = await database.read(_password_hash, account)
    card = await database.read(views.me, session, server)
    _good_password(data.new, card.handle)
    if not await _verify(server, stored, data.current):
        raise Problem("forbidden", "That isn't your current password.")
    hashed = await _hash(server, data.new)
    only = session.device if data.sign_out_others else None
    if not await database.write(flows.change_password, account, verified_hash=stored, new_hash=hashed, only=only):
        raise Problem("conflict", "The password was changed somewhere else just now. Try again.")


def _password_hash(reader: Reader, account: str) -> str:
    return str(reader.value(store.PASSWORD, id=account))


@put("/me/controls", status_code=204)
async def put_controls(
    session: TheSession, data: JSONBody[NewControls], database: TheDatabase, server: TheServer
) -> None:
    """Choose who may send requests, and what others see."""
    await within(database, server, Charge("profile", session.account, server.limits.profile))
    chosen = msgspec.structs.asdict(data)
    await database.write(flows.set_controls, session.account, **chosen)


@put("/me/profile", status_code=204)
async def put_profile(
    session: TheSession, data: JSONBody[NewProfile], database: TheDatabase, server: TheServer
) -> None:
    """Choose another display name."""
    name = _name(data.display_name)
    await within(database, server, Charge("profile", session.account, server.limits.profile))
    await database.write(flows.set_display_name, session.account, name)


@get("/me/standing")
async def show_standing(session: TheSession, database: TheDatabase, server: TheServer) -> StandingView:
    """What I may do, and every measure against me with its reason."""
    return await database.read(views.standing, session.account, server)


@get("/me/export")
async def export_me(session: TheSession, database: TheDatabase, server: TheServer) -> Response[dict[str, Any]]:
    """Everything the server holds about me."""
    await within(database, server, Charge("export", session.account, server.limits.export))
    everything = await database.read(export.held, session, server)
    entries: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        some = await database.read(export.history, session.account, after)
        entries += some.entries
        after = some.after
        await asyncio.sleep(0)  # others first: an export may walk a long ledger
    headers = {"Content-Disposition": 'attachment; filename="kith-export.json"'}
    return Response({**everything, "history": entries}, headers=headers)


@get("/terms", sync_to_thread=False)
def show_terms() -> TermsView:
    """Terms and Community Standards; readable signed out."""
    return views.TERMS


# --- connections and blocks -----------------------------------------------------------------------


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A connection as its owner sees it."""

    account: str
    handle: str
    display_name: str
    room: str | None
    since_ms: int
    state: connections.State


class BlockView(msgspec.Struct, frozen=True, kw_only=True):
    """A blocked or restricted person as she is listed for whoever did it."""

    account: str
    handle: str
    display_name: str
    since_ms: int


@get("/connections")
async def show_connections(session: TheSession, database: TheDatabase) -> list[ConnectionView]:
    """Whom I am connected with."""
    return [ConnectionView(**row._asdict()) for row in await database.read(connections.listed, session.account)]


@get("/blocks")
async def show_blocks(session: TheSession, database: TheDatabase) -> list[BlockView]:
    """Whom I have blocked."""
    return [BlockView(**row._asdict()) for row in await database.read(blocks.of, session.account)]


@put("/blocks/{account:str}", status_code=204)
async def block(session: TheSession, account: FromPath[str], database: TheDatabase, server: TheServer) -> None:
    """Block somebody, at once and silently."""
    if account == session.account:
        raise invalid("You can't block yourself.")
    await within(database, server, Charge("block", session.account, server.limits.block))
    if not await database.read(server.met, session.account, account):
        raise not_found()
    await database.write(blocks.block, session.account, account)


@delete("/blocks/{account:str}", status_code=204)
async def unblock(session: TheSession, account: FromPath[str], database: TheDatabase) -> None:
    """Lift a block; nothing comes back by itself."""
    await database.write(blocks.unblock, session.account, account)


@get("/hushes")
async def show_hushes(session: TheSession, database: TheDatabase) -> list[BlockView]:
    """Whom I restrict."""
    return [BlockView(**row._asdict()) for row in await database.read(hushes.of, session.account)]


@put("/hushes/{account:str}", status_code=204)
async def hush(session: TheSession, account: FromPath[str], database: TheDatabase, server: TheServer) -> None:
    """Restrict somebody, for me alone: nothing of it can be seen from the other side."""
    if account == session.account:
        raise invalid("You can't restrict yourself.")
    await within(database, server, Charge("hush", session.account, server.limits.hush))
    if not await database.read(server.met, session.account, account):
        raise not_found()
    await database.write(hushes.hush, session.account, account)


@delete("/hushes/{account:str}", status_code=204)
async def unhush(session: TheSession, account: FromPath[str], database: TheDatabase) -> None:
    """Restrict her no longer."""
    await database.write(hushes.unhush, session.account, account)


# --- shared ---------------------------------------------------------------------------------------


async def _hash(server: ServerFacts, password: str) -> str:
    try:
        return await server.hasher.hash(password)
    except passwords.Busy:
        raise Problem("limited", _BUSY, retry_after_ms=_BUSY_MS) from None


async def _verify(server: ServerFacts, stored: str | None, password: str) -> bool:
    try:
        return await server.hasher.verify(stored, password)
    except passwords.Busy:
        raise Problem("limited", _BUSY, retry_after_ms=_BUSY_MS) from None


async def _signed_in(
    database: Database, server: ServerFacts, done: SignedIn, arrival: Arrival, *, bearer: bool
) -> Response[SessionAnswer]:
    session = Session(account=done.account, device=done.device)
    answer = await database.read(views.session_answer, session, server, arrival.token if bearer else None)
    known = known_devices.issue(server.ticket_key, done.account, database.now())
    if bearer:
        return Response(msgspec.structs.replace(answer, known_device=known), status_code=201)
    cookies = [
        _cookie(sessions.COOKIE, arrival.token, sessions.COOKIE_MAX_AGE_S),
        _cookie(known_devices.COOKIE, known, server.limits.known_device_ms // 1000),
    ]
    return Response(answer, status_code=201, cookies=cookies)


def _cookie(name: str, value: str, seconds: int) -> Cookie:
    return Cookie(name, value=value, path="/", max_age=seconds, secure=True, httponly=True, samesite="strict")


def _arrival(request: Asked, device_name: str) -> Arrival:
    return Arrival(
        token=sessions.new_token(),
        share=sessions.new_share(),
        name=_name(device_name),
        address=_address(request),
        agent=request.headers.get("user-agent", "")[:MAX_AGENT],
    )


def _address(request: Asked) -> str:
    return request.client.host if request.client is not None else "unknown"


def _handle(typed: str) -> str:
    handle = handles.normalised(typed)
    if handle is None:
        raise invalid(_BAD_HANDLE)
    return handle


def _name(typed: str) -> str:
    name = handles.display_name(typed)
    if name is None:
        raise invalid(_BAD_NAME)
    return name


def _good_password(password: str, handle: str) -> None:
    flaw = passwords.flaw(password, handle)
    if flaw is not None:
        raise invalid(flaw)


ROUTES: list[Router] = [
    Router(
        "/api/v1",
        route_handlers=[
            ask_age,
            sign_up,
            sign_in,
            recover,
            sign_out,
            show_me,
            show_share,
            put_identity,
            show_identity,
            put_device,
            put_device_list,
            show_devices,
            remove_device,
            put_link,
            show_link,
            delete_link,
            show_links,
            approve_link,
            change_password,
            put_controls,
            put_profile,
            show_standing,
            export_me,
            show_terms,
            show_connections,
            show_blocks,
            block,
            unblock,
            show_hushes,
            hush,
            unhush,
        ],
    ),
    *log_routes.ROUTES,
]
