"""What a hostile member can say: seeded conversations of several senders in one room, as both clients receive them.

Everything inside a well-formed MLS message is the sender's choice: the bytes of the content, what it names, how often
and in which order. The hub is honest: it numbers what comes and signs what it numbered.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol import cbor, changes, franking
from kith.protocol import content as mimi
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri, room_uri
from kith.protocol.wire import Malformed

HOST: Final = "kith.test"
ME, THEM, THIRD = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
MY_TABLET, THEIRS, THIRDS = (f"00000000-0000-4000-8000-0000000000d{n}" for n in (3, 2, 5))
ROOM: Final = "00000000-0000-4000-8000-0000000000f1"
ROOM_URI: Final = room_uri(HOST, ROOM)
PEOPLE: Final = ((ME, MY_TABLET), (THEM, THEIRS), (THIRD, THIRDS))
"""Who speaks: this account's other device, the other one, and in a group a plain member."""
HUB: Final = Ed25519PrivateKey.from_private_bytes(b"\x24" * 32)
START_MS: Final = 1_800_000_000_000
HOUR_MS: Final = changes.HOUR_MS
EPOCH: Final = 1
HUB_ID: Final = 1


class Step(TypedDict, total=False):
    """One thing that happens, as both sides read it from JSON; bytes are hex."""

    do: Literal["say", "whisper", "read", "hide", "look"]
    now: int
    who: int
    aad: str
    plaintext: str
    pos: int
    hub: list[Any]
    id: str


class Scenario(TypedDict):
    """A conversation from its beginning."""

    name: str
    kind: Literal["direct", "group"]
    hub_key: str
    steps: list[Step]


# --- words, names and other fields ----------------------------------------------------------------------------------

TEXTS: Final = (
    "hello",
    "",
    " ",
    "\n\n",
    "a" * 9,
    "two\nlines",
    "https://example.org/a?b",
    "www.例え.テスト",
    "\u202eevil\u202c",
    "\u200b" * 40,
    "👨‍👩‍👧‍👦" * 30,
    "e\u0301" * 50,
    "\x00\x01",
    "ﷺ",
    "\ufeffbom",
    "mid\ufeffdle",
    "𝕳𝖊𝖑𝖑𝖔",
    "\U000e0041\U000e007f",
    "[x](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "__proto__",
    "\u2028\u2029",
    "z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚" * 20,
    "\ud7ff\ue000\uffff",
)
SYMBOLS: Final = (
    "👍",
    "❤️",
    "❤",
    "🙏🏽",
    "👨‍👩‍👧",
    "🇩🇪",
    "🇩",
    "1️⃣",
    "1",
    "1⃣",
    "",
    "👍👍",
    "text",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "\u200d",
    "👍\u200d",
    "©",
    "©️\ufe0f",
    "👍" + "\u200d👍" * 9,
)
TYPES: Final = (
    "text/markdown;variant=GFM-MIMI",
    "text/plain;charset=utf-8",
    "text/plain",
    "TEXT/Markdown ; x",
    "\ttext/plain",
    "\x1ctext/plain",
    "\u00a0text/plain",
    "\ufefftext/plain",
    "\x85text/plain",
    "te\u212at/plain",
    "text/plain\n",
    "text/html",
    "image/png",
    "image/svg+xml",
    "video/mp4",
    "audio/ogg",
    "",
    ";",
    "a" * 65 + "/b",
    "application/x.kith.timer",
    "application/x.kith.typing",
    "application/mimi-message-status",
    "image/webp",
    "image/jpeg; q=1",
    "IMAGE/PNG",
    "\u0130mage/png",
)
NAMES: Final = (
    "kite.png",
    "",
    "invoice\u202efdp.exe",
    "..",
    "/etc/passwd",
    "C:\\con",
    "a" * 300 + ".jpg",
    "\u200b" * 60,
    "con",
    " . ",
    "x\x00y",
    "👨‍👩‍👧‍👦" * 40 + ".png",
    "e\u0301" * 200,
    ".hidden",
    "\ufeff.png",
    "a.b" * 80,
)
NUMBERS: Final = (
    0,
    1,
    2,
    5,
    15,
    16,
    17,
    255,
    256,
    65_535,
    65_536,
    2**24,
    2**26,
    2**31,
    2**32 - 1,
    2**32,
    2**53 - 1,
    2**53,
    2**53 + 1,
    2**63,
    2**64 - 1,
    -1,
    -2,
    -(2**31),
    -(2**53),
    -(2**63),
    -(2**64),
)
TIMES: Final = (*changes.TIMES, 1, 301, 2**32 - 1)
LAPSES_MS: Final = (
    0,
    1,
    1000,
    60_000,
    301_000,
    HOUR_MS,
    23 * HOUR_MS,
    24 * HOUR_MS,
    25 * HOUR_MS,
    25 * HOUR_MS + 1,
    8 * 24 * HOUR_MS,
)

