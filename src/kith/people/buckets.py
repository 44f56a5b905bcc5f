"""Rate limits: token buckets whose level is kept in milliseconds of refill. Pure, but for the two keepers below.

A bucket of `size` tokens saves up at most `size * refill_ms`; one act costs `refill_ms`. Clocks that run
backwards refill nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections import OrderedDict
from typing import NamedTuple

from kith.ledger.database import Tx
from kith.people import store
from kith.people.limits import Rate


class Bucket(NamedTuple):
    """What is saved up (milliseconds), and when that was so."""

    level: int
    at_ms: int


class Taken(NamedTuple):
    """The bucket afterwards, and how long to wait when it did not have enough (None = it had)."""

    bucket: Bucket
    retry_after_ms: int | None


def take(bucket: Bucket | None, rate: Rate, now: int, tokens: int = 1) -> Taken:
    """Take some tokens. A refusal takes nothing, so that trying early does not prolong the wait."""
    most, cost = rate.size * rate.refill_ms, tokens * rate.refill_ms
    level = most if bucket is None else min(most, bucket.level + max(0, now - bucket.at_ms))
    if level < cost:
        return Taken(Bucket(level, now), cost - level)
    return Taken(Bucket(level - cost, now), None)


class Charge(NamedTuple):
    """One limit that an act counts against: what is limited, whom, how fast, and how many times it counts."""

    what: str
    whom: str
    rate: Rate
    tokens: int = 1


def place_of(address: str) -> str:
    """The network that shares an address's limits: itself, or its /64 for IPv6, where one person has them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "elsewhere"
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)


def charge(tx: Tx, key: bytes, charges: tuple[Charge, ...]) -> int | None:
    """Count an act against all of these limits, or against none; how long to wait when one is used up.

    `key` blinds whom the rows are about; it is kept outside the database.
    """
    taken = [
        (name, one.rate, found, take(found, one.rate, tx.now, one.tokens))
        for one, (name, found) in zip(charges, _found(tx, key, charges), strict=True)
    ]
    waits = [after.retry_after_ms for *_, after in taken if after.retry_after_ms is not None]
    if waits:
        return max(waits)
    for name, rate, found, after in taken:
        full = tx.now + rate.size * rate.refill_ms - after.bucket.level
        if found is None:
            tx.put(store.buckets, bucket=name, level=after.bucket.level, at_ms=tx.now, full_ms=full)
        else:
            tx.run(store.BUCKET_LEVEL, name=name, new_level=after.bucket.level, now=tx.now, full=full)
    return None


def _found(tx: Tx, key: bytes, charges: tuple[Charge, ...]) -> list[tuple[str, Bucket | None]]:
    found: list[tuple[str, Bucket | None]] = []
    for what, whom, *_ in charges:
        blinded = hmac.digest(key, f"kith bucket\0{what}\0{whom}".encode(), hashlib.sha256).hex()[:32]
        row = tx.one(store.BUCKET, name=f"{what}:{blinded}")
        found.append((f"{what}:{blinded}", None if row is None else Bucket(row.level, row.at_ms)))
    return found


class Fleeting:
    """Limits that leave nothing on disk, and cost no flow: who asked whether she is old enough. Gone at a restart."""

    def __init__(self, most: int = 20_000) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._most = most

    def charge(self, whom: str, rate: Rate, now: int, tokens: int = 1) -> int | None:
        """Count an act; how long to wait when the limit is used up."""
        taken = take(self._buckets.get(whom), rate, now, tokens)
        self._buckets[whom] = taken.bucket
        self._buckets.move_to_end(whom)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return taken.retry_after_ms
