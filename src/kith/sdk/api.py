"""The HTTP half of docs/api.md for a program: bearer token, typed answers, errors of one tree."""

import base64
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from kith.sdk import answers
from kith.sdk.errors import (
    KithError,
    Limited,
    NotSignedIn,
    Refused,
    Restricted,
    Unreachable,
    Untrusted,
    WrongCredentials,
)

T = TypeVar("T")
BASE: Final = "/api/v1"
TIMEOUT_S: Final = 30.0
MAX_ANSWER: Final = 16 * 1024 * 1024
"""Bytes of one answer; the export is the largest."""
_SORRY: Final = "The server could not do that. Try again later."
_CANNOT_REACH: Final = "Kith cannot reach its server. Check the address and your connection, and try again."
_NOT_TRUSTED: Final = (
    "Whoever answers at {} shows a certificate that is not trusted here ({}). Nothing was sent. Check the address; "
    "if the server has a certificate authority of its own, name its file in SSL_CERT_FILE."
)
_SIGNED_OUT: Final = "You are signed out on this device. Sign in again."
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class BadOrigin(KithError):  # noqa: N818 - reads as the fault it is
    """What was given is not the address of a server."""


def checked_origin(origin: str) -> str:
    """`https://host[:port]`, or http on this machine alone; BadOrigin otherwise."""
    parts = urlsplit(origin.strip().rstrip("/"))
    if parts.path or parts.query or parts.fragment or parts.username or not parts.hostname:
        raise BadOrigin(f"{origin!r} is not the address of a server. Write it like https://kith.example")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise BadOrigin("The address must start with https:// (http:// is allowed on this machine alone).")
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str | None) -> bool:
    """Whether this name is this machine."""
    return host in _LOOPBACK or (host or "").endswith(".localhost")


@functools.cache  # reading them takes 40 ms
def trusted_authorities() -> ssl.SSLContext:
    """Whose certificates are trusted: those of SSL_CERT_FILE or SSL_CERT_DIR, else the ones that browsers trust."""
    return httpx.create_ssl_context()


def _distrust(error: BaseException) -> str | None:
    """Why a connection's certificate was refused, when that was the cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        cause = cause.__cause__ or cause.__context__
    return None


class _Problem(msgspec.Struct):
    code: str = ""
    message: str = _SORRY
    retry_after_ms: int | None = None
    decision: str | None = None


class _ProblemBody(msgspec.Struct):
    error: _Problem


def _refusal(status: int, body: bytes, *, signing_in: bool) -> KithError:
    try:
        problem = msgspec.json.decode(body, type=_ProblemBody).error
    except msgspec.MsgspecError:
        problem = _Problem()
    code, message, wait = problem.code, problem.message, problem.retry_after_ms
    if status == httpx.codes.NOT_FOUND and not code:  # HEAD has no body to say it in
        code, message = "not_found", "There is nothing here, or it is not yours to see."
    if status == httpx.codes.UNAUTHORIZED:
        return WrongCredentials("unauthenticated", message) if signing_in else NotSignedIn(_SIGNED_OUT)
    if code == "damaged":  # stays so, whenever it is asked for again
        return Refused(code, message)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unreachable(message, wait)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Limited("limited", message, wait, problem.decision)
    if problem.decision is not None:
        return Restricted(code or "forbidden", message, problem.decision)
    return Refused(code or "invalid", message, wait)


async def _bounded(answer: httpx.Response) -> bytes:
    said = bytearray()
    async for chunk in answer.aiter_bytes():
        said += chunk
        if len(said) > MAX_ANSWER:
            raise Unreachable("The server's answer is too large to be one of Kith's.")
    return bytes(said)


def b64(data: bytes) -> str:
    """Bytes inside JSON."""
    return base64.b64encode(data).decode()


def b64url(data: bytes) -> str:
    """Bytes as push services write them: RFC 4648 section 5, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _group(room: str) -> str:
    return f"/groups/{quote(room, safe='')}"


