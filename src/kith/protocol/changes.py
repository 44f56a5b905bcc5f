"""What a message does to an earlier one, how long and how often that counts, passing on, and disappearing messages.

Pure. Senders keep to the limits, receivers apply them by accepted times with an hour more: nobody's clock decides what
another reads.
"""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from kith.protocol.cbor import Key, Value
from kith.protocol.content import (
    FORWARDED,
    LAST_SEEN,
    PROCESS_ALL,
    REACTION,
    ROOM,
    SENDER,
    SESSION,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
)
from kith.protocol.emoji import is_one_emoji

HOUR_MS: Final = 3_600_000
EDIT_MS: Final = 24 * HOUR_MS
"""How long a message may be edited after it was accepted."""
DELETE_MS: Final = 24 * HOUR_MS
"""How long it may be deleted for everybody."""
TOLERANCE_MS: Final = HOUR_MS
"""What receivers allow on top."""
MAX_EDITS: Final = 10
"""Edits of one message that count."""
MAX_SYMBOLS: Final = 6
"""Reactions in one message, each a part of its own."""
FORWARD_CHATS: Final = 5
"""Chats to which a message is passed on at once."""
FAR_TRAVELLED: Final = 5
"""What was passed on so often goes to one chat at a time."""

ABOUT_PARTS: Final = frozenset({-4})
"""Extensions that describe the parts of a message (facts about its media), whoever sends them."""

TIMER: Final = "application/x.kith.timer"
"""Body: seconds after reading, ASCII decimal digits without a leading zero; 0 turns it off."""
TIMES: Final = (0, 300, 3600, 86400, 604800, 2419200)
"""What the timer may be set to: off, 5 minutes, an hour, a day, a week, four weeks."""

# --- effects --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edit:
    """New words for the message `target` names (its first version, or any of its edits)."""

    target: bytes


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Takes back what `target` names: a message, or a reaction."""

    target: bytes


@dataclass(frozen=True, slots=True)
class React:
    """Reactions to the message `target`; with `instead`, other ones in place of the reaction that `target` names."""

    target: bytes
    symbols: tuple[str, ...]
    instead: bool = False


Change: TypeAlias = Edit | Withdraw | React


def change_of(content: MimiContent) -> Change | None:
    """What a message does to an earlier one; None for a message of its own.

    A reaction that is not one emoji is a message of its own: an answer.
    """
    if isinstance(content.part, NullPart):
        return None if content.replaces is None else Withdraw(content.replaces)
    symbols, target = symbols_of(content.part), content.replaces or content.in_reply_to
    if symbols and target is not None:
        return React(target, symbols, instead=content.replaces is not None)
    return None if content.replaces is None else Edit(content.replaces)


def symbols_of(part: Part) -> tuple[str, ...]:
    """The symbols of a reaction, each once, in their order; empty when the part is anything else.

    One single part with disposition "reaction", or a processAll part of at most 6 of them.
    """
    several = isinstance(part, MultiPart) and part.semantics == PROCESS_ALL
    parts = part.parts if isinstance(part, MultiPart) and several else (part,)
    found = [_symbol(one) for one in parts]
    if len(found) > MAX_SYMBOLS or not all(found):
        return ()
    return tuple(dict.fromkeys(found))


def _symbol(part: Part) -> str:
    if not isinstance(part, SinglePart) or part.disposition != REACTION:
        return ""
    try:
        text = part.content.decode()
    except UnicodeDecodeError:
        return ""
    return text if is_one_emoji(text) else ""


# --- limits ---------------------------------------------------------------------------------------------------------


def may_edit(accepted_ms: int, now_ms: int, edits: int) -> bool:
    """Whether its sender may edit a message now that has been edited so often."""
    return now_ms - accepted_ms <= EDIT_MS and edits < MAX_EDITS


def may_delete(accepted_ms: int, now_ms: int) -> bool:
    """Whether its sender may delete a message for everybody now."""
    return now_ms - accepted_ms <= DELETE_MS


def edit_counts(accepted_ms: int, edited_ms: int, edits: int) -> bool:
    """Whether a receiver follows an edit: both times as the server accepted them; `edits` before this one."""
    return edited_ms - accepted_ms <= EDIT_MS + TOLERANCE_MS and edits < MAX_EDITS


def delete_counts(accepted_ms: int, deleted_ms: int) -> bool:
    """Whether a receiver follows a deletion."""
    return deleted_ms - accepted_ms <= DELETE_MS + TOLERANCE_MS


def chats_at_once(times_forwarded: int) -> int:
    """To how many chats a message may be passed on at once that arrived with this counter."""
    return 1 if times_forwarded >= FAR_TRAVELLED else FORWARD_CHATS


# --- making content -------------------------------------------------------------------------------------------------


def forward(
    original: MimiContent, *, salt: bytes, sender_uri: str, room_uri: str, last_seen: bytes | None = None
) -> MimiContent:
    """The same parts, said anew by somebody else in another room: of the first sender nothing is left but the words.

    Of the extensions only those about the parts come along.
    """
    kept: dict[Key, Value] = {key: value for key, value in original.extensions.items() if key in ABOUT_PARTS}
    extensions: dict[Key, Value] = {
        **kept,
        SENDER: sender_uri,
        ROOM: room_uri,
        FORWARDED: min(original.times_forwarded + 1, 2**32 - 1),
    }
    if last_seen is not None:
        extensions[LAST_SEEN] = last_seen
    return replace(
        original,
        salt=salt,
        extensions=extensions,
        replaces=None,
        in_reply_to=None,
        topic_id=b"",
        expires=None,
    )


def timer(seconds: int, *, salt: bytes, sender_uri: str, room_uri: str) -> MimiContent:
    """From now on, messages of this room disappear so long after reading; 0: they stay."""
    if seconds not in TIMES:
        raise ValueError(f"the timer cannot be set to {seconds} seconds")
    extensions: dict[Key, Value] = {SENDER: sender_uri, ROOM: room_uri}
    part = SinglePart(content_type=TIMER, content=str(seconds).encode(), disposition=SESSION)
    return MimiContent(salt=salt, extensions=extensions, part=part)


def life_of(content: MimiContent) -> int | None:
    """After how many seconds of reading a message disappears; None: it stays, or says something that is not allowed."""
    expires = content.expires
    if expires is None or not expires.relative or expires.time == 0:
        return None
    return expires.time if expires.time in TIMES else None


def timer_of(content: MimiContent) -> int | None:
    """What a message sets the timer to; None when it does not, or to something that is not allowed."""
    part = content.part
    if not isinstance(part, SinglePart) or part.content_type != TIMER or content.replaces is not None:
        return None
    return next((seconds for seconds in TIMES if part.content == str(seconds).encode()), None)
