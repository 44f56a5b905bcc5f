"""Whether a device's certificate and an account's device list are what the account's key says. Pure.

Signatures are verified before the flow, against the identity key read then; inside the flow the list is
held against what is stored (`agrees`), so that two devices cannot overwrite each other's list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from kith.ledger.limits import DAY
from kith.people.devices import DeviceRow
from kith.protocol.identity import DeviceList, verify_certificate, verify_device_list
from kith.protocol.uris import account_uri, device_uri
from kith.protocol.wire import Malformed

CLOCK_SLACK_MS = DAY
"""How far a device's clock may be ahead."""


class SignedList(msgspec.Struct, frozen=True, kw_only=True):
    """A device list whose signature by `aik` was verified. `entries`: device id to (key, added_ms)."""

    aik: bytes
    version: int
    entries: Mapping[str, tuple[bytes, int]]
    encoded: bytes
    signature: bytes


class CertifiedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device whose certificate was verified, and the list that names it."""

    device: str
    mls_key: bytes
    added_ms: int
    certificate: bytes
    listed: SignedList


def verify_list(
    server: str, account: str, aik: bytes, encoded: bytes, signature: bytes, *, now: int
) -> SignedList | str:
    """The list, if this account's key signed exactly these bytes; otherwise a sentence saying what is wrong."""
    if not verify_device_list(aik, encoded, signature):
        return "The device list is not signed by this account's identity key."
    try:
        devices = DeviceList.decode(encoded)
    except Malformed as wrong:
        return f"The device list cannot be read: {wrong}."
    if devices.account_uri != account_uri(server, account):
        return "The device list names another account."
    if devices.signed_ms > now + CLOCK_SLACK_MS:
        return "This device's clock is more than a day ahead. Set the clock and try again."
    prefix = device_uri(server, account).removesuffix(account)
    return SignedList(
        aik=aik,
        version=devices.version,
        entries={entry.device_uri.removeprefix(prefix): (entry.mls_key, entry.added_ms) for entry in devices.entries},
        encoded=encoded,
        signature=signature,
    )


def verify_device(
    server: str, account: str, device: str, listed: SignedList, *, mls_key: bytes, added_ms: int, certificate: bytes
) -> CertifiedDevice | str:
    """The device, if the account's key certified it and the list names it; otherwise a sentence."""
    names = account_uri(server, account), device_uri(server, device)
    if not verify_certificate(listed.aik, *names, mls_key, added_ms, certificate):
        return "The certificate is not this account's word on this device and key."
    if listed.entries.get(device) != (mls_key, added_ms):
        return "The device list does not name this device with this key."
    return CertifiedDevice(device=device, mls_key=mls_key, added_ms=added_ms, certificate=certificate, listed=listed)


def agrees(listed: SignedList, *, aik: bytes | None, version: int, live: Sequence[DeviceRow]) -> str | None:
    """Why a verified list does not follow what is stored; None when it does.

    It must come from the present identity key, be the next version, and name exactly the live registered devices.
    """
    if aik != listed.aik:
        return "The identity key has changed. Fetch it again."
    if listed.version != version + 1:
        return f"The device list must have version {version + 1}."
    if dict(listed.entries) != {row.device: (row.mls_key, row.added_ms) for row in live}:
        return "The device list must name exactly the registered devices of this account that are signed in."
    return None
