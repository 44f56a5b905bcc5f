"""Who lives in the demo's town. All of them are made up; so is everything they say."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kith.app.demo.painting import COURGETTES, DRUM, LOAVES, Painting


@dataclass(frozen=True, slots=True)
class Topic:
    """What somebody says about a subject: the first whose pattern is found in what was written."""

    about: re.Pattern[str]
    says: str
    slip: str | None = None
    """what is written first, and corrected a moment later"""
    quotes: bool = False
    """said as an answer to exactly that message"""
    shows: Painting | None = None
    """a photo that goes with the words"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Townsperson:
    """`otherwise` is for everything without a topic, in turn; `welcome` for a stranger whose request is accepted."""

    handle: str
    name: str
    age: int
    """years at sign-up"""
    topics: tuple[Topic, ...] = ()
    otherwise: tuple[str, ...] = ("I see!", "Tell me more.", "Ha, that’s so this town.")
    welcome: str = "Hello! I don’t think we’ve met. Welcome to town."


def _topic(
    about: str, says: str, *, slip: str | None = None, quotes: bool = False, shows: Painting | None = None
) -> Topic:
    return Topic(re.compile(about, re.IGNORECASE), says, slip, quotes, shows)


GESTURES = (
    (re.compile(r"\b(thanks|thank you|thx|love|lovely)\b", re.IGNORECASE), "❤️"),
    (re.compile(r"\b(haha+|lol|funny|joke)\b", re.IGNORECASE), "😂"),
    (re.compile(r"\b(sorry|sad|lost|broke|broken)\b", re.IGNORECASE), "😢"),
    (re.compile(r"\b(yes|okay|ok|great|perfect|see you|done)\b", re.IGNORECASE), "👍"),
)
"""Reactions that anybody in town has to what visitors write; most of it gets none."""


EVERYBODY = (
    _topic(r"\b(thanks|thank you|thx)\b", "Any time."),
    _topic(r"\b(bye|good night|see you)\b", "See you! I’ll be around."),
    _topic(
        r"\b(real|robot|bot|human|synthetic)\b",
        "I’m one of the demo’s made-up people. The encryption between us is real, though.",
    ),
    _topic(r"\b(report|block)\b", "Tap the shield at the top of any chat. Nobody is told."),
    _topic(
        r"\bhow are you|how[’']s it going|what[’']s up",
        "Good, thank you! Quiet day in town. And you?",
    ),
    _topic(r"^(hi|hello|hey|good (morning|evening)|moin|hallo)\b", "Hello! Good to hear from you."),
)
"""What anybody in town knows. Looked at after a person's own topics."""