class Api:
    """One account's calls. `token` is None until signed in. `tls` says whose certificates are trusted."""

    def __init__(self, origin: str, token: str | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.origin = checked_origin(origin)
        self.token = token
        local = is_loopback(urlsplit(self.origin).hostname)
        trusted = tls or trusted_authorities()
        self._http = httpx.AsyncClient(base_url=self.origin, timeout=TIMEOUT_S, trust_env=not local, verify=trusted)

    def __repr__(self) -> str:
        """Without the token."""
        return f"Api({self.origin!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def call(
        self,
        kind: type[T] | Any,  # noqa: ANN401 - generic aliases are no `type` for mypy
        method: str,
        path: str,
        body: object = None,
        *,
        signing_in: bool = False,
    ) -> T:
        """One call; its answer as `kind`. Any KithError.

        While `signing_in` a 401 means wrong credentials, not that this session has ended.
        """
        content = None if body is None else msgspec.json.encode(body)
        said = await self._exchange(method, path, content, "application/json", signing_in=signing_in)
        if kind is None:
            return None  # type: ignore[return-value]  # the caller asked for nothing
        try:
            decoded: T = msgspec.json.decode(said, type=kind)
        except msgspec.MsgspecError as error:
            raise Unreachable("This does not answer like a server of Kith. Check the address.") from error
        return decoded

    async def _exchange(
        self, method: str, path: str, content: bytes | None, media_type: str, *, signing_in: bool = False
    ) -> bytes:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        if content is not None:
            headers["Content-Type"] = media_type
        url = path if path.startswith("/.") else BASE + path
        try:
            async with self._http.stream(method, url, content=content, headers=headers) as answer:
                said = await _bounded(answer)
        except httpx.TransportError as error:
            if (why := _distrust(error)) is not None:
                raise Untrusted(_NOT_TRUSTED.format(self.origin, why)) from error
            raise Unreachable(_CANNOT_REACH) from error
        if not answer.is_success:
            raise _refusal(answer.status_code, said, signing_in=signing_in)
        return said

    async def exchange(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        expected: tuple[int, ...] = (),
    ) -> httpx.Response:
        """A call whose answer is in its headers; one of the `expected` codes is no refusal. Any KithError."""
        async with self._opened(method, path, content, headers or {}) as answer:
            said = await _bounded(answer)
        if not answer.is_success and answer.status_code not in expected:
            raise _refusal(answer.status_code, said, signing_in=False)
        return answer

    @contextlib.asynccontextmanager
    async def reading(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """An answer whose body is read by the caller, piece by piece. Any KithError, also while reading."""
        async with self._opened("GET", path, None, headers) as answer:
            if not answer.is_success:
                raise _refusal(answer.status_code, await _bounded(answer), signing_in=False)
            yield answer

    @contextlib.asynccontextmanager
    async def _opened(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        own = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            whole = {"Accept-Encoding": "identity", **own, **headers}
            async with self._http.stream(method, BASE + path, content=content, headers=whole) as answer:
                yield answer
        except httpx.TransportError as error:
            if (why := _distrust(error)) is not None:
                raise Untrusted(_NOT_TRUSTED.format(self.origin, why)) from error
            raise Unreachable(_CANNOT_REACH) from error

    # --- people -------------------------------------------------------------------------------------------------------

    async def terms(self) -> answers.Terms:
        """The terms that hold now."""
        return await self.call(answers.Terms, "GET", "/terms")

    async def age(self, year: int, month: int) -> answers.Ticket:
        """A ticket with the age band; the server keeps no birth date."""
        return await self.call(answers.Ticket, "POST", "/age", {"year": year, "month": month}, signing_in=True)

    async def sign_up(self, **facts: str) -> answers.Session:
        """A new account."""
        return await self.call(answers.Session, "POST", "/accounts", {**facts, "bearer": True}, signing_in=True)

    async def sign_in(
        self, handle: str, password: str, device_name: str, known_device: str | None = None
    ) -> answers.Session:
        """A new session of a device. `known_device`: what signing in gave before, where there is something."""
        body: dict[str, Any] = {"handle": handle, "password": password, "device_name": device_name, "bearer": True}
        body |= {} if known_device is None else {"known_device": known_device}
        return await self.call(answers.Session, "POST", "/sessions", body, signing_in=True)

    async def recover(self, **facts: str) -> answers.Session:
        """A new password by the recovery code, and a session."""
        return await self.call(answers.Session, "POST", "/recovery", {**facts, "bearer": True}, signing_in=True)

    async def sign_out(self) -> None:
        """End this session."""
        await self.call(None, "DELETE", "/sessions/current")

    async def me(self) -> answers.Me:
        """This account."""
        return await self.call(answers.Me, "GET", "/me")

    async def identity(self) -> answers.OwnIdentity:
        """The account's identity key as stored by the server, the private half sealed."""
        return await self.call(answers.OwnIdentity, "GET", "/me/identity")

    async def put_identity(self, *, aik: bytes, sealed_aik: bytes, recovery_auth: bytes, reset: bool) -> None:
        """Publish the identity key."""
        body = {"aik": b64(aik), "sealed_aik": b64(sealed_aik), "recovery_auth": b64(recovery_auth)}
        await self.call(None, "PUT", "/me/identity", {**body, "reset": True} if reset else body)

    async def put_device(
        self, *, mls_key: bytes, added_ms: int, certificate: bytes, device_list: bytes, signature: bytes
    ) -> None:
        """Register this device."""
        body = {"mls_key": b64(mls_key), "added_ms": added_ms, "certificate": b64(certificate)}
        lists = {"device_list": b64(device_list), "device_list_signature": b64(signature)}
        await self.call(None, "PUT", "/me/device", {**body, **lists})

    async def put_device_list(self, device_list: bytes, signature: bytes) -> None:
        """Publish a new device list."""
        body = {"device_list": b64(device_list), "device_list_signature": b64(signature)}
        await self.call(None, "PUT", "/me/device-list", body)

    async def own_devices(self) -> answers.OwnDevices:
        """The account's sessions."""
        return await self.call(answers.OwnDevices, "GET", "/me/devices")

    async def remove_device(self, device: str) -> None:
        """Sign out another device."""
        await self.call(None, "DELETE", f"/me/devices/{quote(device, safe='')}")

    async def password(self, current: str, new: str, *, sign_out_others: bool) -> None:
        """Set a new password."""
        body = {"current": current, "new": new, "sign_out_others": sign_out_others}
        await self.call(None, "POST", "/me/password", body)

    async def controls(self, **chosen: str | bool | None) -> None:
        """Who may send requests, and what others see: `requests`, `read_receipts`, `typing`; None stays as it is."""
        await self.call(None, "PUT", "/me/controls", chosen)

    async def profile(self, display_name: str) -> None:
        """The name that others see."""
        await self.call(None, "PUT", "/me/profile", {"display_name": display_name})

    async def standing(self) -> answers.Standing:
        """What this account may do now."""
        return await self.call(answers.Standing, "GET", "/me/standing")

    async def appeal(self, measure: str, text: str) -> answers.Appealed:
        """Ask for a measure to be looked at again."""
        path = f"/me/standing/{quote(measure, safe='')}/appeal"
        return await self.call(answers.Appealed, "POST", path, {"text": text})

    async def notices(self) -> list[answers.Notice]:
        """Facts about people who wrote to me."""
        return await self.call(list[answers.Notice], "GET", "/notices")

    async def dismiss(self, notice: str) -> None:
        """Put a notice away."""
        await self.call(None, "POST", f"/notices/{quote(notice, safe='')}/dismiss")

    async def export(self) -> dict[str, Any]:
        """Everything the server holds about this account."""
        return await self.call(dict[str, Any], "GET", "/me/export")

    # --- people to people ---------------------------------------------------------------------------------------------

    async def ask(self, body: dict[str, str]) -> answers.Asked:
        """Ask to write to somebody."""
        return await self.call(answers.Asked, "POST", "/requests", body)

    async def requests(self) -> answers.Requests:
        """Requests received and sent."""
        return await self.call(answers.Requests, "GET", "/requests")

    async def accept(self, request: str) -> answers.Connected:
        """Agree to write with each other."""
        return await self.call(answers.Connected, "POST", f"/requests/{quote(request, safe='')}/accept")

    async def decline(self, request: str) -> None:
        """Silently."""
        await self.call(None, "POST", f"/requests/{quote(request, safe='')}/decline")

    async def cancel(self, request: str) -> None:
        """Take back a request of mine."""
        await self.call(None, "DELETE", f"/requests/{quote(request, safe='')}")

    async def invite(self) -> answers.Invite:
        """A link that lets one person write without asking."""
        return await self.call(answers.Invite, "POST", "/invites")

    async def connections(self) -> list[answers.Connection]:
        """Everybody I am connected with."""
        return await self.call(list[answers.Connection], "GET", "/connections")

    async def block(self, account: str) -> None:
        """From now on nothing of them comes here."""
        await self.call(None, "PUT", f"/blocks/{quote(account, safe='')}")

    async def unblock(self, account: str) -> None:
        """Take it back."""
        await self.call(None, "DELETE", f"/blocks/{quote(account, safe='')}")

    async def blocks(self) -> list[answers.Blocked]:
        """Everybody I blocked."""
        return await self.call(list[answers.Blocked], "GET", "/blocks")

    async def restrict(self, account: str) -> None:
        """Their messages wait without a word."""
        await self.call(None, "PUT", f"/hushes/{quote(account, safe='')}")

    async def unrestrict(self, account: str) -> None:
        """Take it back."""
        await self.call(None, "DELETE", f"/hushes/{quote(account, safe='')}")

    async def restricted(self) -> list[answers.Hushed]:
        """Everybody I restrict."""
        return await self.call(list[answers.Hushed], "GET", "/hushes")

    async def report(self, body: dict[str, Any]) -> answers.Reported:
        """Hand in a report."""
        return await self.call(answers.Reported, "POST", "/reports", body)

    async def hand_in(self, report: str, missing: answers.MissingFile, blob: str) -> None:
        """Name an own upload as the ciphertext of a missing file."""
        body = {"message_id": missing.message_id, "part": missing.part, "blob": blob}
        await self.call(None, "POST", f"/reports/{quote(report)}/attachments", body)

    async def reports(self) -> list[answers.OwnReport]:
        """What I reported, and what became of it."""
        return await self.call(list[answers.OwnReport], "GET", "/reports")

    # --- groups -------------------------------------------------------------------------------------------------------

    async def groups(self) -> list[answers.Room]:
        """The groups that this account belongs to."""
        return await self.call(list[answers.Room], "GET", "/groups")

    async def create_group(self, name: str, description: str) -> answers.Room:
        """Make a group."""
        return await self.call(answers.Room, "POST", "/groups", {"name": name, "description": description})

    async def change_group(self, room: str, changes: dict[str, Any]) -> None:
        """Name, description, posting, approval."""
        await self.call(None, "PUT", _group(room), changes)

    async def group_photo(self, room: str) -> bytes:
        """A group's photo: PNG, JPEG or WebP."""
        return await self._exchange("GET", f"{_group(room)}/photo", None, "")

    async def set_group_photo(self, room: str, picture: bytes | None, media_type: str = "image/png") -> None:
        """Give a group a photo (bare: no EXIF, text or profile; at most 64 KiB, 512 by 512), or remove it (None)."""
        await self._exchange("DELETE" if picture is None else "PUT", f"{_group(room)}/photo", picture, media_type)

    async def invite_to(self, room: str, body: dict[str, str]) -> answers.Invited:
        """Invite a handle or an account into a group."""
        return await self.call(answers.Invited, "POST", f"{_group(room)}/invitations", body)

    async def group_invitations(self) -> answers.Invitations:
        """Invitations into groups, received and sent."""
        return await self.call(answers.Invitations, "GET", "/group-invitations")

    async def answer_invitation(self, invitation: str, *, yes: bool) -> None:
        """Say yes, or silently no."""
        path = f"/group-invitations/{quote(invitation, safe='')}/{'accept' if yes else 'decline'}"
        await self.call(None, "POST", path)

    async def cancel_invitation(self, invitation: str) -> None:
        """Take back an own invitation."""
        await self.call(None, "DELETE", f"/group-invitations/{quote(invitation, safe='')}")

    async def leave_group(self, room: str) -> None:
        """Go."""
        await self.call(None, "POST", f"{_group(room)}/leave")

    async def remove_member(self, room: str, account: str) -> None:
        """Take somebody out of a group."""
        await self.call(None, "DELETE", f"{_group(room)}/members/{quote(account, safe='')}")

    async def ban_member(self, room: str, account: str, *, ban: bool) -> None:
        """Take somebody out for good, or lift that."""
        await self.call(None, "PUT" if ban else "DELETE", f"{_group(room)}/bans/{quote(account, safe='')}")

    async def give_role(self, room: str, account: str, role: str) -> None:
        """Change a role, or let a joiner in."""
        await self.call(None, "PUT", f"{_group(room)}/members/{quote(account, safe='')}", {"role": role})

    async def joiners(self, room: str) -> list[answers.Joiner]:
        """Who waits for an admin's yes."""
        return await self.call(list[answers.Joiner], "GET", f"{_group(room)}/joiners")

    async def group_link(self, room: str, life_ms: int | None) -> answers.GroupLink:
        """Make a link into a group."""
        body = {} if life_ms is None else {"life_ms": life_ms}
        return await self.call(answers.GroupLink, "POST", f"{_group(room)}/links", body)

    async def revoke_link(self, room: str, link: str) -> None:
        """Make a link dead."""
        await self.call(None, "DELETE", f"{_group(room)}/links/{quote(link, safe='')}")

    async def look_at_link(self, token: str) -> answers.SeenLink:
        """What is behind a link."""
        return await self.call(answers.SeenLink, "POST", "/group-links/look", {"token": token})

    async def join_by_link(self, token: str) -> answers.Entered:
        """Come in by a link."""
        return await self.call(answers.Entered, "POST", "/group-links/join", {"token": token})

    # --- being woken --------------------------------------------------------------------------------------------------

    async def push(self) -> answers.Push:
        """Whether this device is woken while it is away."""
        return await self.call(answers.Push, "GET", "/me/push")

    async def set_push(self, endpoint: str, p256dh: bytes, auth: bytes) -> None:
        """Wake this device at its push service (RFC 8030, RFC 8291)."""
        body = {"endpoint": endpoint, "p256dh": b64url(p256dh), "auth": b64url(auth)}
        await self.call(None, "PUT", "/me/push", body)

    async def quiet(self, rooms: list[str]) -> None:
        """Name the rooms that do not wake it."""
        await self.call(None, "PUT", "/me/push/quiet", {"rooms": rooms})

    async def end_push(self) -> None:
        """Do not wake it any more."""
        await self.call(None, "DELETE", "/me/push")

    # --- rooms and keys -----------------------------------------------------------------------------------------------

    async def room(self, room: str) -> answers.Room:
        """One room."""
        return await self.call(answers.Room, "GET", f"/rooms/{quote(room, safe='')}")

    async def rooms(self) -> list[answers.Room]:
        """Every room of mine."""
        return await self.call(list[answers.Room], "GET", "/rooms")

    async def devices_of(self, account: str, tree_size: int = 0) -> answers.Devices:
        """Keys of somebody I share a room with, or my own, with proof that continues the log's head of that size."""
        path = f"/accounts/{quote(account, safe='')}/devices?tree_size={tree_size}"
        return await self.call(answers.Devices, "GET", path)

    async def watch(self, account: str, *, tree_size: int, since: int, version: int) -> answers.Watch:
        """What the key log held of an account at the entries that everybody checks."""
        path = f"/accounts/{quote(account, safe='')}/transparency?tree_size={tree_size}&since={since}&version={version}"
        return await self.call(answers.Watch, "GET", path)

    async def head(self, *, size: int, first: int) -> answers.Head | None:
        """The key log's head of that size, with proof from a smaller one; None when the server has none."""
        try:
            return await self.call(answers.Head, "GET", f"/transparency/head?size={size}&first={first}")
        except Refused as error:
            if error.code != "not_found":
                raise
            return None

    async def public_log(self) -> answers.PublicLog:
        """The key log's newest head."""
        return await self.call(answers.PublicLog, "GET", "/.well-known/kith-transparency.json")

    async def public_entries(self, after: int) -> list[answers.PublicEntry]:
        """Entries of the key log after a position."""
        return await self.call(list[answers.PublicEntry], "GET", f"/transparency/log?after={after}")

    async def offer_link(self, public_key: bytes, tag: bytes) -> answers.LinkOffered:
        """Wait for approval by another own device."""
        return await self.call(answers.LinkOffered, "PUT", "/me/link", {"public_key": b64(public_key), "tag": b64(tag)})

    async def link(self) -> answers.LinkOffered | None:
        """Whether this device was approved; None when its time is over."""
        try:
            return await self.call(answers.LinkOffered, "GET", "/me/link")
        except Refused as error:
            if error.code != "not_found":
                raise
            return None

    async def end_link(self) -> None:
        """Wait no longer."""
        await self.call(None, "DELETE", "/me/link")

    async def waiting_devices(self) -> list[answers.WaitingDevice]:
        """Own devices that wait for approval."""
        return (await self.call(answers.WaitingDevices, "GET", "/me/links")).waiting

    async def approve_link(self, device: str, public_key: bytes, sealed: bytes) -> None:
        """Pass the sealed identity on."""
        body = {"public_key": b64(public_key), "sealed": b64(sealed)}
        await self.call(None, "PUT", f"/me/links/{quote(device, safe='')}", body)

    async def claim(self, room: str, devices: list[str]) -> answers.Packages:
        """A key package of each of these devices."""
        return await self.call(
            answers.Packages, "POST", f"/rooms/{quote(room, safe='')}/key-packages", {"devices": devices}
        )

    async def put_key_packages(self, packages: list[bytes], last_resort: bytes | None) -> answers.Stock:
        """Offer key packages of this device."""
        body: dict[str, Any] = {"packages": [b64(one) for one in packages]}
        if last_resort is not None:
            body["last_resort"] = b64(last_resort)
        return await self.call(answers.Stock, "POST", "/me/key-packages", body)

    async def stock(self) -> answers.Stock:
        """How many key packages are left."""
        return await self.call(answers.Stock, "GET", "/me/key-packages")

    async def well_known(self) -> answers.WellKnown:
        """What the server says of itself."""
        return await self.call(answers.WellKnown, "GET", "/.well-known/kith.json")
