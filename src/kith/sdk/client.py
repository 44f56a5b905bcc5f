"""The client: one account on one device, for programs. Thin asyncio around the rooms; see docs/sdk.md.

One task runs the stream, one task per busy room runs its turns; a fact that a turn misses is fetched and the turn
repeated. The store is written from the event loop: a transaction takes a few milliseconds.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, Unpack

import msgspec

from kith.protocol import content as mimi
from kith.protocol import frames
from kith.protocol.attachments import shown_of
from kith.protocol.ephemeral import Signal
from kith.protocol.frames import Accepted, Delivered, Ephemeral, Mail, Refused, ServerFrame
from kith.protocol.uris import parse_uri
from kith.sdk import answers
from kith.sdk.account import Account, KeyPackages, PackageLimits, read_code
from kith.sdk.api import Api, b64
from kith.sdk.chat import GROUP_LINK, Category, Group, Invitation, Message, Request, Room
from kith.sdk.directory import Claim, Directory, Fact, KeysOf, Missing, RoomFacts, ServerKeys
from kith.sdk.effects import standing
from kith.sdk.errors import KithError, Limited, NeedsRecoveryCode, NotSignedIn, Restricted, Unreachable, Unverified
from kith.sdk.errors import Refused as RefusedError
from kith.sdk.files import File
from kith.sdk.keeping import Keeping
from kith.sdk.key_log import KeyLog
from kith.sdk.link import Link, delay_s
from kith.sdk.outbox import TOO_LONG, Carried, Outbox
from kith.sdk.records import (
    KnownRecord,
    MessageRecord,
    OutboxRecord,
    Roster,
    SessionRecord,
)
from kith.sdk.recovery import recovery_auth
from kith.sdk.reporting import Reporting
from kith.sdk.room import REFUSED_RETRY_MS, RETRY_MS, Ack, Effect, Failed, Heard, Overheard, Send, Sent, World
from kith.sdk.room import Room as RoomState
from kith.sdk.trust import SafetyNumber, Trust
from kith.sdk.vault import Cost, Vault
from kith.sdk.words import Words

Accepts: TypeAlias = Literal["everyone", "nobody"]
HIDDEN: Final = ("effect", "gone")
"""Rows that are no message to see: they change others, disappeared, or were deleted on this device."""

LOOK_S: Final = 24 * 3600.0
"""The key log's monitoring window."""
DOUBTFUL: Final = 4
"""A closed door counts like so many failed attempts to connect."""
INVITE: Final = "/#/i/"
LISTS: Final = ("requests", "connections", "standing", "notices", "reports", "links", "keys")
"""What `changes` names besides rooms: the server says which of them to fetch again."""
NEW_IDENTITY: Final = (
    "{} set up Kith again, most likely after losing a device or recovery code, and has new keys. If in doubt, ask "
    "them another way."
)
CHECK_ENDED: Final = "You had compared safety numbers with {}. They are new now, so compare them again."
UNVERIFIED: Final = (
    "The server shows keys for this chat that do not check out, so nothing is changed or sent with them."
)
SENTENCES: Final = {
    "not_allowed": "This message could not be sent.",
    "too_large": TOO_LONG,
    "untagged": "The server did not take this message.",
    "unconfirmed": "The server's answer does not check out, so this is not known to be sent. It may have arrived.",
}
_SIGNED_OUT: Final = "You are signed out on this device. Sign in again."

ShowCode: TypeAlias = Callable[[str, int], Awaitable[None] | None]
"""`(code, until_ms)`: show a device code to the person."""

