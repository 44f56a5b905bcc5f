"""Safety numbers: what two people read to each other to know that their keys are each other's.

libsignal's numeric fingerprint, version 0, over the account identity keys: adding a device does not change it.
"""

import hashlib
import hmac
from typing import Final

ITERATIONS: Final = 5_200
"""Hash computations of one side: what makes searching for a look-alike costly."""
GROUPS: Final = 12
_VERSION: Final = b"\x00\x00"
_GROUP: Final = 5
_SIDE: Final = 30
_SCANNED: Final = 32


def fingerprint(key: bytes, identifier: bytes) -> bytes:
    """The 64 bytes of one side, from its identity key and the bytes of its account id."""
    made = hashlib.sha512(_VERSION + key + identifier + key).digest()
    for _ in range(ITERATIONS - 1):
        made = hashlib.sha512(made + key).digest()
    return made


def digits(side: bytes) -> str:
    """One side's 30 digits."""
    groups = (int.from_bytes(side[at : at + _GROUP], "big") % 100_000 for at in range(0, _SIDE, _GROUP))
    return "".join(f"{group:05d}" for group in groups)


def safety_number(mine: bytes, theirs: bytes) -> str:
    """The 60 digits that both sides see alike."""
    return "".join(sorted((digits(mine), digits(theirs))))


def in_groups(number: str) -> list[str]:
    """As it is shown: 12 groups of 5."""
    return [number[at : at + _GROUP] for at in range(0, len(number), _GROUP)]


def scannable(mine: bytes, theirs: bytes) -> bytes:
    """What my QR code holds: the version and the first 32 bytes of each side."""
    return _VERSION[:1] + mine[:_SCANNED] + theirs[:_SCANNED]


def matches(scanned: bytes, mine: bytes, theirs: bytes) -> bool:
    """Whether the other side's QR code shows the same two keys: theirs is mine and mine is theirs."""
    return hmac.compare_digest(scanned, scannable(theirs, mine))
