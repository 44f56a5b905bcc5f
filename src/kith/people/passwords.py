"""Passwords: which are refused, and how they are hashed (Argon2id, 19 MiB, t=2, p=1), outside every flow.

Unknown handles cost the same as known ones: a hash of nothing is verified in their place.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")

SHORTEST: Final = 8
LONGEST: Final = 256
_DIFFERENT: Final = 4
"""Different characters that a password must have, and characters it must have beside the handle."""

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)
NOBODY: Final = "$argon2id$v=19$m=19456,t=2,p=1$a2l0aC1ub2JvZHktaGVyZQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"
"""A hash in the present form that no known password has."""

_COMMON: Final = frozenset(
    """
    password passwort passw0rd password1 password12 password123 passwords 12345678 123456789 1234567890 87654321
    11111111 00000000 12341234 11223344 123123123 qwertyui qwertyuiop qwerty12 qwerty123 qwertz123 qwertzui asdfghjk
    asdfghjkl asdf1234 zxcvbnm1 1q2w3e4r 1qaz2wsx q1w2e3r4 abcd1234 abc12345 abcdefgh abcdefg1 a1b2c3d4 iloveyou
    iloveyou1 sunshine sunshine1 princess princess1 football football1 baseball basketball superman batman12
    welcome1 welcome123 letmein1 letmein123 trustno1 starwars starwars1 whatever computer internet michelle jennifer
    jonathan samantha victoria danielle elizabeth alexander liverpool arsenal1 chelsea1 barcelona juventus pokemon1
    minecraft minecraft1 roblox12 fortnite fortnite1 changeme changeme1 changeme123 admin123 administrator default1
    secret123 secretsecret mustang1 corvette mercedes harley12 dolphins chocolate butterfly blink182 snoopy12
    monkey12 monkey123 dragon12 dragon123 shadow12 master12 master123 hello123 hellohello freedom1 kithkith kith1234
    testtest test1234 guest123 google123 samsung1 nintendo playstation
    """.split()  # noqa: SIM905  a block that can be read
)


def flaw(password: str, handle: str) -> str | None:
    """Why this password will not do, as a sentence for its owner; None when it will."""
    plain = _normalised(password)
    if len(plain) < SHORTEST:
        return f"Choose a password with at least {SHORTEST} characters."
    if len(password) > LONGEST:
        return f"Choose a password with at most {LONGEST} characters."
    lowered, name = plain.casefold(), handle.casefold()
    if lowered in _COMMON or len(set(lowered)) < _DIFFERENT:
        return "Many people use this password, so it is easy to guess. Choose another; three or four words work well."
    rest = lowered.replace(name, "").replace(name[::-1], "")
    if name and len(rest) < _DIFFERENT + 1 and rest != lowered:
        return "This password is too close to your handle. Choose another; three or four words work well."
    return None


def _normalised(password: str) -> str:
    """One spelling for what different keyboards send for the same letters (NFC)."""
    return unicodedata.normalize("NFC", password)


class Busy(Exception):  # noqa: N818  it is a state, not a mistake
    """Too many hashes are waiting."""


class Hasher:
    """A bounded pool: password hashing never fills the memory nor stops the event loop."""

    def __init__(self, threads: int = 2, waiting: int = 64) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hash")
        self._room = waiting
        self.verified = 0
        """Hashes verified so far; the same for known and unknown handles."""

    async def hash(self, password: str) -> str:
        """The hash to store. Raises Busy when too many wait."""
        return await self._run(lambda: _HASHER.hash(_normalised(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password has this hash; False for None, after the same work. Raises Busy."""
        self.verified += 1
        matches = await self._run(lambda: _matches(stored or NOBODY, _normalised(password)))
        return matches and stored is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._room <= 0:
            raise Busy
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._room += 1

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown()


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than today's, and should be made anew at sign-in."""
    return _HASHER.check_needs_rehash(stored)


def hash_now(password: str) -> str:
    """The hash, for the command line and seeded worlds, where nobody waits."""
    return _HASHER.hash(_normalised(password))
