"""What people do with their accounts: load facts, decide, append. Each runs in one transaction.

Hashing, signature checks and parsing were done before; a refusal is a value.
"""

from __future__ import annotations

import hmac
from typing import Literal, TypeVar
from uuid import uuid4

import msgspec

from kith.ledger.database import Reader, Tx
from kith.ledger.events import (
    AccountCreated,
    BandChanged,
    ControlsChanged,
    DeviceListSigned,
    DeviceRegistered,
    DeviceSignedIn,
    IdentitySet,
    TermsAccepted,
)
from kith.ledger.signals import Changed
from kith.people import ages, device_lists, devices, facts, handles, key_log, sessions, store
from kith.people.ages import Placed
from kith.people.device_lists import CertifiedDevice, SignedList
from kith.people.limits import DEFAULT, Limits
from kith.people.projections import LOWERED

T = TypeVar("T")
Way = Literal["sign-up", "sign-in", "recovery"]


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A device that signs in: its secrets, its name, and from where it comes."""

    token: str
    share: bytes
    name: str
    address: str
    agent: str

    def __repr__(self) -> str:
        """The secrets stay out of every log."""
        return "Arrival(…)"


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in now."""

    account: str
    device: str


def handle_taken(reader: Reader, handle: str) -> bool:
    """Whether this handle, or one that looks like it, belongs to somebody or speaks for the service."""
    looks = handles.skeleton(handle)
    return handles.reserved(handle) or reader.one(store.HANDLE_TAKEN, typed=handle, looks=looks) is not None


def sign_up(
    tx: Tx,
    placed: Placed,
    *,
    handle: str,
    display_name: str,
    password_hash: str,
    terms_version: str,
    arrival: Arrival,
    limits: Limits = DEFAULT,
) -> SignedIn | None:
    """Make an account and sign its first device in; None when the handle cannot be had."""
    if handle_taken(tx, handle):
        return None
    account = str(uuid4())
    tx.append(AccountCreated(account=account, band=placed.band, next_band_ms=placed.next_band_ms))
    tx.append(TermsAccepted(account=account, version=terms_version))
    looks = handles.skeleton(handle)
    tx.put(store.profiles, account=account, handle=handle, skeleton=looks, display_name=display_name)
    tx.put(store.passwords, account=account, hash=password_hash, changed_ms=tx.now)
    return _admit(tx, account, arrival, "sign-up", limits)


def sign_in(
    tx: Tx, account: str, *, verified_hash: str, arrival: Arrival, limits: Limits = DEFAULT, new_hash: str | None = None
) -> SignedIn | None:
    """Sign a device in whose password was verified; None when the password changed meanwhile."""
    if tx.value(store.PASSWORD, id=account) != verified_hash:
        return None
    if new_hash is not None:
        tx.run(store.PASSWORD_SET, id=account, new=new_hash, now=tx.now)
    return _admit(tx, account, arrival, "sign-in", limits)


def recover(
    tx: Tx,
    account: str,
    *,
    auth_hash: bytes,
    new_hash: str,
    arrival: Arrival,
    sign_out_others: bool = True,
    limits: Limits = DEFAULT,
) -> SignedIn | None:
    """Set a new password with the recovery code and sign in; None when the code is not this account's.

    Whoever recovers may be recovering from a thief: unless told otherwise, every other device is signed out.
    """
    row = tx.one(store.RECOVERY, id=account)
    if row is None or not hmac.compare_digest(row.auth_hash, auth_hash):
        return None
    tx.run(store.PASSWORD_SET, id=account, new=new_hash, now=tx.now)
    if sign_out_others:
        _sign_out(tx, account, but=None)
    return _admit(tx, account, arrival, "recovery", limits)


def _admit(tx: Tx, account: str, arrival: Arrival, way: Way, limits: Limits) -> SignedIn:
    _make_room(tx, account, limits.devices)
    device = str(uuid4())
    tx.append(DeviceSignedIn(account=account, device=device))
    sessions.begin(tx, account, device, token=arrival.token, share=arrival.share, name=arrival.name)
    tx.put(store.sign_ins, account=account, at_ms=tx.now, way=way, address=arrival.address, agent=arrival.agent)
    return SignedIn(account=account, device=device)


def _make_room(tx: Tx, account: str, most: int) -> None:
    """Sign out the device longest unseen: refusing would lock out whoever lost her devices."""
    live = sorted(tx.all(store.DEVICES_OF, whose=account), key=lambda row: (row.seen_ms, row.created_ms))
    for row in live[: max(0, len(live) - most + 1)]:
        sessions.destroy(tx, account, row.device)


def remove_device(tx: Tx, account: str, device: str) -> bool:
    """Sign a device of this account out, here or elsewhere; False when it is not one of its live devices."""
    if devices.device_owner(tx, device) != account:
        return False
    sessions.destroy(tx, account, device)
    return True


def change_password(tx: Tx, account: str, *, verified_hash: str, new_hash: str, only: str | None = None) -> bool:
    """Set a new password; False when the old one changed meanwhile. `only` = the one device that stays signed in."""
    if tx.value(store.PASSWORD, id=account) != verified_hash:
        return False
    tx.run(store.PASSWORD_SET, id=account, new=new_hash, now=tx.now)
    if only is not None:
        _sign_out(tx, account, but=only)
    return True


