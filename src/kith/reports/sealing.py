"""Sealed evidence: one random data key per case, wrapped by the server's evidence key, AES-256-GCM throughout.

`wrapped key  = nonce(12) ‖ AES-256-GCM(evidence key, data key, AAD = "kith case key" ‖ case)`
`sealed thing = nonce(12) ‖ AES-256-GCM(data key, bytes, AAD = case ‖ thing)`

Case and thing are ids of 36 ASCII bytes, so their concatenation is unambiguous. Whoever holds the database alone
opens nothing, and a sealed thing moved to another case or under another id does not open at all. Destroying the
wrapped key destroys everything sealed under it.
"""

from __future__ import annotations

import secrets
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY: Final = 32
"""Bytes of an evidence key and of a data key."""
_NONCE: Final = 12
_WRAP: Final = b"kith case key"


class EvidenceKey:
    """The server's evidence key: a 0600 file outside the database, read once at start-up."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY:
            raise ValueError(f"an evidence key has {KEY} bytes")
        self._secret = secret

    def __repr__(self) -> str:
        return "EvidenceKey(…)"

    def wrap(self, case: str, key: CaseKey) -> bytes:
        """The data key of a case, as the database may hold it."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self._secret).encrypt(nonce, key.secret, _WRAP + _id(case))

    def unwrap(self, case: str, wrapped: bytes) -> CaseKey:
        """The data key of a case; CannotOpen when it is not this case's, was altered, or belongs to another server."""
        try:
            secret = AESGCM(self._secret).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _WRAP + _id(case))
        except (InvalidTag, ValueError):
            raise CannotOpen("the key of this case does not open with this server's evidence key") from None
        return CaseKey(case, secret)


class CaseKey:
    """Opens and seals what belongs to one case."""

    __slots__ = ("case", "secret")

    def __init__(self, case: str, secret: bytes) -> None:
        self.case = case
        self.secret = secret

    def __repr__(self) -> str:
        return f"CaseKey({self.case}, …)"

    @staticmethod
    def fresh(case: str) -> CaseKey:
        """A new random key for a new case."""
        return CaseKey(case, secrets.token_bytes(KEY))

    def seal(self, thing: str, content: bytes) -> bytes:
        """Seal an exhibit or a note under its id."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self.secret).encrypt(nonce, content, _id(self.case) + _id(thing))

    def open(self, thing: str, sealed: bytes) -> bytes:
        """What was sealed; CannotOpen when it is not this thing of this case, or was altered."""
        try:
            return AESGCM(self.secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], _id(self.case) + _id(thing))
        except (InvalidTag, ValueError):
            raise CannotOpen("this evidence was altered or belongs to another case") from None


class CannotOpen(Exception):  # noqa: N818  it says what happened
    """Sealed evidence that does not open. The text names no content."""


def _id(identifier: str) -> bytes:
    """The one spelling of an id, 36 ASCII bytes; ValueError otherwise."""
    if str(UUID(identifier)) != identifier:
        raise ValueError("ids are lower-case hyphenated UUIDs")
    return identifier.encode("ascii")
