"""What people do with words besides sending them: change, take back, react, pass on, read, search.

`Words` is the part of a `Client` that does it; programs reach it through `Room` and `Message`.
"""

import asyncio
import dataclasses
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from kith.protocol import changes, ephemeral
from kith.protocol import content as mimi
from kith.protocol.attachments import words_of
from kith.protocol.content import MimiContent
from kith.protocol.emoji import is_one_emoji
from kith.protocol.ephemeral import READ, Receipts, Signal
from kith.sdk import saying
from kith.sdk.answers import Controls
from kith.sdk.directory import Missing
from kith.sdk.effects import SHOWN, own_reactions
from kith.sdk.errors import Refused, Unreachable
from kith.sdk.folding import Folding, sweep
from kith.sdk.records import MessageRecord, Thread
from kith.sdk.room import MANAGERS
from kith.sdk.room import Room as RoomState
from kith.sdk.vault import Vault

if TYPE_CHECKING:
    from kith.sdk.client import Client

TELLINGS: Final = 2
"""How often a read status is told: nobody keeps it for devices that are away."""
TYPING_MS: Final = 8_000
"""How long somebody counts as writing after saying so."""
TYPING_EVERY_MS: Final = 3_000
"""Said no more often than that."""
PAGE: Final = 500
"""Messages that a search opens at a time."""

NOT_YOURS: Final = "Only your own messages can be changed."
TOO_LATE: Final = "This message is too old for that. You can still delete it for yourself."
TOO_OFTEN: Final = "This message has been edited 10 times already."


class Version(NamedTuple):
    """What an edited message said, and since when."""

    text: str
    at_ms: int


class Found(NamedTuple):
    """A message that a search found."""

    key: str
    row: MessageRecord

    @property
    def room(self) -> str:
        """Where it stands."""
        return self.key.split("/")[0]


