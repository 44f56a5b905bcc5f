"""An account's devices and the keys by which others verify them."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader
from kith.people import store


class DeviceRow(NamedTuple):
    """A registered device: its public MLS signature key and the account key's certificate on it."""

    device: str
    mls_key: bytes
    added_ms: int
    certificate: bytes


class Identity(NamedTuple):
    """An account's public identity key, and its newest device list as signed (None before the first)."""

    aik: bytes
    device_list: bytes | None
    signature: bytes | None


def registered(reader: Reader, account: str) -> list[DeviceRow]:
    """The live devices of an account that have a certified key, oldest first."""
    return [DeviceRow(r.device, r.mls_key, r.added_ms, r.certificate) for r in reader.all(store.KEYS_OF, whose=account)]


def registered_device(reader: Reader, device: str) -> tuple[str, DeviceRow] | None:
    """`(account, row)` of one registered device, or None."""
    r = reader.one(store.KEY_OF, id=device)
    return None if r is None else (r.account, DeviceRow(r.device, r.mls_key, r.added_ms, r.certificate))


def identity(reader: Reader, account: str) -> Identity | None:
    """The account's identity key and device list; None before it has one."""
    row = reader.one(store.IDENTITY, id=account)
    return None if row is None else Identity(row.aik, row.device_list, row.signature)


def list_version(reader: Reader, account: str) -> int:
    """The version of the newest device list; 0 before the first."""
    row = reader.one(store.IDENTITY, id=account)
    return 0 if row is None else int(row.list_version)


def device_owner(reader: Reader, device: str) -> str | None:
    """Whose live device this is; None when it is nobody's or was signed out."""
    owner: str | None = reader.value(store.DEVICE_OWNER, id=device)
    return owner
