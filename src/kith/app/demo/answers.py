"""What a townsperson writes, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from kith.app.demo.painting import Painting
from kith.app.demo.townspeople import CIRCLES, EVERYBODY, GESTURES, Circle, Topic, Townsperson
from kith.sdk.client import NEW_IDENTITY
from kith.sdk.room import ENTERED

FIRST_S = 1.0
LONGEST_S = 3.5
PER_CHARACTER_S = 0.035
CHANCE_S = 0.5

WELCOME_BACK = "You’re back, on something new! Our old messages stayed on the old one. Where were we?"
_BACK = NEW_IDENTITY.removeprefix("{}")


class Row(Protocol):
    """A line of a thread, as `kith.sdk.Message` has it."""

    @property
    def mine(self) -> bool:
        """Whether she wrote it herself."""

    @property
    def kind(self) -> str:
        """`text`, `info` for what the client itself says, or something else."""

    @property
    def text(self) -> str:
        """The words."""


def answer_to(person: Townsperson, text: str, turn: int) -> str:
    """The answer to what somebody wrote; `turn` = how many messages this person has written in the chat so far."""
    topic = topic_of(person, text)
    return topic.says if topic is not None else person.otherwise[turn % len(person.otherwise)]


def topic_of(person: Townsperson, text: str) -> Topic | None:
    """What they have to say about it, if anything in particular."""
    return next((topic for topic in (*person.topics, *EVERYBODY) if topic.about.search(text)), None)


def gesture_to(text: str) -> str | None:
    """The reaction to what somebody wrote; None for most of it."""
    return next((symbol for about, symbol in GESTURES if about.search(text)), None)


def typing_s(text: str, chance: float) -> float:
    """How long somebody types: 1 to 4 seconds. `chance` is between 0 and 1."""
    return min(LONGEST_S, FIRST_S + len(text) * PER_CHARACTER_S) + chance * CHANCE_S


def _since(rows: Sequence[Row]) -> Sequence[Row]:
    """What came after her own last message, so that nothing is answered twice, also after a restart."""
    last = max((at for at, row in enumerate(rows) if row.mine), default=-1)
    return rows[last + 1 :]


def unanswered(rows: Sequence[Row]) -> str:
    """The words she has not answered yet."""
    return "\n".join(row.text for row in _since(rows) if row.kind == "text")


def is_back(rows: Sequence[Row]) -> bool:
    """Whether the other person set Kith up again since."""
    return any(row.kind == "info" and row.text.endswith(_BACK) for row in _since(rows))


def next_words(person: Townsperson, rows: Sequence[Row]) -> str | None:
    """What a townsperson writes next in a chat with somebody from outside; None when it is not her turn."""
    words = unanswered(rows)
    if words:
        return answer_to(person, words, sum(row.mine for row in rows))
    return WELCOME_BACK if is_back(rows) else None


def next_in_circle(person: Townsperson, rows: Sequence[Row], visitors: Iterable[str]) -> str | None:
    """What the founder of a circle says next to its visitors (by name): a welcome, or an answer; None: not her turn."""
    circle = _circle_of(person)
    came = {row.text for row in _since(rows) if row.kind == "info"}
    entered = next((name for name in visitors if ENTERED.format(name) in came), None)
    if circle is not None and entered is not None:
        return circle.welcome.format(entered)
    return next_words(person, [row for row in rows if row.kind == "text" or row.mine])


def photo_with(person: Townsperson, text: str) -> Painting | None:
    """The photo that goes with a welcome into her circle."""
    circle = _circle_of(person)
    return circle.shows if circle is not None and text.endswith(circle.welcome.partition("{}")[2]) else None


def _circle_of(person: Townsperson) -> Circle | None:
    return next((one for one in CIRCLES if one.founder == person.handle), None)