class Words:
    """See the module."""

    def __init__(self, client: "Client", vault: Vault, account: str, server_uri: str) -> None:
        self._client, self._vault, self._account, self._sender = client, vault, account, server_uri
        self._controls: Controls | None = None
        known = vault.get("meta", "restricted", list[str])
        self._restricted = None if known is None else frozenset(known)
        self._writing: dict[tuple[str, str], int] = {}
        self._said_writing: dict[str, int] = {}
        self._owed: dict[str, int] = {}

    # --- looking ------------------------------------------------------------------------------------------------------

    def find(self, room: str, message: str) -> tuple[str, MessageRecord]:
        """A message by the id of any of its versions, and where it lies; Refused when it is not to be seen here."""
        self.sweep()
        found = Folding(self._vault, room, self._client.now()).base(message)
        if found is None or found[1].kind == "gone":
            raise Refused("not_found", "This message is not on this device.")
        return found

    def versions(self, room: str, message: str) -> list[Version]:
        """What a message said before, oldest first, and what it says now."""
        _, row = self.find(room, message)
        if row.kind not in SHOWN:
            return []
        folding = Folding(self._vault, room, self._client.now())
        rows = [row, *(found[1] for found in map(folding.find, (edit.id for edit in row.edits)) if found)]
        return [Version(words_of(mimi.decode(one.content)), one.at_ms) for one in rows if one.content]

    def newest_version(self, room: str, row: MessageRecord) -> MessageRecord:
        """The row whose content is what the message says now."""
        found = Folding(self._vault, room, self._client.now()).find(row.edits[-1].id) if row.edits else None
        return row if found is None else found[1]

    def sweep(self) -> None:
        """Hide what has disappeared, forget what nobody can report any more."""
        sweep(self._vault, self._client.now())

    def search(self, text: str, room: str | None, limit: int) -> list[Found]:
        """The newest messages with all these words, newest first. Opens one record after another: nothing is indexed.

        Case, accents written apart and widths make no difference; a word is found inside others.
        """
        wanted = plain(text).split()
        self.sweep()
        rooms = [room] if room else sorted({key.split("/")[0] for key in self._vault.keys("messages")})
        hits = [found for one in rooms for found in self._search(one, wanted, limit)] if wanted else []
        return sorted(hits, key=lambda one: (one.row.at_ms, one.key), reverse=True)[:limit]

    def _search(self, room: str, wanted: list[str], limit: int) -> list[Found]:
        found: list[Found] = []
        for key, row in self.backwards(room):
            if row.kind == "text" and all(word in plain(row.text) for word in wanted):
                found.append(Found(key, row))
                if len(found) == limit:
                    break
        return found

    def backwards(self, room: str, page: int = PAGE) -> Iterator[tuple[str, MessageRecord]]:
        """Every row of a room, newest first, a page in memory at a time."""
        before: str | None = None
        while rows := self._vault.scan("messages", f"{room}/", MessageRecord, newest=page, before=before):
            yield from reversed(rows)
            before = rows[0][0]

    # --- changing -----------------------------------------------------------------------------------------------------

    async def edit(self, room: str, message: str, text: str) -> None:
        """New words for an own message, within a day and ten times."""
        row = self._own(room, message)
        if not text.strip() and row.kind == "text":
            raise Refused("invalid", "Write something first.")
        if len(row.edits) >= changes.MAX_EDITS:
            raise Refused("invalid", TOO_OFTEN)
        if not changes.may_edit(row.at_ms, self._client.now(), len(row.edits)):
            raise Refused("invalid", TOO_LATE)
        said_now = mimi.decode(self.newest_version(room, row).content or b"")
        part = saying.with_words(said_now.part, text)
        content = self._content(room, part, replaces=bytes.fromhex(row.id))
        await self._say(room, dataclasses.replace(content, extensions={**content.extensions, **_media(said_now)}))

    async def delete(self, room: str, message: str, *, everyone: bool) -> None:
        """Take a message back from everybody (an own one, within a day), or hide it on this device."""
        if not everyone:
            key, row = self.find(room, message)
            with self._vault.transaction():
                Folding(self._vault, room, self._client.now()).put_away(key, row, "gone")
            return
        row = self._own(room, message)
        if not changes.may_delete(row.at_ms, self._client.now()):
            raise Refused("invalid", TOO_LATE)
        await self._say(room, self._content(room, mimi.NullPart(), replaces=bytes.fromhex(row.id)))

    def _own(self, room: str, message: str) -> MessageRecord:
        _, row = self.find(room, message)
        if not row.mine or row.kind not in SHOWN:
            raise Refused("invalid", NOT_YOURS)
        return row

    async def react(self, room: str, message: str, symbol: str | None) -> None:
        """Have exactly this one reaction to a message, or none."""
        _, row = self.find(room, message)
        if row.kind not in SHOWN:
            raise Refused("invalid", "There is nothing to react to.")
        if symbol is not None and not is_one_emoji(symbol):
            raise Refused("invalid", "A reaction is one emoji.")
        standing = own_reactions(row, self._account)
        for extra in standing[1:] if symbol is not None else standing:
            await self._say(room, self._content(room, mimi.NullPart(), replaces=bytes.fromhex(extra.first)))
        if symbol is None or (standing and standing[0].symbols == (symbol,)):
            return
        part = mimi.SinglePart(content_type=mimi.PLAIN, content=symbol.encode(), disposition=mimi.REACTION)
        version = self.newest_version(room, row)
        about = {"replaces": bytes.fromhex(standing[0].first)} if standing else {"in_reply_to": _id(version)}
        await self._say(room, self._content(room, part, **about))

    async def forward(self, room: str, message: str, rooms: list[str]) -> list[MessageRecord]:
        """Say it again elsewhere, in at most five chats; what has travelled far goes to one at a time."""
        _, row = self.find(room, message)
        if row.kind not in SHOWN:
            raise Refused("invalid", "There is nothing to pass on.")
        most = changes.chats_at_once(row.forwarded)
        if not 1 <= len(set(rooms)) <= most:
            chats = "one chat at a time" if most == 1 else f"1 to {most} chats at once"
            raise Refused("invalid", f"This message can be passed on to {chats}.")
        words = mimi.decode(self.newest_version(room, row).content or b"")
        first = mimi.decode(row.content or b"")
        whole = MimiContent(salt=first.salt, extensions={**first.extensions, **_media(words)}, part=words.part)
        who = {"salt": saying.UNSALTED, "sender_uri": self._sender}
        made = {one: changes.forward(whole, room_uri=self._uri(one), **who) for one in dict.fromkeys(rooms)}  # type: ignore[arg-type]  # three arguments of two types
        return list(await asyncio.gather(*(self._say(one, content) for one, content in made.items())))

    async def set_timer(self, room: str, seconds: int) -> None:
        """From now on messages here disappear so long after they are read; 0: they stay."""
        if seconds not in changes.TIMES:
            allowed = ", ".join(map(str, changes.TIMES))
            raise Refused("invalid", f"The time until messages disappear is one of these, in seconds: {allowed}.")
        roster = self._state(room).world.directory.who(room)
        if roster.is_group and roster.roles.get(self._account) not in MANAGERS:
            raise Refused("forbidden", "Only admins can change this in a group.")
        content = changes.timer(seconds, salt=saying.UNSALTED, sender_uri=self._sender, room_uri=self._uri(room))
        await self._say(room, content)

    def _content(self, room: str, part: mimi.Part, **how: bytes) -> MimiContent:
        extensions = {mimi.SENDER: self._sender, mimi.ROOM: self._uri(room)}
        return MimiContent(salt=saying.UNSALTED, extensions=extensions, part=part, **how)  # type: ignore[arg-type]  # replaces or in_reply_to

    async def _say(self, room: str, content: MimiContent) -> MessageRecord:
        return await self._client.say(room, mimi.encode(content))

    def _state(self, room: str) -> RoomState:
        return self._client.state(room)

    def _uri(self, room: str) -> str:
        return self._state(room).uri

    # --- reading and writing, as others see it ------------------------------------------------------------------------

    async def controls(self) -> Controls:
        """What this account lets others see."""
        if self._controls is None:
            self._controls = (await self._client.api.me()).controls
        return self._controls

    def controls_changed(self) -> None:
        """Ask again when it matters."""
        self._controls = None
        self._writing.clear()

    # whom this account restricts

    def restricts(self, account: str) -> bool:
        """Whether this account restricts that one, as far as this device knows."""
        return self._restricted is not None and account in self._restricted

    async def learn_restricted(self) -> frozenset[str]:
        """Ask whom this account restricts, and keep it for when there is no connection."""
        found = frozenset(one.account for one in await self._client.api.restricted())
        with self._vault.transaction():
            self._vault.put("meta", "restricted", sorted(found))
        if found != self._restricted:
            self._writing.clear()
        self._restricted = found
        return found

    async def _is_open(self, room: str) -> bool:
        """Whether reading and writing are told there, and heard: nobody of that room is restricted."""
        roster = self._state(room).world.directory.known_roster(room)
        restricted = await self.learn_restricted() if self._restricted is None else self._restricted
        return roster is not None and restricted.isdisjoint(roster.accounts)

    def read_here(self, key: str) -> None:
        """A program has handled this message: the time until it disappears begins."""
        row = self._vault.get("messages", key, MessageRecord)
        if row is not None and row.fades_s is not None:
            with self._vault.transaction():
                Folding(self._vault, key.split("/", maxsplit=1)[0], self._client.now()).read(key, row)

    async def mark_read(self, room: str, upto: str | None = None) -> None:
        """Everything up to this message (None: up to the newest) has been read; told, if both let it be told."""
        seq = None if upto is None else self.find(room, upto)[1].seq
        if self._mark(room, seq):
            self._owed[room] = TELLINGS
            with suppress(Unreachable):  # what was read is noted here; others are told when they are there
                await self.seen(room)

    def _mark(self, room: str, upto: int | None) -> bool:
        """Whether something was read that was not before."""
        folding, newest = Folding(self._vault, room, self._client.now()), 0
        before = self._thread(room).read_seq
        with self._vault.transaction():
            for key, row in self.backwards(room):
                if row.seq is not None and row.seq <= before:
                    break
                if row.mine or row.seq is None or (upto is not None and row.seq > upto) or row.kind == "effect":
                    continue
                newest = max(newest, row.seq)
                folding.read(key, row)
            if newest:
                self._put_thread(room, replace(self._thread(room), read_seq=newest))
        return newest > 0

    def owes(self, room: str, *, untold: bool = False) -> bool:
        """Whether a read status is still to be told there; `untold`: that was not told at all yet."""
        return self._owed.get(room, 0) > (TELLINGS - 1 if untold else 0)

    async def seen(self, room: str) -> None:
        """Somebody of that room may be there now: what was read is told, and once more for who was away then."""
        if not self.owes(room):
            return
        if not await self._is_open(room):
            self._owed.pop(room, None)  # nor afterwards: what is read while somebody is restricted stays untold
        elif (await self.controls()).read_receipts:
            self._tell_read(room)

    def _tell_read(self, room: str) -> None:
        read = self._thread(room).read_seq
        row = next((row for _, row in self.backwards(room) if row.seq and row.seq <= read and not row.mine), None)
        if row is None or row.content is None or row.seq is None:
            self._owed.pop(room, None)
            return
        pairs = ((bytes.fromhex(row.id), READ),)
        told = self._whisper(room, lambda **who: ephemeral.receipts(pairs, **who))
        self._owed[room] = self._owed.get(room, 0) - told

    async def typing(self, room: str) -> None:
        """Tell that one is writing, if both let it be told; at most every few seconds."""
        now = self._client.now()
        if now - self._said_writing.get(room, 0) < TYPING_EVERY_MS or not (await self.controls()).typing:
            return
        if not await self._is_open(room):
            return
        self._said_writing[room] = now
        self._whisper(room, ephemeral.typing)

    def _whisper(self, room: str, make: Callable[..., MimiContent]) -> bool:
        state = self._state(room)
        content = make(salt=state.world.random(mimi.SALT), sender_uri=self._sender, room_uri=state.uri)
        try:
            told = self._client.online and state.whisper(content, self._client.now())
        except Missing:  # a fact that the next message will fetch; nobody waits for typing
            told = False
        self._client.perform(state)
        return told

    async def hear(self, room: str, sender: str, signal: Signal) -> None:
        """Somebody is writing, or has read. What one does not tell, one is not shown."""
        if sender != self._account and not await self._is_open(room):
            return
        controls = await self.controls()
        if isinstance(signal, Receipts):
            if sender == self._account:  # another device of ours
                self._read_elsewhere(room, signal)
            elif controls.read_receipts:
                self._read_by(room, sender, signal)
        elif controls.typing and sender != self._account:
            self._writing[room, sender] = self._client.now() + TYPING_MS

    def _seqs(self, room: str, signal: Receipts) -> int:
        folding = Folding(self._vault, room, self._client.now())
        rows = [found[1] for found in map(folding.find, (one.hex() for one in signal.read)) if found]
        return max((row.seq or 0 for row in rows), default=0)

    def _read_by(self, room: str, sender: str, signal: Receipts) -> None:
        thread, seq = self._thread(room), self._seqs(room, signal)
        if seq > thread.read_by.get(sender, 0):
            with self._vault.transaction():
                self._put_thread(room, replace(thread, read_by={**thread.read_by, sender: seq}))

    def _read_elsewhere(self, room: str, signal: Receipts) -> None:
        seq = self._seqs(room, signal)
        if seq:
            self._mark(room, seq)

    def writing(self, room: str) -> list[str]:
        """Accounts that are writing there now."""
        now = self._client.now()
        self._writing = {who: until for who, until in self._writing.items() if until > now}
        return sorted(account for place, account in self._writing if place == room)

    def _thread(self, room: str) -> Thread:
        return self._state(room).thread()

    def _put_thread(self, room: str, thread: Thread) -> None:
        self._vault.put("meta", f"thread/{room}", thread)


def plain(text: str) -> str:
    """Text as it is compared in a search."""
    return unicodedata.normalize("NFKC", text).casefold()


def _id(row: MessageRecord) -> bytes:
    return bytes.fromhex(row.id)


def _media(content: MimiContent) -> dict[int | str, Any]:
    return {key: content.extensions[key] for key in changes.ABOUT_PARTS if key in content.extensions}
