"""What happens in town before anybody looks: neighbours meet, a seller writes to everybody, two true reports.

Every step is done once and remembered; a step that was cut short is begun again and finds what is there.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from kith.app.demo.neighbour import Neighbour
from kith.app.demo.townspeople import CIRCLES, Circle
from kith.sdk.answers import Measure


class Town(NamedTuple):
    """Who plays: the townspeople by handle. `expect` tells the house that a printed account is to say yes."""

    people: Mapping[str, Neighbour]
    expect: Callable[[str, str], None]
    """(who asks, who is asked), by handle"""


class Step(NamedTuple):
    """A part of the story. Its id is remembered once it is done."""

    id: str
    happens: Callable[[Town], Awaitable[None]]


class Meeting(NamedTuple):
    """Two townspeople: one asks with a first message, the other answers it."""

    one: str
    other: str
    hello: str
    answer: str
    gesture: str | None = None
    """how the answer is met"""


class Greeting(NamedTuple):
    """What a townsperson writes first to one of the printed accounts."""

    handle: str
    whom: str
    hello: str


MEETINGS = (
    Meeting("tomas", "ines", "Ines, have you seen my ladder?", "Define “seen”."),
    Meeting(
        "luca",
        "tomas",
        "Rehearsal is out of pretzels. This is an emergency.",
        "Say no more. Forty, salted, by eight.",
        gesture="🙏",
    ),
    Meeting("greta", "ines", "The library would like its trowel back.", "The garden would like three more days."),
    Meeting(
        "lina", "jonas", "Did you really call the band “Untitled Spoon”?", "It’s a working title. And a working spoon."
    ),
)
NEIGHBOURS = (
    Greeting("tomas", "mira", "Morning, Mira! The rye is just out of the oven. Shall I keep one for you?"),
    Greeting(
        "ines", "mira", "Mira, emergency: forty courgettes and no plan. Are you coming to the garden on Saturday?"
    ),
    Greeting("jonas", "noor", "noor!! band practice at four, we need somebody who can count to four"),
    Greeting("lina", "noor", "Film club on Friday: the one with the goose. Are you in?"),
)
FAMILY = Greeting(
    "emil", "noor", "Dear Noor, this is your grandfather. I found the send button. It is your turn at chess."
)
CHOIR = Greeting("luca", "mira", "Hi Mira, Tomas says you can sing. The choir needs altos, Tuesdays at eight.")
DECLINERS = ("tomas", "ines", "emil", "otto", "pia", "samir", "hedda", "ruth", "yara", "luca")
PITCH = "Good day, dear neighbour! Garden gnomes, hand-painted, nine each. Shall I put one aside for you?"
OFFER = (
    "Only today: three gnomes for twenty-five. Pay me before noon and I add a wheelbarrow. "
    "Shall I send my account number?"
)
APPEAL = "I only wanted everybody to know about the gnomes. I will ask fewer people from now on."


async def meet(meeting: Meeting, town: Town) -> None:
    """One asks, the other accepts and answers."""
    one, other = town.people[meeting.one], town.people[meeting.other]
    await one.ask(meeting.other, meeting.hello)
    await other.accept(meeting.one)
    await other.reads(meeting.one, 1)
    await other.write(meeting.one, meeting.answer)
    if meeting.gesture is not None:
        room = await one.reads(meeting.other, 1)
        await next(said for said in room.history() if said.text == meeting.answer).react(meeting.gesture)


async def gather(circle: Circle, town: Town) -> None:
    """Somebody makes a group, neighbours come in and talk, and then a printed account is invited."""
    founder = town.people[circle.founder]
    await founder.found(circle.name, circle.about)
    for handle in circle.members:
        await founder.invite_into(circle.name, handle)
        await town.people[handle].join(circle.name)
    before: str | None = None
    for line in circle.lines:
        speaker = town.people[line.handle]
        if before is not None:
            await speaker.hears(circle.name, before)
        await speaker.say_in(circle.name, line.text, line.shows, answers=before if line.answers else None)
        for handle, symbol in line.met:
            await (await town.people[handle].hears(circle.name, line.text)).react(symbol)
        before = line.text


async def _invite_guest(circle: Circle, town: Town) -> None:
    await town.people[circle.founder].invite_into(circle.name, circle.guest)


async def _greet(greeting: Greeting, town: Town) -> None:
    neighbour = town.people[greeting.handle]
    await neighbour.ask(greeting.whom, greeting.hello)
    town.expect(greeting.handle, greeting.whom)
    await neighbour.connected_with(greeting.whom)


async def _greet_family(town: Town) -> None:
    """The other way round: she asks her grandfather, since adults cannot ask her."""
    town.expect(FAMILY.whom, FAMILY.handle)
    emil = town.people[FAMILY.handle]
    await emil.accept(FAMILY.whom)
    await emil.write(FAMILY.whom, FAMILY.hello)


async def _invite_to_sing(town: Town) -> None:
    """A request that waits for whoever becomes Mira."""
    await town.people[CHOIR.handle].ask(CHOIR.whom, CHOIR.hello)


async def _sell(town: Town) -> None:
    """One yes, ten times no, one who has not looked yet, and one whom no adult can reach."""
    for handle in ("greta", *DECLINERS, "mira", "noor"):
        await town.people["bruno"].ask(handle, PITCH)
    await town.people["greta"].accept("bruno")
    for handle in DECLINERS:
        await town.people[handle].decline("bruno")


async def _limited(town: Town) -> None:
    """The rule sees him; he asks for somebody to look again."""
    bruno = town.people["bruno"]

    async def look() -> Measure | None:
        return next(iter((await bruno.client.standing()).measures), None)

    measure = await bruno.until("the rule about first contacts", look)
    if measure.appeal is None:
        await bruno.client.appeal(measure.id, APPEAL)


async def _report_seller(town: Town) -> None:
    bruno, greta = town.people["bruno"], town.people["greta"]
    await greta.reads("bruno", 1)
    await bruno.write("greta", OFFER)
    room = await greta.reads("bruno", 2)
    await room.report(
        "scam", "He writes to the whole street and wants money in advance. He asked at the library desk as well."
    )


async def _report_for_child(town: Town) -> None:
    """A benign stand-in for what child-safety staff look at: an adult asks a 16-year-old for her phone number."""
    lina, vince = town.people["lina"], town.people["vince"]
    await lina.ask("vince", "Hello, is the blue bike in your window still for sale?")
    await vince.accept("lina")
    await vince.reads("lina", 1)
    await vince.write("lina", "It is! What is your phone number? I would rather not write here.")
    await lina.reads("vince", 1)
    await lina.write("vince", "I would rather come by with my mother.")
    await vince.reads("lina", 2)
    await vince.write("lina", "Just send me your number, then I tell you when the shop is empty.")
    room = await lina.reads("vince", 2)
    note = "I am 16. I only asked about a bike, and he keeps asking for my phone number."
    await room.report("other", note, minor_involved=True)


STORY = (
    *(Step(f"{one.handle}-{one.whom}", functools.partial(_greet, one)) for one in NEIGHBOURS),
    Step("emil-noor", _greet_family),
    *(Step(f"{one.one}-{one.other}", functools.partial(meet, one)) for one in MEETINGS),
    Step("luca-asks-mira", _invite_to_sing),
    *(Step(f"gather-{one.founder}", functools.partial(gather, one)) for one in CIRCLES),
    *(Step(f"{one.founder}-invites-{one.guest}", functools.partial(_invite_guest, one)) for one in CIRCLES),
    Step("bruno-sells", _sell),
    Step("bruno-is-limited", _limited),
    Step("greta-reports", _report_seller),
    Step("lina-reports", _report_for_child),
)