def _sign_out(tx: Tx, account: str, *, but: str | None) -> None:
    for row in tx.all(store.DEVICES_OF, whose=account):
        if row.device != but:
            sessions.destroy(tx, account, row.device)


def set_identity(tx: Tx, account: str, *, aik: bytes, sealed_aik: bytes, auth_hash: bytes, reset: bool) -> bool:
    """Store the identity key, once; with `reset`, replace it, and no device counts as registered any more.

    False when there is one already and no reset was asked for.
    """
    present = tx.one(store.IDENTITY, id=account)
    if present is not None and not reset:
        return False
    tx.run(store.RECOVERY_FORGET, id=account)
    tx.put(store.recovery, account=account, sealed_aik=sealed_aik, auth_hash=auth_hash)
    if present is None:
        tx.put(store.identities, account=account, aik=aik, list_version=0)
    else:
        tx.run(store.KEYS_END, whose=account)
        tx.run(store.IDENTITY_REPLACE, id=account, new_aik=aik)
    tx.append(IdentitySet(account=account, reset=present is not None))
    key_log.commit(tx, account, aik, None, None)
    return True


def register_device(tx: Tx, account: str, certified: CertifiedDevice) -> str | None:
    """Store a certified device and the list that names it; a sentence when it does not fit what is stored."""
    if devices.device_owner(tx, certified.device) != account:
        return "This device was signed out."
    row = devices.DeviceRow(certified.device, certified.mls_key, certified.added_ms, certified.certificate)
    others = [live for live in devices.registered(tx, account) if live.device != row.device]
    before = devices.registered_device(tx, row.device)
    if before is not None and before[1].mls_key != row.mls_key:
        return "This device has another key already. Sign out and in again to make a new one."
    wrong = _sign_list(tx, account, certified.listed, [*others, row])
    if wrong is not None:
        return wrong
    tx.run(store.KEY_END, id=row.device)
    tx.put(store.device_keys, account=account, **row._asdict())
    if before is None:
        tx.append(DeviceRegistered(account=account, device=row.device))
    return None


def sign_list(tx: Tx, account: str, listed: SignedList) -> str | None:
    """Store a new device list; a sentence when it does not fit what is stored."""
    return _sign_list(tx, account, listed, devices.registered(tx, account))


def _sign_list(tx: Tx, account: str, listed: SignedList, live: list[devices.DeviceRow]) -> str | None:
    identity = devices.identity(tx, account)
    version = devices.list_version(tx, account)
    wrong = device_lists.agrees(listed, aik=identity and identity.aik, version=version, live=live)
    if wrong is not None:
        return wrong
    tx.run(store.LIST_REPLACE, id=account, version=listed.version, encoded=listed.encoded, signed=listed.signature)
    tx.append(DeviceListSigned(account=account, version=listed.version))
    key_log.commit(tx, account, listed.aik, listed.encoded, listed.signature)
    return None


def set_controls(
    tx: Tx,
    account: str,
    requests: Literal["everyone", "nobody"] | None = None,
    *,
    read_receipts: bool | None = None,
    typing: bool | None = None,
) -> None:
    """Choose who may send requests (within her protections), and what others see; None leaves a choice as it is."""
    row = tx.one(store.ACCOUNT, id=account)
    if row is None:
        return
    now = facts.controls(row)
    changed = ControlsChanged(
        account=account,
        requests=_other_than(now.requests, requests),
        read_receipts=_other_than(now.read_receipts, read_receipts),
        typing=_other_than(now.typing, typing),
    )
    if changed != ControlsChanged(account=account):
        tx.append(changed)
        tx.publish(Changed(account, "standing"))


def _other_than(now: T, wanted: T | None) -> T | None:
    return None if wanted == now else wanted


def set_display_name(tx: Tx, account: str, name: str) -> None:
    """Choose another display name."""
    tx.run(store.RENAME, id=account, name=name)


def correct_band(tx: Tx, account: str, placed: Placed, *, reviewed: bool) -> bool:
    """Correct an age band after somebody looked, or at a person's word; False when there is no such person.

    Without review only downwards: protections come at once, but no door to minors opens. Upwards needs review.
    """
    row = tx.one(store.ACCOUNT, id=account)
    if row is None or not (reviewed or ages.is_lower(placed.band, row.band)):
        return False
    tx.append(
        BandChanged(
            account=account,
            band=placed.band,
            next_band_ms=placed.next_band_ms,
            because="reviewed" if reviewed else LOWERED,
        )
    )
    tx.publish(Changed(account, "standing"))
    return True


def advance_bands(tx: Tx, most: int = 200) -> int:
    """Move everybody on whose next band has begun; returns how many were moved.

    On turning 18 the doors stay closed until she opens them (minors' rule 5): requests go to nobody.
    """
    due = tx.all(store.BANDS_DUE, now=tx.now, most=most)
    for row in due:
        placed = ages.moved_on(row.band, row.band_ends_ms)
        tx.append(
            BandChanged(
                account=row.account,
                band=placed.band,
                next_band_ms=placed.next_band_ms,
                because="month" if row.band_confirmed else LOWERED,
            )
        )
        if placed.band == "18+" and row.requests == "everyone":
            tx.append(ControlsChanged(account=row.account, requests="nobody"))
        tx.publish(Changed(row.account, "standing"))
    return len(due)
