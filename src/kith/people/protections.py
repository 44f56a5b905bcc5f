"""What is on for a person, in her words: what it does, until when, and whether she can change it. Pure."""

from __future__ import annotations

import msgspec

from kith.people.ages import Band, adult_from, protected
from kith.people.controls import Controls


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the screen "what is on". `until_ms` None = no end by itself."""

    id: str
    text: str
    until_ms: int | None = None
    changeable: bool = False


_FOR_MINORS = (
    (
        "unconnected-adults",
        "Adults you aren't connected to can't reach you. They get the same answer as for a wrong name.",
    ),
    (
        "groups-by-contacts",
        "Only people you're connected with can invite you to groups, and their links are the only ones that work.",
    ),
    ("contacts-hidden", "Adults can't see who you're connected to, or how many."),
    ("age-hidden", "Nobody is told your age, or that these protections are on."),
)
_FOR_EVERYONE = (
    ("exact-handle", "People find you only with your exact handle or an invite from you. There is no list to browse."),
    ("you-say-yes", "Nobody can write to you or see when you're here before you say yes."),
)
_CLOSED = "Nobody new can send you requests. You can change this at any time."
_UNREAD = "Nobody sees what you've read, and you don't see it of others. You can change this at any time."
_UNTYPED = "Nobody sees when you're writing, and you don't see it of others. You can change this at any time."


def protections(band: Band, next_band_ms: int | None, controls: Controls) -> tuple[Protection, ...]:
    """Everything that protects somebody of this band with these settings."""
    until = adult_from(band, next_band_ms)
    minors = _FOR_MINORS if protected(band) else ()
    chosen = (
        ("requests-closed", _CLOSED, controls.requests == "nobody"),
        ("read-receipts-off", _UNREAD, not controls.read_receipts),
        ("typing-off", _UNTYPED, not controls.typing),
    )
    return (
        *(Protection(id=name, text=text, until_ms=until) for name, text in minors),
        *(Protection(id=name, text=text, changeable=True) for name, text, on in chosen if on),
        *(Protection(id=name, text=text) for name, text in _FOR_EVERYONE),
    )
