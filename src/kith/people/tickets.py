"""Age tickets: what carries the age band from the first question to the new account. Stored nowhere.

`base64url(JSON [band, next_band_ms, expires_ms]) . base64url(HMAC-SHA256)`. The date itself is not in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

from kith.people.ages import Band, Placed

_PURPOSE = b"kith age ticket v1\0"
MAX_TICKET = 256
"""Characters; longer ones are not looked at."""


def issue(key: bytes, placed: Placed, expires_ms: int) -> str:
    """A ticket for this band, good until `expires_ms`."""
    payload = msgspec.json.encode((placed.band, placed.next_band_ms, expires_ms))
    return f"{_text(payload)}.{_text(_mac(key, payload))}"


def redeem(key: bytes, ticket: str, now: int) -> Placed | None:
    """The band of a genuine ticket that has not expired; None for anything else."""
    payload, _, mac = ticket[: MAX_TICKET + 1].partition(".")
    try:
        signed, claimed = _bytes(payload), _bytes(mac)
    except (ValueError, binascii.Error):
        return None
    if len(ticket) > MAX_TICKET or not hmac.compare_digest(_mac(key, signed), claimed):
        return None
    band, next_band_ms, expires_ms = msgspec.json.decode(signed, type=tuple[Band, int | None, int])
    return Placed(band, next_band_ms) if now < expires_ms else None


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + payload, hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _text(raw) != text:  # base64 leaves spare bits in its last character
        raise ValueError("not the one spelling of these bytes")
    return raw
