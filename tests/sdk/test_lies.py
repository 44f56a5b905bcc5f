"""What neither a server nor the other person can make a client believe or show."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import structs

from kith.protocol.content import text
from kith.sdk import answers, receive
from kith.sdk.directory import Directory
from kith.sdk.errors import Unverified
from kith.sdk.room import Room

ME, THEM, GHOST, ROOM = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3, 4))


class Shelf:
    """A vault in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}

    def get(self, store: str, key: str, _kind: type) -> Any:
        """What is kept, or None."""
        return self.kept.get((store, key))

    def put(self, store: str, key: str, value: Any) -> None:
        """Keep."""
        self.kept[store, key] = value

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Nothing to do."""
        yield


def shown(*accounts: str) -> answers.Room:
    """A server's word on who is in the room."""
    members = [answers.Member(account=one, handle="h", display_name="H", role="member") for one in accounts]
    return answers.Room(room=ROOM, accounts=members, epoch=None, writable=True)


@pytest.mark.parametrize("accounts", [(ME, THEM, GHOST), (GHOST, ME, THEM), (ME,), (ME, ME), (THEM, GHOST)])
def test_a_chat_is_of_two_people_whatever_the_server_shows_first(accounts: tuple[str, ...]) -> None:
    """A third account is refused instead of pinned; the control is two."""
    directory = Directory(cast("Any", Shelf()), "h.example", ME, lambda *_: None)
    with pytest.raises(Unverified):
        directory.learn_room(shown(*accounts))
    directory.learn_room(shown(THEM, ME))
    assert directory.roster(ROOM) == (THEM, ME)


@pytest.mark.parametrize(("kind", "words"), [("text", "new words"), ("info", "This message was deleted.")])
def test_a_deleted_message_gets_no_words_again(kind: str, words: str) -> None:
    """Its row speaks for the program; an edit of what still stands, as a control, changes it."""
    shelf, room = Shelf(), cast("Any", object.__new__(Room))
    room.id, room.world = ROOM, SimpleNamespace(vault=shelf)
    plain = text("new words", salt=b"s" * 16, sender_uri="mimi://h/u/x", room_uri="mimi://h/r/x")
    edit = dataclasses.replace(plain, replaces=b"i" * 32)
    said = receive.info(1, 0, "This message was deleted.", "salt")
    target = structs.replace(said, kind=cast("Any", kind), sender=THEM)
    shelf.put("ids", f"{ROOM}/{(b'i' * 32).hex()}", "key")
    shelf.put("messages", "key", target)
    room._replace(structs.replace(target, text="new words"), edit, None)
    assert shelf.kept["messages", "key"].text == words
