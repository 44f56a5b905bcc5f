"""Waking a device through its browser's push service: what it may ask for, and what the wake-up is.

A wake-up (RFC 8030, encrypted as in RFC 8291) has a fixed size and says nothing: no sender, room, count or text. What
the push service learns is that this device got something from this server at about this time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from kith.ledger.decision import ALLOW, Decision, refuse

SERVICES: Final = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "web.push.apple.com",
    "*.notify.windows.com",
)
"""The push services of Chrome, Firefox, Safari and Edge. A server calls no address that a person could choose."""
PAYLOAD: Final = bytes(64)
"""What a wake-up carries, always: nothing. Encrypted it is 167 bytes."""
MAX_ENDPOINT: Final = 1024
POINT: Final = 65
"""Bytes of an uncompressed point of P-256."""
AUTH: Final = 16
"""Bytes of a subscription's secret (RFC 8291, section 3.2)."""


class Subscription(NamedTuple):
    """Where and how a device is woken, and by which rooms it is not."""

    device: str
    account: str
    endpoint: str
    p256dh: bytes
    auth: bytes
    quiet: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Without the address, which is as good as a name."""
        return f"Subscription({self.device})"


def may_subscribe(endpoint: str, p256dh: bytes, auth: bytes, services: Sequence[str] = SERVICES) -> Decision:
    """Whether this is a push service that the operator lets the server call, with keys that can be used."""
    if not services:
        return refuse("push-service", "This server wakes no devices.")
    if not is_served(endpoint, services):
        return refuse("push-service", "This server does not know your browser's push service.")
    if len(auth) != AUTH or not _is_point(p256dh):
        return refuse("push-keys", "These push keys cannot be used. Turn notifications off and on again.")
    return ALLOW


def is_served(endpoint: str, services: Sequence[str]) -> bool:
    """Whether an address belongs to one of these services: hosts, `*.` before one for all below it, or an origin."""
    if len(endpoint) > MAX_ENDPOINT or not endpoint.isascii() or not endpoint.isprintable():
        return False
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError:
        return False
    if url.username is not None or url.password is not None or url.hostname is None:
        return False
    if f"{url.scheme}://{url.netloc}" in services:  # named whole by the operator, for a service of their own
        return True
    if url.scheme != "https" or port not in (None, 443):
        return False
    return any(_covers(service, url.hostname) for service in services)


def _covers(service: str, host: str) -> bool:
    return host.endswith(service[1:]) if service.startswith("*.") else host == service


def _is_point(key: bytes) -> bool:
    if len(key) != POINT:
        return False
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), key)
    except ValueError:
        return False
    return True


def wakes(subscription: Subscription, room: str, by: str, *, hushed: bool) -> bool:
    """Whether a message wakes this device: not one's own, none of a muted room, and none by who is `hushed` for her."""
    return by != subscription.account and room not in subscription.quiet and not hushed
