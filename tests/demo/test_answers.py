"""The town's manners: who answers what, once, in time, and in words that a person would type."""

from __future__ import annotations

import io
import re
from typing import NamedTuple

import pytest
from PIL import Image

from kith.app.demo.answers import (
    WELCOME_BACK,
    answer_to,
    gesture_to,
    next_in_circle,
    next_words,
    photo_with,
    topic_of,
    typing_s,
    unanswered,
)
from kith.app.demo.painting import LOAVES, png
from kith.app.demo.story import MEETINGS, NEIGHBOURS
from kith.app.demo.townspeople import CIRCLES, EVERYBODY, GESTURES, HANDLES, TOWNSPEOPLE
from kith.protocol.emoji import is_one_emoji
from kith.sdk.client import NEW_IDENTITY
from kith.sdk.room import ENTERED

TOMAS = next(person for person in TOWNSPEOPLE if person.handle == "tomas")


class Line(NamedTuple):
    """A row of a thread."""

    mine: bool
    kind: str
    text: str


def theirs(text: str) -> Line:
    """Somebody wrote this."""
    return Line(mine=False, kind="text", text=text)


def hers(text: str) -> Line:
    """The townsperson wrote this."""
    return Line(mine=True, kind="text", text=text)


def info(text: str) -> Line:
    """The client itself says this."""
    return Line(mine=False, kind="info", text=text)


def test_a_topic_of_her_own_comes_before_what_everybody_says() -> None:
    """The baker hears of bread before he hears a greeting."""
    assert "Rye" in answer_to(TOMAS, "Hello! Is there any bread?", 0)
    assert "Hello" in answer_to(TOMAS, "hello", 0)


def test_reactions_are_few_and_each_is_one_emoji() -> None:
    """Most of what is written gets none; what was mistyped is corrected to what is said."""
    assert gesture_to("Thank you for the rye!") == "❤️"
    assert gesture_to("Is there any bread left?") is None
    assert all(is_one_emoji(symbol) for _, symbol in GESTURES)
    slips = [topic for person in TOWNSPEOPLE for topic in person.topics if topic.slip is not None]
    assert slips
    assert all(topic.slip != topic.says for topic in slips)


def test_bread_comes_with_a_photo_that_every_program_opens() -> None:
    """A real PNG of its size, many colours, nothing but pixels in it."""
    topic = topic_of(TOMAS, "Is there any bread?")
    assert topic is not None
    assert topic.shows is LOAVES
    with Image.open(io.BytesIO(png(LOAVES))) as photo:
        photo.load()
        assert (photo.format, photo.size, photo.info) == ("PNG", (480, 360), {})
        colours = photo.getcolors(100_000)
    assert colours is not None
    assert len(colours) > 50


def test_nothing_is_answered_twice() -> None:
    """After an answer it is not her turn, and an answer is to everything since the last one."""
    assert next_words(TOMAS, [theirs("hi"), hers("Hello!")]) is None
    assert next_words(TOMAS, []) is None
    assert unanswered([theirs("a"), hers("b"), theirs("c"), theirs("d")]) == "c\nd"


def test_somebody_who_set_kith_up_again_is_welcomed_back_once() -> None:
    """Whatever else the chat says after it; other lines of the client need no answer."""
    joined = info("They joined this chat on another device.")
    back = [hers("Morning!"), info(NEW_IDENTITY.format("Mira")), joined]
    assert next_words(TOMAS, back) == WELCOME_BACK
    assert next_words(TOMAS, [*back, hers(WELCOME_BACK)]) is None
    assert next_words(TOMAS, [hers("Morning!"), joined]) is None


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("length", [0, 20, 500])
def test_answers_take_between_one_and_four_seconds(chance: float, length: int) -> None:
    """However long the text is."""
    assert 1 <= typing_s("a" * length, chance) <= 4


def test_what_is_said_otherwise_goes_round() -> None:
    """Three different answers, then the first again."""
    said = [answer_to(TOMAS, "xyzzy", turn) for turn in range(4)]
    assert len(set(said[:3])) == 3
    assert said[3] == said[0]


def test_everybody_has_a_handle_something_to_say_and_an_age_that_may_sign_up() -> None:
    """No two people share a handle, and nobody runs out of words."""
    assert len(HANDLES) == len(TOWNSPEOPLE)
    for person in TOWNSPEOPLE:
        assert re.fullmatch("[a-z]{3,30}", person.handle)
        assert person.age >= 15
        assert person.otherwise
        assert person.welcome


def test_no_line_is_longer_than_a_person_would_type() -> None:
    """At most 140 characters."""
    own = [[*person.otherwise, person.welcome, *(topic.says for topic in person.topics)] for person in TOWNSPEOPLE]
    for line in [*(line for lines in own for line in lines), *(topic.says for topic in EVERYBODY)]:
        assert len(line) <= 140, line


def test_who_comes_into_a_circle_is_welcomed_once_and_then_answered() -> None:
    """The line that says so is the reason. A neighbour is not greeted, and who founded no circle has no welcome."""
    ines, circle = next(person for person in TOWNSPEOPLE if person.handle == "ines"), CIRCLES[0]
    came, welcome = info(ENTERED.format("Mira")), circle.welcome.format("Mira")
    assert next_in_circle(ines, [came], ["Mira"]) == welcome
    assert photo_with(ines, welcome) is circle.shows
    assert next_in_circle(ines, [came, hers(welcome)], ["Mira"]) is None
    assert next_in_circle(ines, [info(ENTERED.format("Greta"))], ["Mira"]) is None
    rain = next_in_circle(ines, [came, hers(welcome), theirs("Will it rain?")], ["Mira"])
    assert rain == answer_to(ines, "Will it rain?", 1)
    assert photo_with(ines, rain) is None
    assert next_in_circle(TOMAS, [came], ["Mira"]) is None


def test_circles_are_of_townspeople_whom_the_story_connects_and_members_speak_first() -> None:
    """A founder can invite only whom she knows, and her guest is one of the printed accounts she wrote to."""
    met = {frozenset((one.one, one.other)) for one in MEETINGS}
    written = {(one.handle, one.whom) for one in NEIGHBOURS}
    for circle in CIRCLES:
        assert all(frozenset((circle.founder, member)) in met for member in circle.members)
        assert (circle.founder, circle.guest) in written
        speakers = [line.handle for line in circle.lines]
        assert set(speakers[: len(circle.members)]) == set(circle.members)
        assert set(speakers) <= {circle.founder, *circle.members}