TOWNSPEOPLE = (
    Townsperson(
        handle="tomas",
        name="Tomas Weber",
        age=41,
        topics=(
            _topic(
                r"\b(bread|loaf|bakery|bake|roll|pretzel)",
                "Rye is out of the oven at seven. I’ll put one aside with your name on it.",
                shows=LOAVES,
            ),
            _topic(r"\b(cake|plum|pie)", "Plum cake, Saturday. The secret is too much butter."),
            _topic(r"\b(ladder)\b", "My ladder? It’s at Ines’s. It has lived there since spring.", quotes=True),
        ),
        otherwise=(
            "I’ll think about that while the dough rests.",
            "Mhm. My cat agrees.",
            "Say that again slowly, I have flour in my ears.",
        ),
        welcome="Hello! Tomas from the bakery. Do you like rye?",
    ),
    Townsperson(
        handle="ines",
        name="Ines Duarte",
        age=35,
        topics=(
            _topic(
                r"\b(garden|tomato|courgette|zucchini|plant)",
                "The courgettes have won. Please take three. Please take seven.",
                shows=COURGETTES,
            ),
            _topic(r"\b(ladder)\b", "Which ladder? I know of no ladder."),
            _topic(
                r"\b(weather|rain|sun)",
                "Rain on Thursday, says the frog in our rain barrel.",
                slip="Rain on Thrusday, says the frog in our rain barrel.",
            ),
        ),
        otherwise=(
            "Come by the garden and tell me in person.",
            "That made my day. It was a short list.",
            "Noted, right under “return ladder”.",
        ),
        welcome="Hi there! I run the community garden. Can I interest you in a courgette?",
    ),
    Townsperson(
        handle="emil",
        name="Grandpa Emil",
        age=71,
        topics=(
            _topic(
                r"\b(chess|bishop|knight|rook|queen|pawn|checkmate|[a-h][1-8])\b",
                "I moved my bishop on Sunday. It is still your turn.",
            ),
            _topic(
                r"\b(school|test|homework|math)",
                "I was bad at fractions too. One day they stop asking.",
            ),
            _topic(
                r"\b(phone|tablet|computer)\b",
                "I found the letters with the little dots on top. I am unstoppable now.",
            ),
        ),
        otherwise=(
            "Very good. I am typing with one finger, give me time.",
            "Your grandmother says hello.",
            "I had to put my glasses on for that one. Worth it.",
        ),
        welcome="Good day. I am Emil. Do you play chess?",
    ),
    Townsperson(
        handle="jonas",
        name="Jonas",
        age=15,
        topics=(
            _topic(
                r"\b(band|drum|practice|song)",
                "Practice is at four. We still have one song and three names for the band.",
                shows=DRUM,
            ),
            _topic(
                r"\b(math|homework|test|school)",
                "I got x = 7. Or 19. Definitely a number.",
                slip="I got x = 7. Definitely a numbr.",
            ),
        ),
        otherwise=("lol", "ok but imagine that with a drum solo", "I’m telling the band"),
        welcome="hey! do you play an instrument? any instrument? triangle counts",
    ),
    Townsperson(
        handle="lina",
        name="Lina",
        age=16,
        topics=(
            _topic(r"\b(bike|bicycle)\b", "Still looking for one. Blue would be nice."),
            _topic(
                r"\b(film|movie|cinema)",
                "Friday, the one with the goose. Everybody says it’s about grief.",
            ),
        ),
        otherwise=("haha yes", "wait, tell me at school", "I can hear you saying that"),
        welcome="Hi! Have we met? I’m in the film club.",
    ),
    Townsperson(
        handle="bruno",
        name="Bruno’s Bargains",
        age=38,
        topics=(
            _topic(
                r"\b(price|cost|much|euro)",
                "Nine each, three for twenty-five. The one with the fishing rod is extra.",
            ),
            _topic(r"\b(no|stop|not interested)\b", "Understood! The gnomes will miss you."),
        ),
        otherwise=(
            "A fine question. Have you considered a gnome?",
            "They come hand-painted. Mostly.",
            "Free delivery within the town wall!",
        ),
        welcome="Welcome! Garden gnomes, hand-painted, from nine a piece.",
    ),
    Townsperson(
        handle="greta",
        name="Greta",
        age=52,
        topics=(_topic(r"\b(gnome|bruno)", "Don’t get me started on the gnomes."),),
        otherwise=("Hm.", "I’ll write that on the blackboard in the library.", "Quite so."),
        welcome="Good day, this is Greta from the library. Quiet, please, but do go on.",
    ),
    Townsperson(
        handle="vince",
        name="Vince Bikes",
        age=29,
        topics=(
            _topic(
                r"\b(bike|bicycle)",
                "The blue one is still here. Come by the shop with somebody, test rides are free.",
            ),
        ),
        otherwise=("Sure.", "Shop’s open till six.", "Ring the bell twice, I’m in the back."),
        welcome="Hi, Vince from the bike shop.",
    ),
    Townsperson(handle="otto", name="Otto", age=63),
    Townsperson(handle="pia", name="Pia", age=24),
    Townsperson(handle="samir", name="Samir", age=33),
    Townsperson(handle="hedda", name="Hedda", age=47),
    Townsperson(handle="ruth", name="Ruth", age=58),
    Townsperson(handle="yara", name="Yara", age=31),
    Townsperson(
        handle="luca",
        name="Luca Conti",
        age=27,
        topics=(
            _topic(
                r"\b(choir|sing|song|tenor|alto)",
                "Tuesdays at eight. We need altos, and somebody who can count to four.",
            ),
        ),
        otherwise=("I’ll hum on it.", "In which key?", "Lovely. Mezzo-lovely."),
        welcome="Hi! Luca, from the choir. Do you sing? Everybody says no at first.",
    ),
)

HANDLES = frozenset(person.handle for person in TOWNSPEOPLE)


@dataclass(frozen=True, slots=True)
class Line:
    """Something that a member of a circle says. `met` is how others react to it, by handle."""

    handle: str
    text: str
    shows: Painting | None = None
    answers: bool = False
    """said as an answer to the line before"""
    met: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """A group of the town. Its founder answers visitors, and greets each with a photo when they come in."""

    name: str
    about: str
    founder: str
    members: tuple[str, ...]
    guest: str
    """the printed account that finds an invitation"""
    welcome: str
    """to `{}`, who came in"""
    shows: Painting
    lines: tuple[Line, ...]
    """Members speak before the founder: who has spoken is surely in, and hears what follows."""


CIRCLES = (
    Circle(
        name="Community garden",
        about="Saturdays at ten. Gloves are in the shed, tea is in the can.",
        founder="ines",
        members=("tomas", "greta"),
        guest="mira",
        welcome="Welcome, {}! This is today’s harvest. Nobody goes home without courgettes.",
        shows=COURGETTES,
        lines=(
            Line("tomas", "I bring rye, if somebody brings a plan.", met=(("greta", "👍"),)),
            Line("greta", "Present. So is the trowel, I hope?"),
            Line("ines", "The trowel is resting.", answers=True, met=(("tomas", "😂"),)),
            Line(
                "ines", "And this is today’s harvest. Help.", shows=COURGETTES, met=(("tomas", "😮"), ("greta", "😮"))
            ),
        ),
    ),
    Circle(
        name="Film club",
        about="Fridays. Whoever picks the film brings the popcorn.",
        founder="lina",
        members=("jonas",),
        guest="noor",
        welcome="{}! Finally. We need a third vote: the goose, or Jonas’s drum again?",
        shows=DRUM,
        lines=(
            Line("jonas", "first!! I vote for a film about drums", shows=DRUM),
            Line("lina", "One drum, one goose. We need somebody to decide.", answers=True, met=(("jonas", "🙏"),)),
        ),
    ),
)
