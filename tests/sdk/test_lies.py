"""What neither a server nor the other person can make a client believe or show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import pytest

from kith.sdk import answers
from kith.sdk.directory import Directory
from kith.sdk.errors import Unverified

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