Raw = list[Any]
"""A content, or a part of one, as the value that CBOR carries."""


@dataclass
class Known:
    """Something that was said, or will be: by whom, and its id."""

    id: bytes
    who: int
    what: str


@dataclass
class Talk:
    """A conversation in the making."""

    seed: int
    kind: Literal["direct", "group"] = "group"
    rng: random.Random = field(init=False)
    steps: list[Step] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    later: list[tuple[int, bytes]] = field(default_factory=list)
    """Contents whose ids are named already, to be delivered afterwards."""
    now: int = START_MS
    pos: int = 10
    seq: int = 0
    salts: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def scenario(self, name: str = "") -> Scenario:
        """All of it, with a look at its end."""
        self.look()
        return Scenario(
            name=name or f"seed {self.seed}", kind=self.kind, hub_key=public_bytes(HUB).hex(), steps=self.steps
        )

    # --- what happens -------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Both sides say what they show."""
        self.steps.append(Step(do="look", now=self.now))

    def read(self) -> None:
        """Everything that is here is read."""
        self.steps.append(Step(do="read", now=self.now))

    def hide(self, message: bytes) -> None:
        """Deleted on this device alone."""
        self.steps.append(Step(do="hide", now=self.now, id=message.hex()))

    def passes(self, ms: int) -> None:
        """Time."""
        self.now += ms

    def deliver(self, who: int, plaintext: bytes, *, at_ms: int | None = None) -> bytes:
        """The hub takes these bytes; the id of the message, if they are one."""
        self.pos, self.seq = self.pos + 1, self.seq + 1
        salt = plaintext[2:18] if plaintext[1:2] == b"\x50" else b""
        tag = franking.franking_tag(salt, plaintext) if len(salt) == mimi.SALT else bytes(32)
        account, device = PEOPLE[who]
        context = franking.Context(
            sender_uri=account_uri(HOST, account),
            room_uri=ROOM_URI,
            accepted_timestamp=self.now if at_ms is None else at_ms,
            sender_device=device_uri(HOST, device),
            epoch=EPOCH,
            room_seq=self.seq,
            hub_key_id=HUB_ID,
        )
        frank = franking.server_frank(bytes(32), tag, context)
        proof = franking.sign_single(HUB, franking.integrity_tbs(frank, context)).encode()
        hub = [context.accepted_timestamp, self.seq, HUB_ID, frank.hex(), franking.SUITE, proof.hex()]
        step = Step(
            do="say",
            now=self.now,
            who=who,
            aad=franking.build_aad(tag).hex(),
            plaintext=plaintext.hex(),
            pos=self.pos,
            hub=hub,
        )
        self.steps.append(step)
        return mimi.message_id(account_uri(HOST, account), ROOM_URI, plaintext, salt)

    def whisper(self, who: int, plaintext: bytes, aad: bytes = b"") -> None:
        """Something of the ephemeral class."""
        self.steps.append(
            Step(do="whisper", now=self.now, who=who, aad=aad.hex(), plaintext=plaintext.hex(), pos=self.pos)
        )

    def says(self, who: int, part: Raw, what: str = "text", **how: Any) -> bytes:
        """A content with this part, delivered; its id."""
        made = self.made(who, part, **how)
        self.deliver(who, made)
        return self.knows(who, made, what)

    def knows(self, who: int, plaintext: bytes, what: str) -> bytes:
        """Others may name it from now on."""
        message = mimi.message_id(account_uri(HOST, PEOPLE[who][0]), ROOM_URI, plaintext, plaintext[2:18])
        self.known.append(Known(message, who, what))
        return message

    def made(self, who: int, part: Raw, **how: Any) -> bytes:
        """The bytes of a content; `how` names its other fields, right or wrong."""
        self.salts += 1
        salt = hashlib.sha256(f"{self.seed}/{self.salts}".encode()).digest()[:16]
        sender = account_uri(HOST, PEOPLE[who][0])
        extensions: dict[int | str, Any] = {mimi.SENDER: sender, mimi.ROOM: ROOM_URI, **how.get("ext", {})}
        value = [
            how.get("salt", salt),
            how.get("replaces"),
            how.get("topic", b""),
            how.get("expires"),
            how.get("reply"),
            extensions,
            part,
        ]
        try:
            return cbor.encode(value)
        except Malformed:  # what Kith's own encoder refuses to write; the plain form is tried by mutations
            return cbor.encode([*value[:6], text("refused")])

    # --- choices ------------------------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """Whether it happens this time."""
        return self.rng.random() < probability

    def sender(self) -> int:
        """Somebody."""
        return self.rng.randrange(3 if self.kind == "group" else 2)

    def target(self, who: int) -> bytes:
        """What an effect names: often one's own, often recent, sometimes anything or nothing that is."""
        own = [one for one in self.known if one.who == who]
        roll = self.rng.random()
        if roll < 0.5 and own:
            return self.rng.choice(own[-6:]).id
        if roll < 0.7 and self.known:
            return self.rng.choice(self.known[-8:]).id
        if roll < 0.85 and self.known:
            return self.rng.choice(self.known).id
        if roll < 0.97:
            return self.reserved()
        return b"\x01" + self.rng.randbytes(31)

    def reserved(self) -> bytes:
        """The id of something that is said only later."""
        if not self.later or self.chance(0.3):
            who = self.sender()
            made = self.made(who, *self.anything(who)[:1])
            self.later.append((who, made))
        who, made = self.rng.choice(self.later)
        return mimi.message_id(account_uri(HOST, PEOPLE[who][0]), ROOM_URI, made, made[2:18])

    def anything(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """A part, the other fields, and a name for it."""
        kinds: list[tuple[float, Callable[[int], tuple[Raw, dict[str, Any], str]]]] = [
            (5, self.a_text),
            (6, self.an_edit),
            (2, self.a_delete),
            (5, self.a_reaction),
            (2, self.a_tree),
            (3, self.some_files),
            (1, self.a_timer),
            (1, self.a_stray),
            (1, self.an_odd_field),
        ]
        [(_, make)] = self.rng.choices(kinds, weights=[weight for weight, _ in kinds])
        return make(who)

    def also(self, who: int) -> dict[str, Any]:
        """Fields that any content may carry."""
        how: dict[str, Any] = {}
        if self.chance(0.12):
            how["reply"] = self.target(who)
        if self.chance(0.15):
            how["expires"] = [self.chance(0.8), self.rng.choice(TIMES)]
        if self.chance(0.1):
            how["ext"] = {mimi.FORWARDED: self.rng.choice((0, 1, 4, 5, 6, 2**32 - 1, 2**32))}
        if self.chance(0.03):
            how["topic"] = self.rng.randbytes(self.rng.randrange(20))
        return how

    def a_text(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """Words."""
        words = self.rng.choice(TEXTS)
        if self.chance(0.02):
            words = (words or "x") * self.rng.randrange(1, 60_000 // max(1, len((words or "x").encode())))
        return text(words.lstrip("\ufeff") if self.chance(0.9) else words), self.also(who), "text"

    def an_edit(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """Other words, or another part, for something."""
        part, how, _ = self.rng.choice((self.a_text, self.a_text, self.a_tree, self.some_files, self.a_reaction))(who)
        return part, {**how, "replaces": self.target(who)}, "edit"

    def a_delete(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """Something taken back; now and then nothing is."""
        replaces = self.target(who) if self.chance(0.95) else None
        return [self.rng.choice((1, 0, 2)), "", 0], {**self.also(who), "replaces": replaces}, "delete"

    def a_reaction(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """One or several, fresh or instead of others."""
        symbols = self.rng.choices(
            SYMBOLS[:6] if self.chance(0.7) else SYMBOLS, k=self.rng.choice((1, 1, 1, 1, 2, 6, 7))
        )
        parts = [[2 if self.chance(0.97) else 1, "", 1, "text/plain;charset=utf-8", one.encode()] for one in symbols]
        part = parts[0] if len(parts) == 1 else [1, "", 3, self.rng.choice((2, 2, 2, 0, 1)), parts]
        how = self.also(who)
        if self.chance(0.3):
            how["replaces"] = self.target(who)
        if self.chance(0.85):
            how["reply"] = self.target(who)
        return part, how, "reaction"

    def a_tree(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """Parts in parts."""
        return self.part(self.rng.randrange(1, 6)), self.also(who), "tree"

    def part(self, depth: int) -> Raw:
        """Any part, this deep."""
        disposition, language = (
            self.rng.choice((0, 1, 1, 1, 2, 3, 4, 6, 7, 8, 9, 255)),
            self.rng.choice(("", "en", "\u202e")),
        )
        if depth > 1 and self.chance(0.6):
            inner = [self.part(depth - 1) for _ in range(self.rng.choice((2, 2, 3, 5)))]
            return [disposition, language, 3, self.rng.randrange(3), inner]
        if self.chance(0.15):
            return [disposition, language, 0]
        if self.chance(0.35):
            return self.external()
        body = self.rng.choice(TEXTS).encode("utf-8", "surrogatepass") if self.chance(0.8) else self.rng.randbytes(9)
        return [disposition, language, 1, self.rng.choice(TYPES[:3] if self.chance(0.5) else TYPES), body]

    def external(self) -> Raw:
        """A file, mostly as Kith makes them."""
        pick = self.rng.choice
        url = f"mimi://{HOST}/b/{'AbCdEfGhIjKlMnOpQrStUv' if self.chance(0.9) else 'short'}"
        size = pick((4096, 100, 17, 16, 15, 0, 3 * 2**20, 2**26, 2**26 + 1, 2**53, 2**64 - 1))
        return [
            pick((4, 6, 6, 1)),
            "",
            2,
            pick(("image/png", "video/mp4", "audio/ogg", *TYPES)),
            url if self.chance(0.93) else pick((f"mimi://else.example/b/{'A' * 22}", "https://x/", url + "\n", "")),
            pick((0, 1, 2**32 - 1)),
            size,
            2 if self.chance(0.95) else 1,
            self.rng.randbytes(32 if self.chance(0.95) else 31),
            self.rng.randbytes(12),
            b"" if self.chance(0.95) else b"x",
            1 if self.chance(0.95) else 2,
            self.rng.randbytes(32),
            pick(NAMES),
            pick(NAMES),
        ]

    def some_files(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """Files with facts that are right, wrong, too many or too few."""
        parts: list[Raw] = [text(self.rng.choice(TEXTS).lstrip("\ufeff"))] if self.chance(0.6) else []
        for _ in range(self.rng.choice((1, 1, 2, 3, 10, 11, 14))):
            parts.append(self.external())
            if self.chance(0.3):
                size = self.rng.choice((20, 12 * 1024, 12 * 1024 + 1)) if self.chance(0.3) else 20
                parts.append([8, "", 1, self.rng.choice(("image/webp", "image/jpeg", "image/png")), bytes(size)])
        count = sum(1 for one in parts if one[2] == 2) + self.rng.choice((0, 0, 0, 0, 1, -1))
        facts: Any = [self.facts() for _ in range(max(0, count))]
        if self.chance(0.05):
            facts = self.rng.choice((None, 7, "x", {1: 2}, b"y"))
        how = self.also(who)
        how["ext"] = {**how.get("ext", {}), -4: facts}
        part = (
            parts[0]
            if len(parts) == 1
            else [self.rng.choice((1, 1, 4)), "", 3, self.rng.choice((2, 2, 2, 0, 1)), parts]
        )
        return part, how, "files"

    def facts(self) -> Any:
        """What is said about one file."""
        pick = self.rng.choice
        every: dict[int | str, Any] = {
            1: pick((84, 0, 4080, 1, 10**9)),
            2: pick((640, 65_535, 65_536, 0)),
            3: pick((480, 1)),
            4: bytes(pick((1, 32, 33, 0))),
            5: pick((0, 1000, 86_400_000, 86_400_001)),
            6: bytes(pick((1, 64, 65))),
            7: bytes(pick((32, 32, 96, 64 * 32, 31))),
            8: pick((True, True, False, 1)),
            9: "unknown",
            "x": [1],
        }
        chosen = {key: value for key, value in every.items() if self.chance(0.25)}
        if self.chance(0.9):
            chosen[1] = self.rng.choice((0, 1))
        if self.chance(0.1):
            chosen[self.rng.randrange(1, 9)] = pick((None, -1, "1", b"", 2**64 - 1, True, [], {}))
        return chosen if self.chance(0.97) else pick((None, [], 1))

    def a_timer(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """The timer, set rightly or not."""
        seconds = (
            str(self.rng.choice(TIMES))
            if self.chance(0.8)
            else self.rng.choice(("", "0300", "-300", "300 ", "٣٠٠", "1e3"))
        )
        how = {} if self.chance(0.9) else {"replaces": self.target(who)}
        return [self.rng.choice((7, 7, 1)), "", 1, changes.TIMER, seconds.encode()], how, "timer"

    def a_stray(self, who: int) -> tuple[Raw, dict[str, Any], str]:
        """What belongs into the ephemeral class, said for good."""
        part: Raw = [7, "", 1, "application/x.kith.typing", b""]
        if self.chance(0.5):
            part = [7, "", 1, "application/mimi-message-status", cbor.encode([[self.target(who), 2]])]
        if self.chance(0.3):
            part = [1, "", 3, 2, [text("beside"), part]]
        return part, {"replaces": self.target(who)} if self.chance(0.2) else {}, "stray"

    def an_odd_field(self, _who: int) -> tuple[Raw, dict[str, Any], str]:
        """One field of a text is not what it should be."""
        odd: Any = self.rng.choice(
            (
                None,
                True,
                -1,
                2**64 - 1,
                "",
                b"",
                [],
                {},
                [[]],
                {"": 1},
                "\u202e",
                b"\x01" * 31,
                b"\x01" * 33,
                b"\x01" * 32,
            )
        )
        field_name = self.rng.choice(("salt", "replaces", "topic", "expires", "reply", "ext", "part"))
        how: dict[str, Any] = {}
        if field_name == "ext":
            how["ext"] = {self.rng.choice((1, 2, -1, -2, -3, -4, 5, "", "x", "y" * 256, *NUMBERS)): odd}
        elif field_name != "part":
            how[field_name] = odd
        return (odd if field_name == "part" else text("odd")), how, "odd"

    def mutated(self, good: bytes) -> bytes:
        """Good bytes with something done to them."""
        raw = bytearray(good)
        for _ in range(self.rng.choice((1, 1, 1, 2, 5))):
            at = self.rng.randrange(len(raw)) if self.chance(0.5) else min(len(raw) - 1, self.rng.randrange(140))
            match self.rng.randrange(6):
                case 0:
                    raw[at] ^= 1 << self.rng.randrange(8)
                case 1:
                    raw[at] = self.rng.choice(
                        (0x00, 0x18, 0x40, 0x5F, 0x60, 0x80, 0x9F, 0xA0, 0xC0, 0xF6, 0xF7, 0xF9, 0xFB, 0xFF)
                    )
                case 2:
                    raw.insert(at, self.rng.randrange(256))
                case 3:
                    del raw[at : at + self.rng.randrange(1, 4)]
                case 4:
                    raw[at:at] = raw[at : at + self.rng.randrange(1, 40)]
                case _:
                    raw.extend(self.rng.randbytes(self.rng.randrange(1, 4)))
            if not raw:
                raw = bytearray(b"\x87")
        return bytes(raw)

    def a_whisper(self) -> None:
        """Receipts and typing, and what only looks like them."""
        who = self.sender()
        pairs: list[Any] = [
            [self.target(who), self.rng.choice((2, 2, 2, 0, 6, 7, True))]
            for _ in range(self.rng.choice((1, 1, 2, 16, 17, 0)))
        ]
        part: Raw = [7, "", 1, "application/mimi-message-status", cbor.encode(pairs)]
        if self.chance(0.2):
            part = [7, "", 1, "application/x.kith.typing", b""]
        if self.chance(0.1):
            part = self.anything(who)[0]
        made = self.made(who, part) if self.chance(0.8) else self.mutated(self.made(who, part))
        self.whisper(who, made, b"" if self.chance(0.95) else b"\x23\x00")

    def a_moment(self) -> None:
        """The next thing."""
        roll = self.rng.random()
        if self.chance(0.12):
            self.passes(self.rng.choice(LAPSES_MS))
        self.passes(self.rng.randrange(5))
        if roll < 0.05:
            self.read()
        elif roll < 0.07 and self.known:
            self.hide(self.rng.choice(self.known).id)
        elif roll < 0.1:
            self.look()
        elif roll < 0.16:
            self.a_whisper()
        elif roll < 0.24 and self.later:
            who, made = self.later.pop(self.rng.randrange(len(self.later)))
            self.deliver(who, made)
            self.knows(who, made, "late")
        else:
            self.something()

    def something(self) -> None:
        """A message, perhaps with broken bytes, perhaps one that was said before."""
        who = self.sender()
        part, how, what = self.anything(who)
        made = self.made(who, part, **how)
        if self.chance(0.08):
            self.deliver(who, self.mutated(made))
            return
        at_ms = None if self.chance(0.97) else self.now + self.rng.choice((-1, 1, 5 * 60_000, 15 * 60_000, -HOUR_MS))
        self.deliver(who, made, at_ms=at_ms)
        self.knows(who, made, what)
        if self.chance(0.02):
            self.deliver(who, made)


def text(words: str) -> Raw:
    """A part of words."""
    return [1, "", 1, mimi.MARKDOWN, words.encode("utf-8", "surrogatepass")]


def conversation(seed: int, length: int = 60) -> Scenario:
    """A whole one, by its seed alone."""
    talk = Talk(seed, "direct" if seed % 3 == 0 else "group")
    for _ in range(length):
        talk.a_moment()
    for who, made in talk.later:
        talk.deliver(who, made)
    talk.look()
    talk.read()
    talk.passes(talk.rng.choice((1, 3_600_001, 8 * 24 * HOUR_MS)))
    return talk.scenario()
