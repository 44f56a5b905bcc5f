"""What a program holds in its hands: a chat, a group, a message, a request. Their verbs lead to the `Client`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from kith.sdk import answers
from kith.sdk.files import File
from kith.sdk.keeping import ChatState
from kith.sdk.records import OutboxRecord
from kith.sdk.sending import FileToSend, Source, Upload, prepared
from kith.sdk.transfer import Told
from kith.sdk.words import Version

if TYPE_CHECKING:
    from kith.sdk.client import Client

Category: TypeAlias = Literal["sexual", "impersonation", "scam", "bullying", "drugs_weapons", "other"]
Kind: TypeAlias = Literal["text", "unsupported", "tombstone", "info", "deleted"]
GROUP_LINK: Final = "/#/g/"
"""Stands before the token in a link into a group."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message as a program sees it. `text` is "" for everything but text; `at_ms` is the server's time."""

    room: "Room"
    id: str
    text: str
    kind: Kind
    sender: str
    mine: bool
    at_ms: int
    seq: int | None
    reply_to: str | None
    edited: bool
    version: str
    """The id of the newest version; `id` stays that of the first. An answer names the version it answers."""
    reactions: dict[str, tuple[str, ...]] = {}
    """Accounts by symbol."""
    forwarded: int = 0
    """How often it was passed on, as its sender's device says; 0: written there."""
    vanish_ms: int | None = None
    """When it disappears from this device."""
    read_by: tuple[str, ...] = ()
    """Of an own message: the accounts that tell they have read it."""
    files: tuple[File, ...] = ()
    """What was sent with it. Nothing is fetched before it is asked for."""
    quiet: bool = False
    """This account restricts its sender: shown to who looks, and announced by nothing."""
    gap_before: int = 0
    """How many messages the server numbered between the one before and this one, and never delivered here."""

    def __repr__(self) -> str:
        """Without what was said."""
        return f"Message({self.id[:12]!r}, {self.kind})"

    async def reply(self, text: str) -> "Message":
        """Answer to exactly this message, as it reads now."""
        return await self.room.send(text, reply_to=self.version)

    @property
    def quoted(self) -> "Message | None":
        """What it answers; None when it answers nothing, or something that is not (or no longer) to be seen here."""
        return None if self.reply_to is None else self.room.message(self.reply_to)

    async def edit(self, text: str) -> None:
        """New words, for everybody. Refused (`invalid`) for others' messages, after a day, and after ten times."""
        await self.room.edit(self.id, text)

    async def delete(self, *, everyone: bool = True) -> None:
        """Take it back from everybody (own ones, for a day), or hide it on this device alone."""
        await self.room.delete(self.id, everyone=everyone)

    async def react(self, symbol: str) -> None:
        """Have exactly this one reaction to it: one emoji."""
        await self.room.react(self.id, symbol)

    async def unreact(self) -> None:
        """Take one's reactions back."""
        await self.room.react(self.id, None)

    async def forward(self, *rooms: "Room") -> None:
        """Pass it on, to at most five chats; to one at a time after it was passed on five times."""
        await self.room.forward(self.id, *rooms)

    async def read(self) -> None:
        """This message and everything before it has been read: see `Room.mark_read`."""
        await self.room.mark_read(self.id)

    def versions(self) -> list[Version]:
        """What it said before it was edited, oldest first, and what it says now."""
        return self.room.versions(self.id)

    async def report(self, category: Category, note: str = "", *, minor_involved: bool = False) -> answers.Reported:
        """Report its sender, with this message and what came before it as proof (at most 30 messages)."""
        return await self.room.report(category, note, upto=self.id, minor_involved=minor_involved)

    async def block(self) -> None:
        """Block its sender."""
        await self.room.block_sender(self.sender)


class Request:
    """Somebody asks to write to this account."""

    def __init__(self, client: "Client", facts: answers.Received) -> None:
        self._client = client
        self.id, self.account, self.handle, self.display_name = (
            facts.request,
            facts.account,
            facts.handle,
            facts.display_name,
        )
        self.notice: answers.Notice | None = facts.notice

    def __repr__(self) -> str:
        return f"Request(from {self.handle!r})"

    async def accept(self) -> "Room":
        """Agree to write with each other."""
        done = await self._client.api.accept(self.id)
        await self._client.refresh_people()
        return self._client.room(done.room)

    async def decline(self) -> None:
        """Silently; the other side learns nothing."""
        await self._client.api.decline(self.id)


