"""Who is asking: opaque tokens, kept only as hashes, and the server's share of each device's local key.

A share dies with its session: a device that was signed out can no longer open what it stored.
"""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from kith.ledger.database import Reader, Tx
from kith.ledger.events import DeviceRemoved
from kith.ledger.limits import HOUR
from kith.ledger.signals import DeviceSignedOut
from kith.people import store

COOKIE = "__Host-kith"
"""Name of the session cookie; the prefix makes browsers demand Secure, Path=/ and no Domain."""
COOKIE_MAX_AGE_S = 180 * 24 * 3600
TOKEN_BYTES = 32
MAX_TOKEN = 64
"""Longest token in characters that is worth hashing."""
SHARE_BYTES = 32


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in device of a person. `seen_ms` = when it was last seen, to the hour."""

    account: str
    device: str
    seen_ms: int = 0


def new_token() -> str:
    """A fresh session token: 256 random bits, URL-safe."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def new_share() -> bytes:
    """A fresh share."""
    return secrets.token_bytes(SHARE_BYTES)


def hash_of(token: str) -> bytes:
    """What is stored of a token. 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def authenticate(reader: Reader, token: str) -> Session | None:
    """The session of this token, or None for anything that is not one."""
    if not 1 <= len(token) <= MAX_TOKEN:
        return None
    row = reader.one(store.SESSION, hashed=hash_of(token))
    return None if row is None else Session(account=row.account, device=row.device, seen_ms=row.seen_ms)


def began_within(reader: Reader, device: str, span_ms: int) -> bool:
    """Whether this device signed in, with password or recovery code, so lately."""
    began = reader.value(store.SESSION_BEGAN, id=device)
    return began is not None and reader.now - int(began) < span_ms


def is_stale(session: Session, now: int) -> bool:
    """Whether `seen` would change anything, so that most calls need no write."""
    return session.seen_ms != _hour(now)


def seen(tx: Tx, device: str) -> None:
    """Remember that a device was here, to the hour."""
    tx.run(store.SEEN, id=device, hour=_hour(tx.now))


def _hour(now: int) -> int:
    return now - now % HOUR


def begin(tx: Tx, account: str, device: str, *, token: str, share: bytes, name: str) -> None:
    """Store the session of a device that just signed in."""
    tx.put(store.device_names, device=device, name=name, seen_ms=_hour(tx.now))
    tx.put(store.sessions, token_hash=hash_of(token), device=device, account=account, created_ms=tx.now)
    tx.put(store.shares, device=device, share=share)


def share_of(reader: Reader, device: str) -> bytes | None:
    """The server's half of the device's local key, while its session lives."""
    share: bytes | None = reader.value(store.SHARE, id=device)
    return share


def destroy(tx: Tx, account: str, device: str) -> None:
    """Sign a device out for good: session, share, key and name go; its connections close at once."""
    for statement in (store.SESSION_END, store.SHARE_END, store.KEY_END, store.DEVICE_NAME_END, store.LINK_END):
        tx.run(statement, id=device)
    tx.append(DeviceRemoved(account=account, device=device))
    tx.publish(DeviceSignedOut(device))
