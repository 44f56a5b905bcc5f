"""Names: one spelling per handle, no two handles that look alike, nothing hidden in a display name. Pure.

Handles follow PRECIS UsernameCaseMapped (RFC 8265 section 3.3) and are either `[a-z0-9_.]` or letters of one
single script with digits, `_` and `.`. Looking alike is judged by a skeleton in the sense of UTS 39 section 4.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

_PLAIN: Final = re.compile(r"[a-z0-9_.]{3,30}")
_SHORTEST, _LONGEST = 3, 30
_MAX_TYPED: Final = 120
"""Characters of typed text that are worth looking at."""
_SHARED: Final = frozenset("0123456789_.")
_RESERVED: Final = frozenset(
    """
    abuse admin administrator anonymous billing contact deleted everyone feedback help helpdesk info kith legal mail
    me moderation moderator moderators mods news nobody noreply null official operator owner password police
    postmaster privacy recovery report reports root safety security server staff status support system team teamkith
    trust undefined unknown user webmaster you
    """.split()  # noqa: SIM905  a block that can be read
)
_SPELLED_WITH_DIGITS: Final = tuple(str.maketrans("013457", f"o{one}east") for one in "il")
"""Digits that stand for letters, so that nobody is `adm1n`."""

MAX_NAME: Final = 50
"""Characters of a display name."""
_MARKS_IN_A_ROW: Final = 4


def normalised(typed: str) -> str | None:
    """The one spelling of a handle, or None when it cannot be one."""
    if not _SHORTEST <= len(typed) <= _MAX_TYPED:
        return None
    plain = typed.lower() if typed.isascii() else None
    if plain is None:
        plain = _precis(typed)
    if plain is None or not any(character.isalnum() for character in plain):
        return None
    if _PLAIN.fullmatch(plain):
        return plain
    return plain if _SHORTEST <= len(plain) <= _LONGEST and _one_script(plain) else None


def _precis(typed: str) -> str | None:
    profile = _profile()
    try:
        return str(profile.enforce(typed))
    except UnicodeEncodeError:
        return None


@cache
def _profile():  # type: ignore[no-untyped-def]  # noqa: ANN202  the library is published without types
    from precis_i18n import get_profile  # noqa: PLC0415  read when the first such handle is typed

    return get_profile("UsernameCaseMapped")


def _one_script(handle: str) -> bool:
    """Whether all but digits, `_` and `.` are letters (or their marks) of one script."""
    letters = [character for character in handle if character not in _SHARED]
    if not letters or any(unicodedata.category(letter)[0] not in "LM" for letter in letters):
        return False
    from confusable_homoglyphs import categories  # noqa: PLC0415  its tables take 90 ms to read

    scripts = {categories.alias(letter) for letter in letters} - {"INHERITED", "COMMON"}
    return len(scripts) == 1 and "Unknown" not in scripts


def reserved(handle: str) -> bool:
    """Whether the handle, or what it looks like, speaks for the service."""
    bare = handle.replace(".", "").replace("_", "")
    spellings = {bare, *(bare.translate(table) for table in _SPELLED_WITH_DIGITS)}
    return bool(spellings & _RESERVED) or skeleton(bare) in _reserved_skeletons()


@cache
def _reserved_skeletons() -> frozenset[str]:
    return frozenset(skeleton(name) for name in _RESERVED)


def skeleton(handle: str) -> str:
    """What the handle looks like: two handles that could be mistaken for each other have the same.

    Accents of Latin, Greek and Cyrillic letters are left out, which is stricter than UTS 39.
    """
    alike = _alike()
    decomposed = unicodedata.normalize("NFD", handle)
    return "".join(alike.get(c, c) for c in decomposed if not "\u0300" <= c <= "\u036f")


@cache
def _alike() -> dict[str, str]:
    """Each character to the one spelling of all that look like it.

    The library lists pairs both ways; a group is a star around one prototype, which may be a sequence
    (`m` looks like `rn`). The sequence stands for its group, else the first of its characters.
    """
    from confusable_homoglyphs.confusables import confusables_data  # noqa: PLC0415  its tables take 90 ms to read

    groups = _Groups()
    for character, others in confusables_data.items():
        for other in others:
            groups.join(_visible(character), _visible(other["c"]))
    for one, other in (("0", "o"), ("w", "vv")):  # alike in lower case, which is all a handle has
        groups.join(one, other)
    return groups.spellings()


def _visible(text: str) -> str:
    return text.replace("\u200e", "")


class _Groups:
    """Union-find over characters that look alike."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def _root(self, item: str) -> str:
        self._parent.setdefault(item, item)
        while self._parent[item] != item:
            self._parent[item] = item = self._parent[self._parent[item]]
        return item

    def join(self, a: str, b: str) -> None:
        self._parent[self._root(a)] = self._root(b)

    def spellings(self) -> dict[str, str]:
        members: dict[str, list[str]] = {}
        for item in self._parent:
            members.setdefault(self._root(item), []).append(item)
        single: dict[str, str] = {}
        for group in members.values():
            stands_for = max(group, key=lambda item: (len(item), [-ord(c) for c in item]))
            single.update({item: stands_for for item in group if len(item) == 1})
        return {item: _settled(item, single) for item in single}


def _settled(item: str, single: dict[str, str]) -> str:
    """Follow the mapping until nothing changes; a sequence may hold characters that have a group of their own."""
    seen = {item}
    while (mapped := "".join(single.get(c, c) for c in item)) != item and mapped not in seen:
        item = mapped
        seen.add(item)
    return item


def display_name(typed: str) -> str | None:
    """The name as it is kept (NFC, single spaces), or None when it cannot be one.

    1-50 characters, something visible among them, no control, format or unassigned characters (joiners inside
    emoji and scripts excepted), and no towers of accents.
    """
    if len(typed) > 4 * MAX_NAME:
        return None
    name = " ".join(filter(None, unicodedata.normalize("NFC", typed).split(" ")))
    return name if 1 <= len(name) <= MAX_NAME and is_shown(name) else None


def is_shown(text: str) -> bool:
    """Whether a reader sees what is there: something visible, nothing hidden, and no towers of accents."""
    return any(_seen(c) for c in text) and not any(_hidden(c) for c in text) and not _towers(text)


_JOINERS: Final = "\u200c\u200d"
_BLANK: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols that show nothing."""


def _hidden(character: str) -> bool:
    return character in _BLANK or (
        character not in _JOINERS and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )


def _seen(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS"


def _towers(name: str) -> bool:
    run = 0
    for character in unicodedata.normalize("NFD", name):
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if run > _MARKS_IN_A_ROW:
            return True
    return False