class Room:
    """A chat. Get it from `client.room(id)`, `client.chats()`, `client.room_with(handle)` or a message."""

    def __init__(self, client: "Client", room_id: str) -> None:
        self._client = client
        self.id = room_id

    def __repr__(self) -> str:
        return f"Room({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Room) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def account(self) -> str:
        """The other person's account id."""
        return self._client.other_in(self.id)

    async def send(self, text: str, *, reply_to: str | None = None) -> Message:
        """Say something; returns when the server has it for good.

        The words are in the outbox, on disk, before anything leaves: without a connection this waits, and after a
        crash they are sent by the next `Client`, once. Refused (Restricted, Limited) when they will not be taken.
        """
        return await self._client.send(self.id, text, reply_to)

    async def send_file(
        self,
        source: Source,
        *,
        caption: str = "",
        name: str | None = None,
        media_type: str | None = None,
        description: str = "",
        as_is: bool = False,
        voice: bool = False,
        reply_to: str | None = None,
        progress: Told | None = None,
    ) -> Message:
        """Send a file: a path, bytes, or a binary stream that can seek; returns when the server has the message.

        Pictures and films are cleaned of what says where and when they were made, unless `as_is`; `voice` makes it a
        voice note. A connection that breaks off is taken up again; what is left after a crash is in `uploads()`.
        Cancelling leaves it there as well.
        """
        one = FileToSend(
            source=source, name=name, media_type=media_type, description=description, as_is=as_is, voice=voice
        )
        return await self.send_files([one], caption=caption, reply_to=reply_to, progress=progress)

    async def send_files(
        self,
        files: Sequence[FileToSend],
        *,
        caption: str = "",
        reply_to: str | None = None,
        progress: Told | None = None,
    ) -> Message:
        """Send an album: up to ten files and one caption in one message."""
        return await (await prepared(self._client, self.id, files, caption, reply_to)).run(progress)

    def uploads(self) -> list[Upload]:
        """Files that were being sent when a program ended, or whose sending failed: take them up, or cancel them."""
        return [Upload(self._client, one) for one in self._client.outbox.uploads(self.id)]

    def queue(self, text: str, *, reply_to: str | None = None) -> str:
        """Put words into the outbox without waiting; the id by which `unsent` lists them."""
        return self._client.queue(self.id, text, reply_to).id

    def message(self, message: str) -> Message | None:
        """A message by the id of any of its versions; None when it is not to be seen on this device."""
        return self._client.message(self.id, message)

    async def edit(self, message: str, text: str) -> None:
        """See `Message.edit`."""
        await self._client.words.edit(self.id, message, text)

    async def delete(self, message: str, *, everyone: bool = True) -> None:
        """See `Message.delete`."""
        await self._client.words.delete(self.id, message, everyone=everyone)

    async def react(self, message: str, symbol: str | None) -> None:
        """Have exactly this one reaction to a message; None: no reaction."""
        await self._client.words.react(self.id, message, symbol)

    async def forward(self, message: str, *rooms: "Room") -> None:
        """See `Message.forward`."""
        await self._client.words.forward(self.id, message, [one.id for one in rooms])

    def versions(self, message: str) -> list[Version]:
        """See `Message.versions`."""
        return self._client.words.versions(self.id, message)

    @property
    def timer_s(self) -> int:
        """Messages here disappear so many seconds after they are read; 0: they stay."""
        return self._client.state(self.id).thread().timer_s

    async def set_timer(self, seconds: int) -> None:
        """Let messages disappear from now on: 300, 3600, 86400, 604800 or 2419200 seconds after reading; 0: never."""
        await self._client.words.set_timer(self.id, seconds)

    async def mark_read(self, upto: str | None = None) -> None:
        """What others wrote here, up to this message, has been read: their time to disappear begins.

        Others are told where both sides' `read_receipts` allow it; with an own one off they are not.
        """
        await self._client.words.mark_read(self.id, upto)

    @property
    def kept(self) -> ChatState:
        """How this device keeps the chat: pinned, muted, archived, half written, unread."""
        return self._client.keeping.state(self.id)

    async def keep(
        self, *, pinned: bool | None = None, muted: bool | None = None, archived: bool | None = None
    ) -> None:
        """Pin, mute or archive it on this device, or undo that; what is left out stays.

        At most five chats are pinned (Refused, `invalid`). An archived one comes back with the next message, unless it
        is muted. Muting tells the server nothing but, on a device that it wakes, which chats must not wake it.
        """
        await self._client.keep(self.id, pinned=pinned, muted=muted, archived=archived)

    def set_draft(self, text: str) -> None:
        """Keep what is half written (`kept.draft`), in the store; "" forgets it."""
        self._client.keeping.set_draft(self.id, text)

    async def delete_thread(self) -> None:
        """Delete every message of this chat on this device, and how it was kept. The chat itself goes on.

        The last 30 messages with a proof stay, shown nowhere, for 30 days, so that `report` still works; what was taken
        back or disappears stays no longer than it would have.
        """
        await self._client.delete_thread(self.id)

    async def typing(self) -> None:
        """Tell that one is writing, where both sides' `typing` allow it. Say it again while it goes on."""
        await self._client.words.typing(self.id)

    def writing(self) -> list[str]:
        """Accounts that are writing here at this moment, as far as they tell and this account tells as well."""
        return self._client.words.writing(self.id)

    def search(self, text: str, limit: int = 50) -> list[Message]:
        """See `Client.search`."""
        return self._client.search(text, room=self, limit=limit)

    def unsent(self) -> list[OutboxRecord]:
        """What waits to be sent, and what was refused (`failure` says why)."""
        return self._client.state(self.id).outbox()

    def discard(self, outbox_id: str) -> None:
        """Forget words that were refused."""
        self._client.outbox.discard(self.id, outbox_id)

    def history(self, limit: int = 50) -> list[Message]:
        """The newest messages that are on this device, oldest first, own ones included."""
        return self._client.history(self.id, limit)

    async def report(
        self, category: Category, note: str = "", *, upto: str | None = None, minor_involved: bool = False
    ) -> answers.Reported:
        """Report the other person, with the last messages (up to `upto`, at most 30) as proof."""
        return await self._client.report_room(self.id, category, note, upto, minor_involved=minor_involved)

    async def block(self) -> None:
        """From now on nothing of the other person comes here, and nothing of mine reaches them."""
        await self._client.block(self.account)

    async def block_sender(self, account: str) -> None:
        """Block somebody of this chat."""
        await self._client.block(account)

    async def restrict(self) -> None:
        """From now on the other person's messages wait here without a word: see `Client.restrict`."""
        await self._client.restrict(self.account)


