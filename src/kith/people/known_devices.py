"""Devices on which somebody signed in before: they keep tries of their own while others guess at her password.

Whoever guesses from many addresses uses up what a handle has. Without this its owner would be locked out; with a list
of her addresses instead, guessing would tell who is where. So the device itself holds the proof, a browser as a cookie
(after OWASP's "device cookies"), a program among its records; the server stores nothing. It names nobody, and opens
nothing without the password.

`nonce.since_ms.mac`, all in hexadecimal or decimal digits; the MAC covers the account as well.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

COOKIE: Final = "__Host-kith-known"
MAX_COOKIE: Final = 128
"""Characters; longer ones are not looked at."""
_PURPOSE: Final = "kith known device v1"


def issue(key: bytes, account: str, now: int) -> str:
    """A cookie for a device on which this account signs in now."""
    payload = f"{secrets.token_hex(16)}.{now}"
    return f"{payload}.{_mac(key, payload, account)}"


def recognised(key: bytes, account: str, cookie: str, now: int, life_ms: int) -> str | None:
    """The device's own name for what it may try, where this account signed in on it so lately; None otherwise."""
    if len(cookie) > MAX_COOKIE or not cookie.isascii():
        return None
    payload, _, mac = cookie.rpartition(".")
    if not hmac.compare_digest(_mac(key, payload, account), mac):
        return None
    nonce, _, since = payload.partition(".")
    return nonce if 0 <= now - int(since) < life_ms else None


def _mac(key: bytes, payload: str, account: str) -> str:
    return hmac.digest(key, f"{_PURPOSE}\0{payload}\0{account}".encode(), hashlib.sha256).hex()
