"""A small town for these tests: a real database, a clock to turn, and the safety room reading along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Literal

from kith.ledger import log
from kith.ledger.database import Database, Projectors, Tx
from kith.ledger.events import (
    AccountCreated,
    Event,
    FirstMessage,
    RequestAccepted,
    RequestDeclined,
    RequestSent,
)
from kith.ledger.limits import DAY
from kith.people import projections as people
from kith.safety import projections as safety
from kith.safety.features import State
from kith.safety.reactions import READER, reaction
from kith.safety.rules import GOES_ON, MANY_UNANSWERED

NOON = 1_800_000_000_000
LIVE: Mapping[str, Literal["shadow", "live"]] = {MANY_UNANSWERED: "live", GOES_ON: "live"}


def all_projectors() -> Projectors:
    """Those of every room whose events occur here."""
    merged: dict[type[Event], tuple[object, ...]] = {}
    for part in (log.PROJECTORS, people.PROJECTORS, safety.PROJECTORS):
        for kind, projectors in part.items():
            merged[kind] = (*merged.get(kind, ()), *projectors)
    return merged  # type: ignore[return-value]  # tuples of projectors, joined


class Town:
    """People who ask to be connected, answer, and a room that watches."""

    def __init__(self, path: Path, modes: Mapping[str, Literal["shadow", "live"]] = LIVE) -> None:
        self.now = NOON
        self.database = Database(path, all_projectors(), clock=lambda: self.now)
        self.database.create_tables()
        self._react = reaction(modes)
        self._numbers = count(1)

    def happen(self, *events: Event) -> None:
        """Record events, then let the safety room read on, as its job does."""
        for event in events:
            self.database.write_now(Tx.append, event)
        while self.database.write_now(self._advance):
            pass

    def _advance(self, tx: Tx) -> int:
        batch = log.read_from(tx, log.cursor_of(tx, READER))
        for recorded in batch:
            self._react(tx, recorded)
            log.move_cursor(tx, READER, recorded.position)
        return len(batch)

    def settle(self, account: str, *, days_ago: int = 0) -> str:
        """Somebody who signed up some days ago."""
        at, self.now = self.now, self.now - days_ago * DAY
        self.database._last_ms = 0
        self.happen(AccountCreated(account=account, band="18+"))
        self.now = at
        return account

    def ask(self, requester: str, target: str | None) -> RequestSent:
        """A first contact."""
        request = RequestSent(
            request=f"request-{next(self._numbers)}", requester=requester, target=target, decision="decision"
        )
        self.happen(request)
        return request

    def accept(self, request: RequestSent) -> RequestAccepted:
        """The target says yes."""
        yes = RequestAccepted(
            request=request.request,
            requester=request.requester,
            target=str(request.target),
            room=f"room-of-{request.request}",
        )
        self.happen(yes)
        return yes

    def decline(self, request: RequestSent) -> None:
        """The target says no."""
        self.happen(RequestDeclined(request=request.request, requester=request.requester, target=str(request.target)))

    def reply(self, accepted: RequestAccepted) -> None:
        """The target writes."""
        self.happen(FirstMessage(room=accepted.room, account=accepted.target))

    def events(self, kind: type[Event]) -> list[Event]:
        """What was recorded of one kind, oldest first."""
        return [recorded.event for recorded in self.recorded() if isinstance(recorded.event, kind)]

    def recorded(self) -> Iterator[log.Recorded]:
        """The whole ledger."""
        return log.every(self.database)


class Remembered:
    """The features' memory as a dict, for pure tests and simulations."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.rooms: dict[tuple[str, str], str] = {}

    def recall(self, account: str) -> State:
        """The state, or an empty one."""
        return self.states.get(account) or State()

    def remember(self, account: str, state: State) -> None:
        """Keep it."""
        self.states[account] = state

    def open_room(self, room: str, requester: str, target: str) -> None:
        """Wait for the target."""
        self.rooms[room, target] = requester

    def take_room(self, room: str, writer: str) -> str | None:
        """The requester, once the target writes."""
        return self.rooms.pop((room, writer), None)