class Group(Room):
    """A chat of many. Nobody is in it without their own yes; who comes and goes is said in the thread."""

    def __repr__(self) -> str:
        return f"Group({self.id!r})"

    async def facts(self) -> answers.Room:
        """Name, rules, own role, and who is in it in which role."""
        return await self._client.api.room(self.id)

    async def members(self) -> dict[str, str]:
        """Roles by account."""
        return {one.account: one.role for one in (await self.facts()).accounts}

    async def invite(self, handle: str) -> str:
        """Invite somebody; the id by which it is taken back. The answer is the same whoever was invited."""
        return (await self._client.api.invite_to(self.id, {"handle": handle})).invitation

    async def change(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        posting: Literal["everyone", "admins"] | None = None,
        approval: bool | None = None,
    ) -> None:
        """Name, description, who may write, whether who comes by a link waits for an admin."""
        wanted = {"name": name, "description": description, "posting": posting, "approval": approval}
        await self._client.api.change_group(self.id, {key: value for key, value in wanted.items() if value is not None})

    async def leave(self) -> None:
        """Go, at once."""
        await self._client.api.leave_group(self.id)
        await self._client.refresh_group(self.id)

    async def remove(self, account: str) -> None:
        """Take somebody out, or turn a joiner down."""
        await self._client.api.remove_member(self.id, account)
        await self._client.refresh_group(self.id)

    async def ban(self, account: str) -> None:
        """Take somebody out for good."""
        await self._client.api.ban_member(self.id, account, ban=True)
        await self._client.refresh_group(self.id)

    async def unban(self, account: str) -> None:
        """Lift a ban; nobody comes back by that alone."""
        await self._client.api.ban_member(self.id, account, ban=False)

    async def give_role(self, account: str, role: Literal["member", "admin", "owner"]) -> None:
        """Change somebody's role, or one's own downwards."""
        await self._client.api.give_role(self.id, account, role)

    async def joiners(self) -> list[answers.Joiner]:
        """Who came by a link and waits for an admin's yes."""
        return await self._client.api.joiners(self.id)

    async def let_in(self, account: str) -> None:
        """Say yes to who came by a link."""
        await self._client.api.give_role(self.id, account, "member")
        await self._client.refresh_group(self.id)

    async def link(self, *, life_ms: int | None = None) -> tuple[str, str]:
        """A link into the group, shown once, and the id by which it is revoked."""
        made = await self._client.api.group_link(self.id, life_ms)
        return f"{self._client.api.origin}{GROUP_LINK}{made.token}", made.link

    async def revoke_link(self, link: str) -> None:
        """Make a link dead, by its id."""
        await self._client.api.revoke_link(self.id, link)


class Invitation:
    """Somebody invites this account into a group."""

    def __init__(self, client: "Client", facts: answers.ReceivedInvitation) -> None:
        self._client = client
        self.id, self.facts = facts.invitation, facts

    def __repr__(self) -> str:
        return f"Invitation(to {self.facts.name!r})"

    async def accept(self) -> Group:
        """Be in the group from now on."""
        await self._client.api.answer_invitation(self.id, yes=True)
        return await self._client.enter_group(self.facts.room)

    async def decline(self) -> None:
        """Silently."""
        await self._client.api.answer_invitation(self.id, yes=False)
