"""How a person keeps her chats on this device: pinned, muted, archived, half written, read up to here, deleted.

Sealed in the store and told to nobody, other devices of the account included. One exception: a device that asked to be
woken while it is away names the chats that must not wake it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from kith.sdk.api import Api
from kith.sdk.effects import SHOWN, selected
from kith.sdk.errors import Refused
from kith.sdk.folding import DAY_MS, KEEP_MS
from kith.sdk.records import Draft, Kept, KeptMessage, MessageRecord, OutboxRecord, Thread
from kith.sdk.vault import Vault

MOST_PINNED: Final = 5
MAX_DRAFT: Final = 20_000
"""Characters: longer than any message may be, because what is too long to send is still kept."""
REPORT_ITEMS: Final = 30
"""Messages of one report, and of a deleted chat that stay reportable."""
KEPT_MS: Final = 30 * DAY_MS
"""How long messages of a deleted chat stay reportable, and nothing else."""
MOST_COUNTED: Final = 1_000
"""Unread messages are counted up to here."""
MOST_QUIET: Final = 500
"""docs/limits.md: `push_quiet_rooms`."""
PAGE: Final = 100
LOOSE: Final = Kept()
_WAKES: Final = "waking"
"""meta/waking: this device asked to be woken."""


@dataclass(frozen=True, slots=True)
class Unread:
    """How many messages of others were not read here (at most `MOST_COUNTED`), and the id of the first of those."""

    count: int
    first: str | None


@dataclass(frozen=True, slots=True)
class ChatState:
    """A chat as this device keeps it. `at_ms`: time of its newest message, 0 without any."""

    pinned: bool
    muted: bool
    archived: bool
    draft: str = field(repr=False)
    unread: Unread
    at_ms: int


def is_archived(kept: Kept, newest_ms: int) -> bool:
    """A chat that was put away comes back with the next message, unless it is muted."""
    return kept.archived_at_ms is not None and (kept.muted or newest_ms <= kept.archived_at_ms)


def changed(  # noqa: PLR0917 - what is, what is wanted, and when
    before: Kept, pinned: bool | None, muted: bool | None, archived: bool | None, newest_ms: int, now: int
) -> Kept:
    """What becomes of a chat. One that is put away is not on top, and one on top is not put away."""
    stays_pinned = before.pinned_ms is not None if pinned is None else pinned
    put_away = before.archived_at_ms if archived is None else newest_ms if archived else None
    return Kept(
        pinned_ms=(before.pinned_ms or now) if stays_pinned and not archived else None,
        muted=before.muted if muted is None else muted,
        archived_at_ms=None if pinned else put_away,
    )


class Keeping:
    """Of one signed-in device."""

    def __init__(
        self, vault: Vault, api: Api, clock: Callable[[], int], quiet: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._vault, self._api, self._now = vault, api, clock
        self._quiet = quiet
        """Whether this account restricts that one: what it writes is unread nowhere and brings no chat back."""

    # --- looking ------------------------------------------------------------------------------------------------------

    def state(self, room: str) -> ChatState:
        """How a chat is kept."""
        kept, newest = self._kept(room), self._newest_ms(room)
        draft = self._vault.get("meta", f"draft/{room}", Draft)
        return ChatState(
            pinned=kept.pinned_ms is not None,
            muted=kept.muted,
            archived=is_archived(kept, self._newest_ms(room, loud=True)),
            draft="" if draft is None else draft.text,
            unread=self._unread(room),
            at_ms=newest,
        )

    def _kept(self, room: str) -> Kept:
        return self._vault.get("meta", f"kept/{room}", Kept) or LOOSE

    def _newest_ms(self, room: str, *, loud: bool = False) -> int:
        shown = (row for row in self._backwards(room) if row.kind in (*SHOWN, "deleted"))
        return next((row.at_ms for row in shown if not (loud and self._quiet(row.sender))), 0)

    def _unread(self, room: str) -> Unread:
        read, count, first = self._thread(room).read_seq, 0, None
        for row in self._backwards(room):
            if count == MOST_COUNTED or (row.seq is not None and row.seq <= read):
                break
            if not row.mine and row.kind in SHOWN and not self._quiet(row.sender):
                count, first = count + 1, row.id
        return Unread(count, first)

    def _backwards(self, room: str) -> Iterator[MessageRecord]:
        before: str | None = None
        while rows := self._vault.scan("messages", f"{room}/", MessageRecord, newest=PAGE, before=before):
            yield from (row for _, row in reversed(rows))
            before = rows[0][0]

    def _thread(self, room: str) -> Thread:
        return self._vault.get("meta", f"thread/{room}", Thread) or Thread()

    # --- arranging ----------------------------------------------------------------------------------------------------

    def keep(self, room: str, *, pinned: bool | None, muted: bool | None, archived: bool | None) -> None:
        """Change what is not None. Refused (`invalid`) when five chats are pinned already, or both are wanted."""
        if pinned and archived:
            raise Refused("invalid", "A chat is either pinned or archived.")
        before = self._kept(room)
        if pinned and before.pinned_ms is None:
            self._check_room()
        with self._vault.transaction():
            after = changed(before, pinned, muted, archived, self._newest_ms(room), self._now())
            self._vault.put("meta", f"kept/{room}", after)

    def _check_room(self) -> None:
        kept = self._vault.scan("meta", "kept/", Kept)
        if sum(one.pinned_ms is not None for _, one in kept) >= MOST_PINNED:
            raise Refused("invalid", f"You can pin {MOST_PINNED} chats. Unpin another one first.")

    def set_draft(self, room: str, text: str) -> None:
        """Keep what is half written; without words nothing is kept."""
        with self._vault.transaction():
            if text:
                self._vault.put("meta", f"draft/{room}", Draft(text=text[:MAX_DRAFT]))
            else:
                self._vault.drop("meta", f"draft/{room}")

    # --- being woken --------------------------------------------------------------------------------------------------

    async def wake(self, endpoint: str, p256dh: bytes, auth: bytes) -> None:
        """Be woken at this push service while away, by every chat that is not muted."""
        await self._api.set_push(endpoint, p256dh, auth)
        with self._vault.transaction():
            self._vault.put("meta", _WAKES, value=True)
        await self.keep_quiet()

    async def let_sleep(self) -> None:
        """Be woken no more."""
        await self._api.end_push()
        with self._vault.transaction():
            self._vault.drop("meta", _WAKES)

    async def keep_quiet(self) -> None:
        """Tell which chats do not wake this device. Who is not woken tells nobody which chats are muted."""
        if self._vault.get("meta", _WAKES, bool):
            muted = [key.removeprefix("kept/") for key, one in self._vault.scan("meta", "kept/", Kept) if one.muted]
            try:
                await self._api.quiet(muted[:MOST_QUIET])
            except Refused as error:
                if error.code != "conflict":
                    raise
                with self._vault.transaction():  # its push service forgot this device: nothing wakes it any more
                    self._vault.drop("meta", _WAKES)

    # --- deleting, and what stays reportable --------------------------------------------------------------------------

    def delete_thread(self, room: str) -> None:
        """Delete a chat's messages on this device. Its last proven ones stay reportable for a while, shown nowhere."""
        until = self._now() + KEPT_MS
        rows = self._vault.scan("messages", f"{room}/", MessageRecord)
        kept = dict(self._vault.scan("kept", f"{room}/", KeptMessage))
        proven = {row.id: row for row in self.provable(room)}
        wanted = {row.id for row in selected(list(proven.values()), None, REPORT_ITEMS)}
        thread = self._thread(room)
        with self._vault.transaction():
            for key, one in kept.items():
                if one.message.id not in wanted:
                    self._vault.drop("kept", key)
            for key, row in rows:
                if row.id in wanted and row.id in proven:
                    self._vault.put("kept", key, KeptMessage(message=row, until_ms=min(until, _end(row, until))))
                self._vault.drop("messages", key)
            for key in self._vault.keys("ids", f"{room}/"):
                self._vault.drop("ids", key)
            for key in (*self._vault.keys("meta", f"held/{room}/"), f"draft/{room}", f"kept/{room}"):
                self._vault.drop("meta", key)
            for key, waiting in self._vault.scan("outbox", f"{room}/", OutboxRecord):
                if waiting.failure is not None:
                    self._vault.drop("outbox", key)
            self._vault.put("meta", f"thread/{room}", replace(thread, read_seq=max(thread.read_seq, thread.head_seq)))

    def provable(self, room: str) -> list[MessageRecord]:
        """What a report of this chat can prove, oldest first, messages of the deleted chat included."""
        self.forget()
        rows = {key: one.message for key, one in self._vault.scan("kept", f"{room}/", KeptMessage)}
        rows |= dict(self._vault.scan("messages", f"{room}/", MessageRecord))
        return [row for _, row in sorted(rows.items()) if row.frank is not None and row.content is not None]

    def forget(self) -> None:
        """Drop what of deleted chats was kept long enough."""
        over = [key for key, one in self._vault.scan("kept", "", KeptMessage) if one.until_ms <= self._now()]
        if over:
            with self._vault.transaction():
                for key in over:
                    self._vault.drop("kept", key)


def _end(row: MessageRecord, latest: int) -> int:
    """Deleting a chat keeps nothing longer than it would have stayed: not what was taken back, nor what disappears."""
    if row.keep_ms is not None:
        return row.keep_ms
    return latest if row.vanish_ms is None else row.vanish_ms + KEEP_MS