log = logging.getLogger("kith.sdk")


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Client:
    """Use it with `async with`: opens the store and, when signed in, connects; leaves both behind at the end.

    `store` is a file that the client makes; keep it, and never restore an older copy of it: it would use keys twice.
    """

    def __init__(
        self,
        store: str | Path,
        passphrase: str,
        *,
        packages: PackageLimits | None = None,
        cost: Cost | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._path, self._passphrase, self._cost, self._tls = Path(store), passphrase, cost, tls
        self._limits = packages or PackageLimits()
        self.now = clock
        self._vault: Vault | None = None
        self._session: SessionRecord | None = None
        self._api: Api | None = None
        self._account: Account | None = None
        self._world: World | None = None
        self._trust: Trust | None = None
        self._words: Words | None = None
        self._outbox: Outbox | None = None
        self._keeping: Keeping | None = None
        self._reporting: Reporting | None = None
        self._looking: asyncio.Task[None] | None = None
        self._key_packages: KeyPackages | None = None
        self._link: Link | None = None
        self._rooms: dict[str, RoomState] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._watching: dict[object, set[str]] = {}
        self._first_lock = asyncio.Lock()
        self._bug: BaseException | None = None
        self._online = False

    def __repr__(self) -> str:
        who = None if self._session is None else self._session.handle
        return f"Client({str(self._path)!r}, {who!r})"

    # --- opening and closing ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._vault = await asyncio.to_thread(_opened, self._path, self._passphrase, self._cost)
        self._passphrase = ""
        session = self._vault.get("account", "session", SessionRecord)
        if session is not None:
            self._begin(session)
            if self.ready:
                self._connect()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._end()
        if self._vault is not None:
            self._vault.close()
            self._vault = None

    async def _end(self) -> None:
        if self._link is not None:
            await self._link.stop()
            self._link = None
        for timer in self._timers.values():
            timer.cancel()
        tasks = [*self._busy.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._looking = None
        if self._outbox is not None:
            self._outbox.give_up()
        if self._api is not None:
            await self._api.close()
        self._session, self._api, self._account, self._world, self._trust, self._key_packages = (None,) * 6
        self._words = self._outbox = self._keeping = self._reporting = None
        for held in (self._rooms, self._busy, self._timers, self._tasks, self._again):
            held.clear()

    @property
    def signed_in(self) -> bool:
        """Whether this device has a session."""
        return self._session is not None

    @property
    def online(self) -> bool:
        """Whether the stream is connected now."""
        return self._online

    @property
    def handle(self) -> str:
        """Who this is."""
        return self._need_session().handle

    @property
    def account(self) -> str:
        """This account's id."""
        return self._need_session().account

    @property
    def api(self) -> Api:
        """The HTTP calls, for what has no verb here."""
        if self._api is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._api

    def _need_session(self) -> SessionRecord:
        if self._session is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._session

    def _need_vault(self) -> Vault:
        if self._vault is None:
            raise NotSignedIn("The store is closed. Use the client inside `async with`.")
        return self._vault

    def _need_account(self) -> Account:
        if self._account is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._account

    def _need_world(self) -> World:
        if self._world is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._world

    @property
    def words(self) -> Words:
        """What is done with words besides sending them; programs use `Room` and `Message`."""
        if self._words is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._words

    @property
    def keeping(self) -> Keeping:
        """How chats are kept on this device; programs use `Room`."""
        if self._keeping is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._keeping

    def _need_reporting(self) -> Reporting:
        if self._reporting is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._reporting

    def _need_trust(self) -> Trust:
        if self._trust is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._trust

    # --- signing up, in and out ---------------------------------------------------------------------------------------

    async def sign_up(
        self,
        origin: str,
        *,
        handle: str,
        password: str,
        born: tuple[int, int],
        display_name: str | None = None,
        device_name: str = "Kith SDK",
    ) -> str:
        """A new account, with this as its first device. Returns the recovery code: show it once, keep it nowhere.

        `born` is (year, month); by signing up the account's owner accepts the server's terms (`Api.terms`).
        """
        async with Api(origin, tls=self._tls) as api:
            ticket, terms = await api.age(*born), await api.terms()
            answer = await api.sign_up(
                ticket=ticket.ticket,
                handle=handle,
                display_name=display_name or handle,
                password=password,
                terms_version=terms.version,
                device_name=device_name,
            )
            origin = api.origin
        await self._signed_in(origin, answer)
        return await self._set_up(None) or ""

    async def sign_in(
        self,
        origin: str,
        handle: str,
        password: str,
        *,
        recovery_code: str | None = None,
        show_code: ShowCode | None = None,
        device_name: str = "Kith SDK",
    ) -> str | None:
        """This store becomes a new device of the account; a former session in it is forgotten.

        An account that has devices already needs its recovery code, or `show_code`: it gets a code, and until when
        (ms) it holds, to be approved on another device (`approve` there); NeedsRecoveryCode with neither. The first
        device of an account makes its identity key: then the new recovery code is returned, once.
        """
        if recovery_code is not None:
            read_code(recovery_code)
        async with Api(origin, tls=self._tls) as api:
            answer = await api.sign_in(handle, password, device_name, self._known_at(api.origin))
            if answer.me.has_identity and recovery_code is None and show_code is None:
                api.token = answer.token
                await api.sign_out()
                raise NeedsRecoveryCode("This account has an identity already. Sign in with its recovery code as well.")
            origin = api.origin
        await self._signed_in(origin, answer)
        return await self._set_up(recovery_code, show_code)

    async def recover(
        self, origin: str, handle: str, recovery_code: str, new_password: str, *, device_name: str = "Kith SDK"
    ) -> None:
        """Set a new password with the recovery code, and sign in."""
        auth = b64(recovery_auth(read_code(recovery_code)))
        async with Api(origin, tls=self._tls) as api:
            facts = {"handle": handle, "recovery_auth": auth, "new_password": new_password, "device_name": device_name}
            known = self._known_at(api.origin)
            answer = await api.recover(**facts, **({} if known is None else {"known_device": known}))
            origin = api.origin
        await self._signed_in(origin, answer)
        await self._set_up(recovery_code)

    async def _signed_in(self, origin: str, answer: answers.Session) -> None:
        await self._end()
        vault = self._need_vault()
        session = SessionRecord(
            origin=origin,
            server=answer.me.server_name,
            account=answer.account_id,
            device=answer.device_id,
            token=answer.token,
            handle=answer.me.handle,
        )
        with vault.transaction():
            vault.clear()
            vault.put("account", "session", session)
            if answer.known_device is not None:
                vault.put("account", "known", KnownRecord(origin=origin, known=answer.known_device))
        self._begin(session)

    def _known_at(self, origin: str) -> str | None:
        """What shows this server that its account was signed in here before; no other server gets it."""
        record = self._need_vault().get("account", "known", KnownRecord)
        return record.known if record is not None and record.origin == origin else None

    @property
    def ready(self) -> bool:
        """Whether this device is registered. If signing in was interrupted before, call `finish`."""
        return self._account is not None and self._account.registered and not self._account.unseen_identity

    async def finish(self, recovery_code: str | None = None, show_code: ShowCode | None = None) -> str | None:
        """Take up a sign-up or sign-in that was interrupted. Returns a recovery code if a new one was made."""
        return await self._set_up(recovery_code, show_code)

    async def _set_up(self, recovery_code: str | None, show_code: ShowCode | None = None) -> str | None:
        """Identity, certificate, key packages; then the stream."""
        account, code = self._need_account(), None
        there = (await self.api.me()).has_identity
        if account.unseen_identity or (not there and recovery_code is None):
            # One that was made here, but whose code nobody has, could never be used again: make another.
            code = await account.make_identity(reset=there)
        elif recovery_code is not None:
            await account.unlock_identity(recovery_code)
        elif account.aik_public is None and show_code is not None:
            await self._need_trust().wait_for_approval(show_code)
        elif account.aik_public is None:
            raise NeedsRecoveryCode("This account has an identity already. Its recovery code is needed.")
        self._own_identity()
        await account.register(self.now())
        if self._key_packages is not None:
            await self._key_packages.upload_first(self.now())
        account.code_was_handed_out()
        self._connect()
        return code

    def _begin(self, session: SessionRecord) -> None:
        vault = self._need_vault()
        self._session = session
        self._api = Api(session.origin, session.token, tls=self._tls)
        self._account = Account(vault, self._api, session.server, session.account, session.device)
        key = self._account.device_key(self.now())
        log = KeyLog(vault, session.account)
        directory = Directory(
            vault,
            session.server,
            session.account,
            lambda account, proof, value: log.check_keys(account, proof, value, self.now()),
        )
        self._trust = Trust(vault, self._api, self._account, directory, log, self.now)
        self._world = World(
            vault=vault,
            directory=directory,
            log=log,
            server=session.server,
            account=session.account,
            device=session.device,
            signature_key=key.public_key().public_bytes_raw(),
            signer=key,
        )
        self._words = Words(self, vault, session.account, self._world.identity.account_uri)
        self._words.sweep()
        self._outbox = Outbox(vault, self.now, self._poke)
        self._keeping = Keeping(vault, self._api, self.now, self.words.restricts)
        self._keeping.forget()
        self._reporting = Reporting(self._api, self._keeping)
        engine = self._world.engine(lambda _identity, _key: False)
        self._key_packages = KeyPackages(vault, self._api, engine, self._limits)
        self._own_identity()

    def _own_identity(self) -> None:
        aik = self._need_account().aik_public
        if aik is not None:
            self._need_world().directory.own_identity(aik)

    def _connect(self) -> None:
        session = self._need_session()
        self._link = Link(
            session.origin,
            session.token,
            tls=self._tls,
            heard=self._heard,
            online=self._stream_is,
            ended=self._ended_elsewhere,
        )
        self._link.start()
        if self._link.task is not None:
            self._link.task.add_done_callback(self._finished)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_daily())
            self._tasks.add(self._looking)
            self._looking.add_done_callback(self._finished)

    async def sign_out(self) -> None:
        """End the session and forget everything that is stored here."""
        await self.api.sign_out()
        await self._end()
        vault = self._need_vault()
        with vault.transaction():
            vault.clear()

    def _ended_elsewhere(self) -> None:
        self._background(self._forget_session())

    async def _forget_session(self) -> None:
        if self._session is None:
            return
        try:
            await self.api.me()
        except NotSignedIn:
            vault = self._need_vault()
            known = vault.get("account", "known", KnownRecord)
            with vault.transaction():
                vault.clear()
                if known is not None:  # it opens nothing, and signing in again may need it
                    vault.put("account", "known", known)
            self._session = None
            self.outbox.give_up(NotSignedIn(_SIGNED_OUT))
            await self._tell()
            return
        except KithError as error:
            log.info("later: %s", error)
        # The session may be alive: the door was shut for another reason, so knock again later.
        await asyncio.sleep(delay_s(DOUBTFUL))
        self._connect()

    async def connected(self, timeout_s: float = 30.0) -> None:
        """Wait until the stream is connected. Unreachable after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self._online or self._session is None or self._bug is not None)
        except TimeoutError:
            raise Unreachable("Kith cannot reach its server. Check your connection and try again.") from None
        self._look_after()

    def _look_after(self) -> None:
        """Raise what happened in the background and concerns everybody."""
        if self._bug is not None:
            raise self._bug
        self._need_session()
        if not self.ready:
            raise NotSignedIn("Signing in was interrupted on this device. Call finish() first.")

    # --- background ---------------------------------------------------------------------------------------------------

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        """Work nobody waits for. "Not now" is left for the next occasion; anything else is a bug and is seen."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if isinstance(error, KithError):
            log.info("later: %s", error)
            return
        self._bug = error
        if self._outbox is not None:
            self._outbox.give_up(error)
        self._tasks.add(told := asyncio.create_task(self._tell()))
        told.add_done_callback(self._tasks.discard)

    async def _tell(self, *what: str) -> None:
        for news in self._watching.values():
            news.update(what)
        async with self._changed:
            self._changed.notify_all()

    def _stream_is(self, online: bool) -> None:
        self._online = online
        if online:
            self._background(self._arrived())
        else:
            for room in self._rooms.values():
                room.disconnected()

    async def _arrived(self) -> None:
        """Connected: send what waits, look for what was missed, then the chores."""
        await self._tell(*LISTS)
        vault, account = self._need_vault(), self._need_account()
        for room in self.outbox.rooms() | set(vault.keys("groups")):
            self._poke(room)
        await self.refresh_people()
        await account.refresh_list(self.now())
        for key in vault.keys("meta", "stale/"):
            self._reconcile(key.removeprefix("stale/"))
        for key in vault.keys("meta", "moved/"):
            await self.refresh_group(key.removeprefix("moved/"))
        if self._key_packages is not None:
            await self._key_packages.refill(self.now())
        await self._keep_quiet()
        await self._new_identities()
        await self.check_keys()

    # --- the stream ---------------------------------------------------------------------------------------------------

    def _heard(self, frame: ServerFrame) -> None:
        match frame:
            case Mail(kind=frames.ROSTER):
                self._background(self._roster(frame))
            case Mail(kind=frames.NOTICE):
                self._background(self._notice(frame))
            case Mail(room=str(room)):
                self._give(room, frame)
            case Accepted() | Refused():
                awaiting = next((one for one in self._rooms.values() if one.awaits(frame.key)), None)
                if awaiting is not None:
                    self._give(awaiting.id, frame)
            case Delivered():
                self.state(frame.room).delivered(frame.room_pos)
                self._somebody_in(frame.room)
            case Ephemeral():
                self.state(frame.room).overhear(frame)
                self._poke(frame.room)
            case _:  # PONG says only that the line is alive
                pass

    def _give(self, room: str, frame: Mail | Accepted | Refused) -> None:
        self.state(room).take(frame)
        self._poke(room)

    async def _notice(self, mail: Mail) -> None:
        what = _json(mail.body).get("what")
        if what in ("requests", "connections"):
            await self.refresh_people()
        if what == "standing" and self._words is not None:
            self._words.controls_changed()
        if what in LISTS:
            await self._tell(what)

    async def _roster(self, mail: Mail) -> None:
        """Somebody's devices or identity changed. Remembered before it is acknowledged, done when possible."""
        about = _json(mail.body)
        account, group = about.get("account"), about.get("room")
        vault, world = self._need_vault(), self._need_world()
        if isinstance(group, str):
            with vault.transaction():
                vault.put("meta", f"moved/{group}", self.now())
        if isinstance(account, str):
            world.directory.forget(account)
            with vault.transaction():
                vault.put("meta", f"stale/{account}", self.now())
        if self._link is not None:
            self._link.ack(mail.mail_id)
        if isinstance(group, str):
            await self.refresh_group(group)
        if not isinstance(account, str):
            return
        if account == self.account:
            await self._need_account().refresh_list(self.now())
        self._reconcile(account)

    def _reconcile(self, account: str) -> None:
        vault = self._need_vault()
        rooms = [
            key.removeprefix("room/")
            for key, roster in vault.scan("meta", "room/", Roster)
            if account in roster.accounts
        ]
        for room in rooms:
            self.state(room).reconcile_soon(self.now())
            self._poke(room)
        self._background(self._settled(account, rooms))

    async def refresh_group(self, room: str) -> None:
        """Ask who is in a group now, and bring its leaves in line; or find that one is not in it any more."""
        world, vault = self._need_world(), self._need_vault()
        async with self._first_lock:
            try:
                world.directory.learn_room(await self.api.room(room))
            except RefusedError as error:
                if error.code != "not_found":
                    raise
                if world.directory.known_roster(room) is not None:
                    self.state(room).gone(self.now())
                    self._perform(self.state(room).effects())
            else:
                self.state(room).reconcile_soon(self.now())
                self._poke(room)
            with vault.transaction():
                vault.drop("meta", f"moved/{room}")
        await self._tell(room)

    async def _settled(self, account: str, rooms: list[str]) -> None:
        """Forget that an account's devices changed, once every room is in line."""
        while any(self.state(room).reconciling for room in rooms):
            async with self._changed:
                await self._changed.wait()
        vault = self._need_vault()
        with vault.transaction():
            vault.drop("meta", f"stale/{account}")

    # --- turns --------------------------------------------------------------------------------------------------------

    def state(self, room: str) -> RoomState:
        """The room's state machine; for looking."""
        if room not in self._rooms:
            self._rooms[room] = RoomState(self._need_world(), room)
        return self._rooms[room]

    def _poke(self, room: str) -> None:
        """There may be something to do in that room."""
        self._again.add(room)
        if room not in self._busy:
            task = asyncio.create_task(self._work(room))
            self._busy[room] = task
            task.add_done_callback(self._finished)

    async def _work(self, room: str) -> None:
        state = self.state(room)
        try:
            while room in self._again:
                self._again.discard(room)
                await self._turn(state)
        finally:
            self._busy.pop(room, None)
        await self._tell(room)

    async def _turn(self, state: RoomState) -> None:
        """One turn, repeated while facts are missing; "not now" is tried again later, a final no fails the message."""
        fresh: set[Fact] = set()
        try:
            while True:
                try:
                    state.turn(self.now(), fresh, online=self._online)
                    break
                except Missing as missing:
                    self._perform(state.effects())
                    for fact in missing.facts:
                        await self._fetch(state, fact)
                        fresh.add(fact)
        except (Unreachable, Limited) as error:
            self._later(state.id, error.retry_after_ms or RETRY_MS)
        except RefusedError as error:
            if state.fail_next(error.code, error.decision if isinstance(error, Restricted) else str(error)):
                self._again.add(state.id)
            else:
                state.rest(self.now())
                self._later(state.id, REFUSED_RETRY_MS)
        except Unverified as error:
            log.warning("%s %s", UNVERIFIED, error)
            self._note_once(state, f"{UNVERIFIED} ({error})")
        finally:
            self._perform(state.effects())
        if state.wake_ms is not None:
            self._later(state.id, max(0, state.wake_ms - self.now()))

    def _note_once(self, state: RoomState, text: str) -> None:
        if all(one.text != text for one in self.history(state.id, 5)):
            state.note(text, self.now())

    def _later(self, room: str, ms: int) -> None:
        """Poke that room then, unless it will be sooner."""
        loop, waiting = asyncio.get_running_loop(), self._timers.get(room)
        if waiting is not None:
            if loop.time() < waiting.when() <= loop.time() + ms / 1000:
                return
            waiting.cancel()
        self._timers[room] = loop.call_later(ms / 1000, self._poke, room)

    async def _fetch(self, state: RoomState, fact: Fact) -> None:
        world, api = self._need_world(), self.api
        match fact:
            case KeysOf(account):
                if await self._need_trust().learn_keys(account):
                    self._background(self._new_identities())
            case RoomFacts(room):
                await self._fetch_room(state, room)
            case Claim(room, devices):
                state.claimed(fact, await api.claim(room, [parse_uri(device)[2] for device in devices]))
            case ServerKeys():
                served = await api.well_known()
                try:
                    world.directory.learn_server(served)
                except Unverified as error:  # what is pinned stands; without any, there is nothing to go on with
                    log.warning("%s", error)
                    if not world.directory.knows_server:
                        raise

    async def _fetch_room(self, state: RoomState, room: str) -> None:
        directory = self._need_world().directory
        try:
            directory.learn_room(await self.api.room(room))
        except RefusedError as error:
            if error.code != "not_found":
                raise
            if directory.known_roster(room) is None:
                state.give_up()
            else:
                state.gone(self.now())

    async def _new_identities(self) -> None:
        """Say in each chat whose keys are new; what could not be said now is said at the next connection."""
        vault = self._need_vault()
        waiting = vault.scan("meta", "new-identity/", bool)
        if not waiting:
            return
        names = {one.account: one.display_name for room in await self.api.rooms() for one in room.accounts}
        for key, was_verified in waiting:
            account = key.removeprefix("new-identity/")
            for place, roster in vault.scan("meta", "room/", Roster):
                if account in roster.accounts:
                    room, name = (
                        place.removeprefix("room/"),
                        names.get(account) or roster.names.get(account, "Somebody"),
                    )
                    self.state(room).note(NEW_IDENTITY.format(name), self.now())
                    if was_verified:
                        self.state(room).note(CHECK_ENDED.format(name), self.now())
                    await self._tell(room)
            with vault.transaction():
                vault.drop("meta", key)

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(frame):
                    if self._link is not None:
                        self._link.send(frame)  # if the line is down, the next connection repeats it
                case Ack(mail_id):
                    if self._link is not None:
                        self._link.ack(mail_id)
                case Sent(outbox_id, row):
                    self.outbox.answer(outbox_id, row)
                case Failed(outbox_id, code, details):
                    self.outbox.answer(outbox_id, _refused(code, details))
                case Overheard(room, sender, signal):
                    self._background(self._overheard(room, sender, signal))
                case Heard(room, row):  # the inbox has it; whoever waits is told at the end of the turn
                    self._somebody_in(room, only_now_possible=row.mine)

    def _somebody_in(self, room: str, *, only_now_possible: bool = False) -> None:
        """Whoever was away when a read status was told may be there now; or nothing is in its way any more."""
        if self.words.owes(room, untold=only_now_possible):
            self._background(self.words.seen(room))

    async def _overheard(self, room: str, sender: str, signal: Signal) -> None:
        await self.words.hear(room, sender, signal)
        await self.words.seen(room)
        await self._tell(room)

    def perform(self, state: RoomState) -> None:
        """Do what a room wants done now."""
        self._perform(state.effects())

    # --- reading ------------------------------------------------------------------------------------------------------

    async def messages(self, *, everything: bool = False) -> AsyncIterator[Message]:
        """What others write, in every room, as it comes; also what came while the program was away.

        A message counts as handled when the next one is asked for: after a crash the one at hand comes again.
        `everything` includes what cannot be shown: `unsupported` kinds, and `tombstone` for what did not verify.
        """
        async with contextlib.aclosing(self._incoming(everything=everything)) as incoming:
            async for key, message in incoming:
                yield message
                self._handled(key)

    async def next_message(self, *, everything: bool = False) -> Message:
        """The next message of somebody else, which counts as handled at once. For scripts; bots use `messages`."""
        async with contextlib.aclosing(self._incoming(everything=everything)) as incoming:
            key, message = await anext(incoming)
        self._handled(key)
        return message

    async def changes(self) -> AsyncGenerator[frozenset[str], None]:
        """What may have something new, as it comes: names of `LISTS` and ids of rooms. Look there; nothing is promised.

        The first comes at once and is empty: look at everything. What changes while the program looks comes together
        with the next one, so nothing is missed. For what `messages` does not give: requests, standing, info lines.
        """
        watcher = object()
        news = self._watching[watcher] = set()
        try:
            while True:
                self._look_after()
                found = frozenset(news)
                news.clear()
                yield found
                async with self._changed:
                    await self._changed.wait_for(lambda: news or self._session is None or self._bug is not None)
        finally:
            del self._watching[watcher]

    async def _incoming(self, *, everything: bool) -> AsyncGenerator[tuple[str, Message], None]:
        """The oldest unhandled message and its key in the inbox, again and again: handle it before asking again."""
        while True:
            key = await self._next_in_inbox()
            vault = self._need_vault()
            where = vault.get("inbox", key, str)
            row = where and vault.get("messages", where, MessageRecord)
            if where and row and row.kind not in HIDDEN and (everything or row.kind == "text"):
                (message,) = self._messages([(where, row)])
                yield key, message
            else:
                self._handled(key)

    def _handled(self, key: str) -> None:
        vault = self._need_vault()
        where = vault.get("inbox", key, str)
        self.words.sweep()
        if where is not None:
            self.words.read_here(where)
        with vault.transaction():
            vault.drop("inbox", key)

    async def _next_in_inbox(self) -> str:
        while True:
            self._look_after()
            keys = self._need_vault().keys("inbox")
            if keys:
                return keys[0]
            async with self._changed:
                await self._changed.wait()

    def _messages(self, rows: list[tuple[str, MessageRecord]]) -> list[Message]:
        """Rows of one room, which follow each other, as a program sees them."""
        if not rows:
            return []
        room = rows[0][0].split("/")[0]
        last, buried = self._last_before(room, rows[0][0])
        shown = []
        for _, row in rows:
            gap = 0
            if row.seq is None:
                buried += row.kind == "tombstone"
            else:
                gap = 0 if last is None else max(0, row.seq - last - 1 - buried)
                last, buried = row.seq if last is None else max(last, row.seq), 0
            message = self._message(room, row, gap)
            if message is not None:
                shown.append(message)
        return shown

    def _last_before(self, room: str, key: str) -> tuple[int | None, int]:
        """The number of the last message before a row, and how many tombstones lie between the two."""
        buried = 0
        while rows := self._need_vault().scan("messages", f"{room}/", MessageRecord, newest=1, before=key):
            ((key, row),) = rows
            if row.seq is not None:
                return row.seq, buried
            buried += row.kind == "tombstone"
        return None, buried

    def _message(self, room: str, row: MessageRecord, gap: int = 0) -> Message | None:
        """None for a row that is no message to see."""
        if row.kind == "effect" or row.kind == "gone":  # noqa: PLR1714 - so the type checker sees which kinds are left
            return None
        readers = self.state(room).thread().read_by if row.mine and row.seq is not None else {}
        return Message(
            room=Room(self, room),
            id=row.id,
            text=row.text if row.kind in ("text", "info") else "",
            kind=row.kind,
            sender=row.sender,
            mine=row.mine,
            at_ms=row.at_ms,
            seq=row.seq,
            reply_to=row.reply_to,
            edited=row.edited,
            files=self._files_of(room, row),
            version=row.edits[-1].id if row.edits else row.id,
            reactions=standing(row),
            forwarded=row.forwarded,
            vanish_ms=row.vanish_ms,
            quiet=self.words.restricts(row.sender),
            read_by=tuple(sorted(who for who, seq in readers.items() if seq >= (row.seq or 0))),
            gap_before=gap,
        )

    def _files_of(self, room: str, row: MessageRecord) -> tuple[File, ...]:
        content = self.words.newest_version(room, row).content if row.kind == "text" else None
        if content is None:
            return ()
        shown = shown_of(mimi.decode(content), self._need_session().server)
        return tuple(File(self, one) for one in shown.files)

    def history(self, room: str, limit: int) -> list[Message]:
        """The newest messages of a room on this device, oldest first."""
        self.words.sweep()
        rows: list[tuple[str, MessageRecord]] = []
        seen = 0
        for key, row in self.words.backwards(room, page=max(limit, 1)):
            if seen == limit:
                break
            rows.append((key, row))
            seen += row.kind not in HIDDEN
        return self._messages(rows[::-1])

    def message(self, room: str, message: str) -> Message | None:
        """A message by the id of any of its versions; None when it is not to be seen here."""
        try:
            return self._message(room, self.words.find(room, message)[1])
        except RefusedError:
            return None

    def search(self, text: str, *, room: Room | None = None, limit: int = 50) -> list[Message]:
        """The newest messages on this device with all these words, newest first, in one room or in all.

        What disappeared, was deleted, or was said before an edit is not found. Nothing leaves the device.
        """
        found = self.words.search(text, None if room is None else room.id, limit)
        return [message for one in found if (message := self._message(one.room, one.row)) is not None]

    # --- writing ------------------------------------------------------------------------------------------------------

    @property
    def outbox(self) -> Outbox:
        """What waits to be sent; programs use `Room`."""
        if self._outbox is None:
            raise NotSignedIn(_SIGNED_OUT)
        return self._outbox

    def queue(self, room: str, text: str, reply_to: str | None = None, **carried: Unpack[Carried]) -> OutboxRecord:
        """Put something into the outbox, on disk: see `Outbox.queue`."""
        self._look_after()
        return self.outbox.queue(room, text, reply_to, **carried)

    async def send(self, room: str, text: str, reply_to: str | None = None) -> Message:
        """See `Room.send`."""
        return await self.sent(self.queue(room, text, reply_to))

    async def say(self, room: str, template: bytes) -> MessageRecord:
        """Send anything but a text; its row, once the server has it for good."""
        return await self.outbox.accepted(self.queue(room, "", template=template))

    async def sent(self, record: OutboxRecord) -> Message:
        """Wait until the server has what was just queued."""
        message = self._message(record.room, await self.outbox.accepted(record))
        if message is None:
            raise RuntimeError("words became something that is not seen")
        return message

    # --- keeping chats ------------------------------------------------------------------------------------------------

    async def keep(
        self, room: str, *, pinned: bool | None = None, muted: bool | None = None, archived: bool | None = None
    ) -> None:
        """See `Room.keep`."""
        self.keeping.keep(room, pinned=pinned, muted=muted, archived=archived)
        await self._tell(room)
        if muted is not None:
            await self._keep_quiet()

    async def delete_thread(self, room: str) -> None:
        """See `Room.delete_thread`."""
        self.words.sweep()
        was_muted = self.keeping.state(room).muted
        self.keeping.delete_thread(room)
        await self._tell(room)
        if was_muted:
            await self._keep_quiet()

    async def _keep_quiet(self) -> None:
        try:
            await self.keeping.keep_quiet()
        except (Unreachable, Limited) as error:  # it is muted here, and told at the next connection
            log.info("later: %s", error)

    # --- people -------------------------------------------------------------------------------------------------------

    async def refresh_people(self) -> None:
        """Ask who is here; first messages whose request was accepted go to the outbox."""
        world = self._need_world()
        for room in [*await self.api.rooms(), *await self.api.groups()]:
            world.directory.learn_room(room)
        await self.words.learn_restricted()
        async with self._first_lock:
            await self._send_first_messages()
        await self._tell()

    async def _send_first_messages(self) -> None:
        if self.outbox.has_first:
            sent = (await self.api.requests()).sent
            self.outbox.send_first({one.request: one.room for one in sent if one.room})

    async def request(self, to: str, text: str = "") -> str:
        """Ask to write to a handle, or with an invite link. `text` waits sealed here until the request is accepted.

        The answer is the same whoever was asked, and whether or not they exist.
        """
        token = to.rpartition(INVITE)[2] if INVITE in to else None
        asked = await self.api.ask({"handle": to} if token is None else {"invite": token})
        if text.strip():
            self.outbox.keep_first(asked.request, text)
        self._background(self.refresh_people())
        return asked.request

    async def requests(self) -> list[Request]:
        """Who asks to write to this account."""
        return [Request(self, one) for one in (await self.api.requests()).received]

    async def chats(self) -> list[answers.Connection]:
        """Everybody this account is connected with, and in which room."""
        return await self.api.connections()

    def room(self, room_id: str) -> Room:
        """The room with this id."""
        self._need_session()
        return Room(self, room_id)

    # --- groups -------------------------------------------------------------------------------------------------------

    async def create_group(self, name: str, description: str = "") -> Group:
        """Make a group and be its owner. Nobody is in it before their own yes: `Group.invite`."""
        made = await self.api.create_group(name, description)
        return await self.enter_group(made.room)

    async def groups(self) -> list[Group]:
        """The groups that this account belongs to."""
        return [Group(self, one.room) for one in await self.api.groups()]

    def group(self, room_id: str) -> Group:
        """The group with this id."""
        self._need_session()
        return Group(self, room_id)

    async def group_invitations(self) -> list[Invitation]:
        """Who wants this account in which group, with what is told before a yes."""
        return [Invitation(self, one) for one in (await self.api.group_invitations()).received]

    async def look_at_link(self, link: str) -> answers.SeenLink:
        """What is behind a link into a group; Refused when it is nothing, or nothing for this account."""
        return await self.api.look_at_link(link.rpartition(GROUP_LINK)[2])

    async def join_group(self, link: str) -> Group | None:
        """Come in by a link. None when an admin has to say yes first; the group is in `groups()` after that."""
        entered = await self.api.join_by_link(link.rpartition(GROUP_LINK)[2])
        return await self.enter_group(entered.room) if entered.state == "joined" else None

    async def enter_group(self, room: str) -> Group:
        """Begin to follow a group that this account belongs to."""
        await self.refresh_group(room)
        return Group(self, room)

    async def room_with(self, handle: str) -> Room:
        """The room with this person; Refused when there is none."""
        found = next((one.room for one in await self.chats() if one.handle == handle), None)
        if found is None:
            raise RefusedError("not_found", f"There is no chat with {handle}. Ask to write to them first.")
        return self.room(found)

    def other_in(self, room: str) -> str:
        """The account of the other person in a direct room; Refused in a group."""
        who = self._need_world().directory.who(room)
        if who.is_group:
            raise RefusedError("invalid", "A group has many people. Say which message, or whom.")
        roster = who.accounts
        return next(account for account in roster if account != self.account)

    async def block(self, account: str) -> None:
        """From now on nothing of that account comes here, and nothing of mine reaches it."""
        await self.api.block(account)

    async def unblock(self, account: str) -> None:
        """Take it back. Nothing else changes by it: to write with each other again, one has to ask."""
        await self.api.unblock(account)

    async def blocks(self) -> list[answers.Blocked]:
        """Everybody this account blocked."""
        return await self.api.blocks()

    async def restrict(self, account: str) -> None:
        """From now on that account's messages announce themselves nowhere, and it learns nothing of this one.

        They still come, marked `quiet`, and wake no device. In the chat with it, and in groups that it belongs to,
        nobody is told what was read here or that one is writing, and this account is not told it either. It is not
        told, and nothing that it can see changes. Apart from blocking.
        """
        await self.api.restrict(account)
        await self.words.learn_restricted()

    async def unrestrict(self, account: str) -> None:
        """Take it back. What was read meanwhile is not told by that alone."""
        await self.api.unrestrict(account)
        await self.words.learn_restricted()

    async def restricted(self) -> list[answers.Hushed]:
        """Everybody this account restricts."""
        return await self.api.restricted()

    async def sent_requests(self) -> list[answers.SentRequest]:
        """Whom this account asked; `state` becomes "accepted", and nothing else is ever told."""
        return (await self.api.requests()).sent

    async def cancel(self, request: str) -> None:
        """Take back a request, with the first message that waits for it."""
        await self.api.cancel(request)
        self.outbox.drop_first(request)

    async def invite(self) -> answers.InviteLink:
        """A link for one person to ask with; it works once. `request(link)` uses one."""
        made = await self.api.invite()
        return answers.InviteLink(f"{self.api.origin}{INVITE}{made.token}", made.expires_ms)

    # --- this account -------------------------------------------------------------------------------------------------

    async def me(self) -> answers.Me:
        """Name, age band, what protects this account, its controls and its standing."""
        return await self.api.me()

    async def let_be_seen(self, *, read_receipts: bool | None = None, typing: bool | None = None) -> None:
        """Whether others see what was read here and that one is writing; who tells neither is shown neither."""
        await self.api.controls(read_receipts=read_receipts, typing=typing)
        self.words.controls_changed()

    async def accept_requests_of(self, who: Accepts) -> None:
        """Who may send requests from now on; whoever may not gets the same answer as ever."""
        await self.api.controls(requests=who)

    async def rename(self, display_name: str) -> None:
        """Set the name that others see."""
        await self.api.profile(display_name)

    async def wake_at(self, endpoint: str, *, p256dh: bytes, auth: bytes) -> None:
        """Have this device woken while it is away, at a push service that its server calls (RFC 8030, RFC 8291).

        The server is told which chats are muted, because they do not wake it. Nothing else is told by muting.
        """
        await self.keeping.wake(endpoint, p256dh, auth)

    async def let_sleep(self) -> None:
        """Be woken no more."""
        await self.keeping.let_sleep()

    async def change_password(self, current: str, new: str, *, sign_out_others: bool = False) -> None:
        """Set a new password. Refused (`forbidden`) when the current one does not fit."""
        await self.api.password(current, new, sign_out_others=sign_out_others)
        if sign_out_others:
            await self._need_account().refresh_list(self.now())

    async def devices(self) -> list[answers.OwnDevice]:
        """Every signed-in device of this account."""
        return (await self.api.own_devices()).devices

    async def remove_device(self, device: str) -> None:
        """Sign out another device of this account (an id of `devices`): it reads nothing that comes after.

        This device signs the new list, and the next commit in each chat takes that device's keys away.
        """
        if device == self._need_session().device:
            raise RefusedError("conflict", "That is this device. Use sign_out to leave here.")
        await self.api.remove_device(device)
        await self._need_account().refresh_list(self.now())

    async def approve(self, code: str) -> str:
        """Let in the new device of this account that shows this code; its name. WrongCredentials when none does.

        Only for a device in your own hands: it can read and write as you from then on.
        """
        return await self._need_trust().approve(code, self._need_session().server)

    # --- knowing whose keys they are ----------------------------------------------------------------------------------

    async def safety_number(self, account: str) -> SafetyNumber:
        """What this account and another compare, aloud or by QR code, to know that nobody stands between them."""
        number = await self._need_trust().safety_number(self.account, account)
        self._background(self._new_identities())  # were they new just now, the chat says so as well
        return number

    async def mark_verified(self, account: str, *, verified: bool = True) -> None:
        """Keep on this device that the numbers are equal. It ends, with a note in the chat, when the key changes."""
        self._need_trust().mark_verified(account, verified=verified)

    async def matches(self, account: str, scanned: bytes) -> bool:
        """Whether `SafetyNumber.code` of the other side is about the same two keys."""
        return await self._need_trust().matches(self.account, account, scanned)

    async def check_keys(self) -> None:
        """Look at what the server's key log says of this account and its contacts; also done at each connection.

        What is wrong is in `alarms` from then on.
        """
        if self._account is None or not self._account.registered:
            return
        try:
            await self._need_trust().look_around(self.account)
        except Unverified as error:
            log.warning("%s", error)
        await self._tell("keys")

    async def _look_daily(self) -> None:
        """A program that stays connected looks as often as one that comes and goes."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.words.sweep()
            self.keeping.forget()
            try:
                await self.check_keys()
            except KithError as error:
                log.info("later: %s", error)

    def alarms(self) -> list[tuple[str, str]]:
        """`(name, sentence)` of what the key log showed that must not be; `put_away(name)` after reading."""
        return [(name, one.text) for name, one in self._need_trust().log.alarms()]

    def put_away(self, alarm: str) -> None:
        """Show an alarm no more."""
        self._need_trust().log.put_away(alarm)

    async def standing(self) -> answers.Standing:
        """What limits this account, why and until when, and what has been. `measures` is empty when nothing does."""
        return await self.api.standing()

    async def appeal(self, measure: str, text: str) -> str:
        """Ask somebody else to look at a measure again; the appeal's id. Once for each measure, within its days."""
        return (await self.api.appeal(measure, text)).appeal

    async def notices(self) -> list[answers.Notice]:
        """Facts that this account is told about people who wrote to it."""
        return await self.api.notices()

    async def dismiss(self, notice: str) -> None:
        """Put a notice away; it does not come back."""
        await self.api.dismiss(notice)

    # --- reporting ----------------------------------------------------------------------------------------------------

    async def report_room(
        self, room: str, category: Category, note: str, upto: str | None, *, minor_involved: bool
    ) -> answers.Reported:
        """See `Room.report`."""
        self.words.sweep()
        reporting = self._need_reporting()
        account = reporting.sender(room, upto) or self.other_in(room)
        items = reporting.items(room, upto)
        return await reporting.file(account, category, note, room, items, minor_involved=minor_involved)

    async def report(
        self,
        account: str,
        category: Category,
        note: str = "",
        *,
        room: str | None = None,
        items: list[str] | None = None,
        minor_involved: bool = False,
    ) -> answers.Reported:
        """Report an account that this one has met; without a room it is a report of words alone."""
        reporting = self._need_reporting()
        return await reporting.file(account, category, note, room, items or [], minor_involved=minor_involved)

    async def reports(self) -> list[answers.OwnReport]:
        """What this account reported, and what became of it."""
        return await self.api.reports()

    # --- my data ------------------------------------------------------------------------------------------------------

    async def export(self) -> dict[str, Any]:
        """Everything: what the server holds about this account, and the messages that only this device can read."""
        messages = [
            {"room": key.split("/")[0], "at_ms": row.at_ms, "sender": row.sender, "kind": row.kind, "text": row.text}
            for key, row in self._need_vault().scan("messages", "", MessageRecord)
            if row.kind != "gone"
        ]
        return {"server": await self.api.export(), "device": {"messages": messages}}


def _opened(path: Path, passphrase: str, cost: Cost | None) -> Vault:
    return Vault.open(path, passphrase, cost)


def _json(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(msgspec.MsgspecError):
        decoded: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        return decoded
    return {}


def _refused(code: str, details: str | None) -> KithError:
    if code == "restricted":
        return Restricted(code, "A measure on your account does not allow this. See your standing.", details or "")
    return RefusedError(code, SENTENCES.get(code) or details or "The server did not take this message.")
