"""What waits to be sent, on disk, and the tasks that wait until the server has it.

First messages of requests and files that are on their way wait here too, until they can become messages.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, TypedDict, Unpack

from kith.sdk.errors import KithError, Refused
from kith.sdk.records import FileRecord, FirstMessage, MessageRecord, OutboxRecord, UploadRecord
from kith.sdk.vault import Vault

MAX_TEXT: Final = 10_000
"""Characters of one message."""
TOO_LONG: Final = "That message is too long. Split it in two."


class Carried(TypedDict, total=False):
    """What a message has besides words: files that are up, or, instead of words, content without a salt (`template`).

    `upload` is the record that the files come from, and goes: taken up again, the message would be sent twice.
    """

    files: tuple[FileRecord, ...]
    template: bytes | None
    upload: UploadRecord | None


class Outbox:
    """Of one signed-in device. `poke` is called with a room in which something waits now."""

    def __init__(self, vault: Vault, clock: Callable[[], int], poke: Callable[[str], None]) -> None:
        self._vault, self._now, self._poke = vault, clock, poke
        self._waiting: dict[str, asyncio.Future[MessageRecord]] = {}

    # --- messages -----------------------------------------------------------------------------------------------------

    def queue(self, room: str, text: str, reply_to: str | None = None, **carried: Unpack[Carried]) -> OutboxRecord:
        """Put words, and what goes with them or instead of them, into the outbox, on disk."""
        files, template, upload = carried.get("files", ()), carried.get("template"), carried.get("upload")
        if not text.strip() and not files and template is None:
            raise Refused("invalid", "Write something first.")
        if len(text) > MAX_TEXT:
            raise Refused("too_large", TOO_LONG)
        record = OutboxRecord(
            id=secrets.token_hex(16),
            room=room,
            created_ms=self._next_ms(room),
            text=text,
            reply_to=reply_to,
            files=files,
            template=template,
        )
        with self._vault.transaction():
            self._vault.put("outbox", record.place, record)
            if upload is not None:
                self._vault.drop("meta", upload.place)
        self._poke(room)
        return record

    def _next_ms(self, room: str) -> int:
        """A creation time after everything that waits in that room, so that order is kept within a millisecond."""
        last = self._vault.scan("outbox", f"{room}/", OutboxRecord, newest=1)
        return max(self._now(), last[0][1].created_ms + 1 if last else 0)

    def rooms(self) -> set[str]:
        """Where something waits."""
        return {key.split("/")[0] for key in self._vault.keys("outbox")}

    def discard(self, room: str, outbox_id: str) -> None:
        """Forget words that were refused."""
        waiting = self._vault.scan("outbox", f"{room}/", OutboxRecord)
        with self._vault.transaction():
            for key, record in waiting:
                if record.id == outbox_id and record.failure is not None:
                    self._vault.drop("outbox", key)

    # --- who waits for them -------------------------------------------------------------------------------------------

    async def accepted(self, record: OutboxRecord) -> MessageRecord:
        """Wait until the server has what was just queued; its row. Raises what it was refused with."""
        waiting: asyncio.Future[MessageRecord] = asyncio.get_running_loop().create_future()
        self._waiting[record.id] = waiting
        try:
            return await waiting
        finally:
            self._waiting.pop(record.id, None)

    def answer(self, outbox_id: str, answer: MessageRecord | KithError) -> None:
        """The server has it, or does not want it."""
        waiting = self._waiting.pop(outbox_id, None)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, MessageRecord):
            waiting.set_result(answer)
        else:
            waiting.set_exception(answer)

    def give_up(self, error: BaseException | None = None) -> None:
        """Nobody will answer any more: whoever waits learns why, or is cancelled."""
        for waiting in self._waiting.values():
            if waiting.done():
                continue
            if error is None:
                waiting.cancel()
            else:
                waiting.set_exception(error)

    # --- what is no message yet ---------------------------------------------------------------------------------------

    def keep_first(self, request: str, text: str) -> None:
        """The first message waits for the request to be accepted."""
        with self._vault.transaction():
            self._vault.put("meta", f"first/{request}", FirstMessage(text=text, created_ms=self._now()))

    def drop_first(self, request: str) -> None:
        """The request was taken back."""
        with self._vault.transaction():
            self._vault.drop("meta", f"first/{request}")

    @property
    def has_first(self) -> bool:
        """Whether any first message waits."""
        return bool(self._vault.keys("meta", "first/"))

    def send_first(self, accepted: dict[str, str]) -> None:
        """Requests were accepted (room by request): their first messages leave."""
        for key, first in self._vault.scan("meta", "first/", FirstMessage):
            room = accepted.get(key.removeprefix("first/"))
            if room is None:
                continue
            record = OutboxRecord(id=secrets.token_hex(16), room=room, created_ms=first.created_ms, text=first.text)
            with self._vault.transaction():
                self._vault.put("outbox", record.place, record)
                self._vault.drop("meta", key)
            self._poke(room)

    def uploads(self, room: str) -> list[UploadRecord]:
        """Files that are on their way in a room."""
        return [one for _, one in self._vault.scan("meta", f"upload/{room}/", UploadRecord)]

    def keep_upload(self, record: UploadRecord) -> None:
        """Remember files that are on their way."""
        with self._vault.transaction():
            self._vault.put("meta", record.place, record)

    def drop_upload(self, record: UploadRecord) -> None:
        """They arrived, or are not wanted any more."""
        with self._vault.transaction():
            self._vault.drop("meta", record.place)
