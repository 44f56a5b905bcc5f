"""Putting into words: the content of what this device sends. Pure but for the salt it is given."""

import dataclasses
from typing import Final

from kith.protocol import changes
from kith.protocol import content as mimi
from kith.protocol.attachments import with_files
from kith.protocol.cbor import Value
from kith.protocol.content import (
    MARKDOWN,
    PROCESS_ALL,
    ExternalPart,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
)
from kith.protocol.uris import parse_uri
from kith.sdk.records import OutboxRecord, Thread
from kith.sdk.sending import outgoing

UNSALTED: Final = bytes(mimi.SALT)
"""Stands in a template until its message is encrypted, which gives it a salt of its own."""

_TIMES: Final = {300: "5 minutes", 3600: "1 hour", 86400: "1 day", 604800: "1 week", 2419200: "4 weeks"}


def said(  # noqa: PLR0917 - everything a message is made of
    waiting: OutboxRecord, sender_uri: str, room_uri: str, thread: Thread, salt: bytes, head: "Value | None"
) -> MimiContent:
    """What waits in the outbox, as content with everything a message carries: causal evidence, gossip, the timer."""
    if waiting.template is not None:
        content = dataclasses.replace(mimi.decode(waiting.template), salt=salt)
    else:
        content = mimi.text(waiting.text, salt=salt, sender_uri=sender_uri, room_uri=room_uri)
        if waiting.reply_to is not None:
            content = dataclasses.replace(content, in_reply_to=bytes.fromhex(waiting.reply_to))
        if waiting.files:
            content = with_files(content, [outgoing(one) for one in waiting.files], parse_uri(sender_uri)[0])
    extensions = dict(content.extensions)
    if thread.last_id is not None:
        extensions[mimi.LAST_SEEN] = thread.last_id
    if head is not None:
        extensions[mimi.TREE_HEAD] = head
    timed = thread.timer_s and changes.timer_of(content) is None
    expires = mimi.Expires(relative=True, time=thread.timer_s) if timed else None
    return dataclasses.replace(content, extensions=extensions, expires=expires)


def with_words(part: Part, words: str) -> Part:
    """The same part with other words: what is attached stays as it is, and without words only that is left."""
    several = isinstance(part, MultiPart) and part.semantics == PROCESS_ALL
    parts = part.parts if isinstance(part, MultiPart) and several else (part,)
    carried = tuple(one for one in parts if not _is_words(one) and not isinstance(one, NullPart))
    text = SinglePart(content_type=MARKDOWN, content=words.encode())
    if not carried:
        return text
    whole = (text, *carried) if words else carried
    return whole[0] if len(whole) == 1 else MultiPart(semantics=PROCESS_ALL, parts=whole, disposition=part.disposition)


def _is_words(part: Part) -> bool:
    if not isinstance(part, SinglePart) or part.disposition == mimi.PREVIEW:
        return False
    return mimi.is_text(part.content_type)


def carries_files(part: Part) -> bool:
    """Whether anything is attached."""
    return any(isinstance(one, ExternalPart) for _, one in mimi.numbered_parts(part))


def timer_line(who: str, seconds: int) -> str:
    """What the thread says about a new timer."""
    if seconds == 0:
        return f"{who} turned disappearing messages off."
    return f"{who} set messages here to disappear {_TIMES[seconds]} after they are read."
