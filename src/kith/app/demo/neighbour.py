"""A townsperson at her device: a client of the SDK, what the story asks of her, and what she does by herself."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import aclosing, suppress
from typing import TypeVar

from kith.app.demo.answers import gesture_to, next_in_circle, next_words, photo_with, topic_of, typing_s
from kith.app.demo.painting import Painting, png
from kith.app.demo.townspeople import HANDLES, Townsperson
from kith.sdk import Client, Group, KithError, Message, Refused, Request, Room

T = TypeVar("T")
PATIENCE_S = 60.0
"""How long one act of the story may take."""
NOTICING_S = 1.5
"""Until somebody sees what she mistyped."""
READING_S = 0.5
"""Everything that comes within this time gets one answer together."""
THREAD = 30
"""Lines of a chat that she looks at."""
DEVICE = "Kith’s demo"

log = logging.getLogger("kith.town")


class TooLateError(Exception):
    """What the story waits for did not happen."""


class Neighbour:
    """One of the townspeople, alive."""

    def __init__(self, who: Townsperson, client: Client) -> None:
        self.who, self.client = who, client
        self._handles: dict[str, str] = {}
        """The other person's handle, by room."""
        self._visitors: dict[str, dict[str, str]] = {}
        """Names of those who are no townspeople by account, in each circle of her own."""
        self._typing: set[str] = set()
        """Chats in which an answer is being typed."""
        self._accepting: set[str] = set()

    # --- coming online ------------------------------------------------------------------------------------------------

    async def come_online(self, origin: str, password: str, born: tuple[int, int], code: str | None) -> str | None:
        """Connect; sign up, in or to the end where that is needed. The recovery code, when there is a new one."""
        new = None
        if not self.client.signed_in:
            new = await self._arrive(origin, password, born, code)
        elif not self.client.ready:
            new = await self.client.finish(code)
        await self.client.connected()
        return new

    async def _arrive(self, origin: str, password: str, born: tuple[int, int], code: str | None) -> str | None:
        handle, name = self.who.handle, self.who.name
        try:
            return await self.client.sign_up(
                origin, handle=handle, display_name=name, password=password, born=born, device_name=DEVICE
            )
        except Refused as error:
            if error.code != "conflict":
                raise
        # She has an account: its answer got lost, or her store did.
        return await self.client.sign_in(origin, handle, password, recovery_code=code, device_name=DEVICE)

    # --- what the story asks of her -----------------------------------------------------------------------------------

    async def ask(self, handle: str, text: str) -> None:
        """Ask somebody, unless that was done before."""
        sent = (await self.client.api.requests()).sent
        if any(one.to == handle for one in sent) or await self.chat_with(handle):
            return
        await self.client.request(handle, text)

    async def chat_with(self, handle: str) -> Room | None:
        """The chat with somebody, if there is one."""
        return next((self.client.room(one.room) for one in await self.client.chats() if one.handle == handle), None)

    async def _request_from(self, handle: str) -> Request | None:
        return next((one for one in await self.client.requests() if one.handle == handle), None)

    async def accept(self, handle: str) -> None:
        """Say yes to a request that comes or came."""

        async def look() -> Room | None:
            request = await self._request_from(handle)
            return await self.chat_with(handle) if request is None else await request.accept()

        await self.until(f"a request from {handle}", look)

    async def decline(self, handle: str) -> None:
        """Say no."""
        request = await self.until(f"a request from {handle}", lambda: self._request_from(handle))
        await request.decline()

    async def connected_with(self, handle: str) -> Room:
        """The chat with somebody, once they agreed."""
        return await self.until(f"a chat with {handle}", lambda: self.chat_with(handle))

    async def write(self, handle: str, text: str) -> None:
        """Say something, unless that was said before. It waits in the outbox when the other has no device yet."""
        room = await self.connected_with(handle)
        said = [one.text for one in room.history() if one.mine]
        if text not in (*said, *_waiting(room)):
            room.queue(text)

    # --- circles ------------------------------------------------------------------------------------------------------

    async def circle(self, name: str) -> Group | None:
        """The group of this name that she is in."""
        mine = [one for one in await self.client.api.groups() if one.group is not None and one.group.name == name]
        return self.client.group(mine[0].room) if mine else None

    async def found(self, name: str, about: str) -> None:
        """Make a group, unless that was done before."""
        if await self.circle(name) is None:
            await self.client.create_group(name, about)

    async def invite_into(self, name: str, handle: str) -> None:
        """Invite somebody, unless she did or they are in it."""
        group = await self.until(f"the group {name}", lambda: self.circle(name))
        there = [one.handle for one in (await group.facts()).accounts]
        waiting = [one.to for one in (await self.client.api.group_invitations()).sent if one.room == group.id]
        if handle not in (*there, *waiting):
            await group.invite(handle)

    async def join(self, name: str) -> None:
        """Say yes to an invitation that comes or came."""

        async def look() -> Group | None:
            invited = [one for one in await self.client.group_invitations() if one.facts.name == name]
            return await invited[0].accept() if invited else await self.circle(name)

        await self.until(f"an invitation to {name}", look)

    async def hears(self, name: str, text: str) -> Message:
        """Wait until something said in a circle is here."""

        async def look() -> Message | None:
            group = await self.circle(name)
            return None if group is None else next((one for one in group.history() if one.text == text), None)

        return await self.until(f"“{text}” in {name}", look)

    async def say_in(self, name: str, text: str, shows: Painting | None = None, *, answers: str | None = None) -> None:
        """Say something in a circle, unless that was said before; waits until she is in it for good."""
        group = await self.until(f"the group {name}", lambda: self.circle(name))
        if text not in [one.text for one in group.history() if one.mine]:
            quoted = None if answers is None else (await self.hears(name, answers)).version
            await _send(group, text, shows, quoted)

    async def reads(self, handle: str, count: int) -> Room:
        """Wait until so many messages of somebody are here; the chat."""

        async def look() -> Room | None:
            room = await self.chat_with(handle)
            if room is None:
                return None
            theirs = [one for one in room.history() if one.kind == "text" and not one.mine]
            return room if len(theirs) >= count else None

        return await self.until(f"message {count} of {handle}", look)

    async def until(self, what: str, look: Callable[[], Awaitable[T | None]]) -> T:
        """Look now and whenever something changed, until there is something. TooLateError after a minute."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S), aclosing(self.client.changes()) as changes:
                async for _ in changes:
                    found = await look()
                    if found is not None:
                        return found
        raise TooLateError(f"{self.who.handle} waited too long for {what}")

    # --- what she does by herself -------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Answer whoever writes or asks, or did while she was away; for as long as this runs."""
        async with asyncio.TaskGroup() as acts, aclosing(self.client.changes()) as changes:
            async for news in changes:
                if not news or "requests" in news:
                    acts.create_task(self._try(self._welcome()))
                if not news or not news <= self._handles.keys():
                    await self._look_round()
                for room in self._outside(news or {*self._handles, *self._visitors}):
                    self._typing.add(room)
                    acts.create_task(self._try(self._answer(room)))

    async def _look_round(self) -> None:
        """Who is in which chat, and which visitors are in the circles that she founded."""
        self._handles = {one.room: one.handle for one in await self.client.chats()}
        for group in await self.client.api.groups():
            if group.group is not None and group.group.role == "owner":
                visitors = {one.account: one.display_name for one in group.accounts if one.handle not in HANDLES}
                self._visitors[group.room] = visitors

    def _outside(self, rooms: Collection[str]) -> list[str]:
        """Those chats in which it is her turn. Townspeople never answer each other: the story has their words."""
        mine = [room for room in rooms if self._visitors.get(room) or self._handles.get(room, "") not in {"", *HANDLES}]
        return [room for room in mine if room not in self._typing and self._words(room) is not None]

    async def _try(self, act: Coroutine[None, None, None]) -> None:
        """A refusal or a lost connection is hers to live with; a bug ends the town and is seen."""
        try:
            await act
        except KithError as error:
            log.warning("%s: %s", self.who.handle, error)

    async def _welcome(self) -> None:
        """People from outside are welcome; the town's own requests belong to the story."""
        for request in await self.client.requests():
            if request.handle not in HANDLES and request.id not in self._accepting:
                self._accepting.add(request.id)
                await _types("")
                if await self._request_from(request.handle):  # or the story, or another device, was faster
                    room = await request.accept()
                    await room.send(self.who.welcome)

    async def _answer(self, room: str) -> None:
        """One answer to everything that was said since her own last message, for as long as it is her turn."""
        try:
            while self._words(room) is not None:
                await asyncio.sleep(READING_S)
                text = self._words(room)
                if text is not None:
                    await self._says(self.client.room(room), text)
        finally:
            self._typing.discard(room)

    async def _says(self, room: Room, text: str) -> None:
        """Read, perhaps react, type, and say it; some things come out wrong first and are corrected."""
        heard = next((one for one in reversed(self._rows(room.id)) if one.kind == "text" and not one.mine), None)
        topic = None if heard is None else topic_of(self.who, heard.text)
        if topic is not None and topic.says != text:
            topic = None
        await room.mark_read()
        symbol = None if heard is None else gesture_to(heard.text)
        if heard is not None and symbol is not None:
            await self._try(heard.react(symbol))
        await room.typing()
        await _types(text)
        quoted = heard.version if heard is not None and topic is not None and topic.quotes else None
        shows = topic.shows if topic is not None else photo_with(self.who, text)
        said = await _send(room, (topic and topic.slip) or text, shows, quoted)
        if said.text != text:
            await asyncio.sleep(NOTICING_S)
            await said.edit(text)

    def _rows(self, room_id: str) -> list[Message]:
        """The chat as she answers it: in a circle, what neighbours say to each other is theirs."""
        rows = self.client.room(room_id).history(THREAD)
        visitors = self._visitors.get(room_id)
        if visitors is None:
            return rows
        return [one for one in rows if one.mine or one.kind == "info" or one.sender in visitors]

    def _words(self, room_id: str) -> str | None:
        if _waiting(self.client.room(room_id)):
            return None
        visitors = self._visitors.get(room_id)
        if visitors is None:
            return next_words(self.who, self._rows(room_id))
        return next_in_circle(self.who, self._rows(room_id), visitors.values())


def _waiting(room: Room) -> list[str]:
    """What she has said that has not left yet."""
    return [one.text for one in room.unsent() if one.failure is None]


async def _send(room: Room, text: str, shows: Painting | None, quoted: str | None) -> Message:
    if shows is None:
        return await room.send(text, reply_to=quoted)
    # Painted here, so nothing of a camera is in it, and the town needs no library that cleans pictures.
    photo = await asyncio.to_thread(png, shows)
    return await room.send_file(
        photo, caption=text, name="photo.png", description=shows.shows, as_is=True, reply_to=quoted
    )


async def _types(text: str) -> None:
    await asyncio.sleep(typing_s(text, random.random()))
