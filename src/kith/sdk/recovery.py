"""The recovery code: 160 random bits that only the person keeps, as 32 characters and 2 check characters.

One key derived from it proves to the server that the code is known; another, which never leaves the device, seals the
account's identity key. The same bytes as in the web client (docs/api.md, People).
"""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CODE_BYTES: Final = 20
IV: Final = 12
SEED: Final = 32
TAG: Final = 16
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_CHARACTERS, _CHECK_CHARACTERS, _GROUP = 32, 2, 4
_LOOK_ALIKES: Final = str.maketrans("OIL", "011", " -\t\n")


class NotACode(ValueError):  # noqa: N818 - a statement about what was typed
    """What was typed cannot be a recovery code; the text says why."""


def _base32(data: bytes, characters: int) -> str:
    bits = int.from_bytes(data, "big")
    width = len(data) * 8
    return "".join(_ALPHABET[bits >> (width - 5 * (at + 1)) & 31] for at in range(characters))


def _check(code: bytes) -> str:
    """The first 10 bits of SHA-256: one in 1,024 mistyped codes passes."""
    return _base32(hashlib.sha256(code).digest(), _CHECK_CHARACTERS)


def format_code(code: bytes) -> str:
    """How it is shown: `XXXX-XXXX-…-XX`."""
    return grouped(code, _CODE_CHARACTERS)


def parse_code(typed: str) -> bytes:
    """The code that was typed, in any case, with spaces or hyphens; NotACode otherwise."""
    return ungrouped(typed, CODE_BYTES, _CODE_CHARACTERS, "recovery code")


def grouped(code: bytes, characters: int) -> str:
    """A code with its check characters, in groups of four."""
    text = _base32(code, characters) + _check(code)
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def ungrouped(typed: str, size: int, characters: int, called: str) -> bytes:
    """The bytes of a typed code; NotACode with what is wrong with it."""
    text = typed.strip().upper().translate(_LOOK_ALIKES)
    if len(text) != characters + _CHECK_CHARACTERS:
        raise NotACode(f"The {called} has {characters + _CHECK_CHARACTERS} characters.")
    number = 0
    for letter in text[:characters]:
        value = _ALPHABET.find(letter)
        if value < 0:
            raise NotACode(f"The {called} has a character that is never used in one.")
        number = number << 5 | value
    code = number.to_bytes(size, "big")
    if _check(code) != text[characters:]:
        raise NotACode(f"That {called} has a typing mistake.")
    return code


def _derive(code: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(code)


def recovery_auth(code: bytes) -> bytes:
    """Sent to the server, which keeps only a hash: proves knowledge of the code."""
    return _derive(code, b"kith recovery auth v1")


def seal_aik(code: bytes, seed: bytes, account_uri: str, iv: bytes) -> bytes:
    """iv(12) ‖ AES-256-GCM(kek, identity seed, AAD = account URI)."""
    return iv + AESGCM(_derive(code, b"kith recovery kek v1")).encrypt(iv, seed, account_uri.encode("ascii"))


def open_aik(code: bytes, sealed: bytes, account_uri: str) -> bytes | None:
    """The identity seed, or None when this code and account did not seal it."""
    if len(sealed) != IV + SEED + TAG:
        return None
    key = AESGCM(_derive(code, b"kith recovery kek v1"))
    try:
        return key.decrypt(sealed[:IV], sealed[IV:], account_uri.encode("ascii"))
    except InvalidTag:
        return None
