"""Whose key packages are asked for, and which of those that come are used. Pure."""

from typing import Final, TypeAlias

from kith.protocol import uris
from kith.protocol.identity import Identity
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.wire import Malformed

Devices: TypeAlias = dict[str, tuple[str, bytes]]
"""Account and listed key by device URI."""
CLAIMED_AT_ONCE: Final = 60
"""Devices that one commit adds; the next ones come with the next commit."""


def some_of(devices: Devices) -> Devices:
    """As many of these as one commit adds, with nobody's devices torn apart."""
    taken: Devices = {}
    by_account: dict[str, list[str]] = {}
    for device, (account, _) in sorted(devices.items()):
        by_account.setdefault(account, []).append(device)
    for owned in by_account.values():
        if taken and len(taken) + len(owned) > CLAIMED_AT_ONCE:
            break
        taken.update((device, devices[device]) for device in owned)
    return taken


def fits(package: bytes, devices: Devices) -> bool:
    """Whether a key package is of one of these devices, with exactly the key that its account lists."""
    try:
        parsed = parse_key_package(package)
        who = Identity.decode(parsed.identity)
    except Malformed:
        return False
    listed = devices.get(who.device_uri)
    return listed is not None and listed == (uris.parse_uri(who.account_uri)[2], parsed.signature_key)
