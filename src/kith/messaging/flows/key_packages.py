"""Key packages: stored by their device, issued once, and only within a room whose connection stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kith.ledger.database import Reader, Tx
from kith.ledger.limits import DAY, HOUR, SECOND
from kith.messaging import store
from kith.messaging.flows.writing import OfRoom, Place, Sender, devices_of, may_write_here, newcomers
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import Refusal
from kith.people import devices
from kith.protocol.identity import Identity
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.uris import account_uri, device_uri
from kith.protocol.wire import Malformed


class Offered(NamedTuple):
    """A key package that was read and verified before the flow."""

    ref: bytes
    package: bytes
    mls_key: bytes
    not_after_ms: int


class Issued(NamedTuple):
    """A key package for one device of the room."""

    device: str
    account: str
    ref: bytes
    package: bytes


class Claim(NamedTuple):
    """What a claim got, and the devices that have nothing to give (or are no devices of this room)."""

    packages: list[Issued]
    missing: list[str]


class Available(NamedTuple):
    """What a device still has in store."""

    available: int
    last_resort: bool


def read_offer(package: bytes, *, server: str, account: str, device: str, now_ms: int) -> Offered:
    """Read and verify a key package of this device; Malformed with a sentence when it is not one.

    Runs before the flow: it costs two signatures.
    """
    offered = parse_key_package(package)
    offered.verify(now_ms // SECOND)
    if Identity.decode(offered.identity) != Identity(account_uri(server, account), device_uri(server, device)):
        raise Malformed("a key package names another device than this one")
    lifetime = offered.leaf.lifetime
    not_after = 0 if lifetime is None else lifetime.not_after
    return Offered(offered.ref, package, offered.signature_key, not_after * SECOND)


def store_packages(
    tx: Tx,
    sender: Sender,
    packages: Sequence[Offered],
    last_resort: Offered | None,
    limits: Limits = DEFAULTS,
) -> Available | Refusal:
    """Keep a device's key packages; all or none."""
    account, device = sender
    known = devices.registered_device(tx, device)
    if known is None or known[0] != account:
        return Refusal("invalid", "Register this device first; only then can it offer key packages.")
    certified = known[1].mls_key
    offers = [*packages, *([] if last_resort is None else [last_resort])]
    if any(offer.mls_key != certified for offer in offers):
        return Refusal("invalid", "A key package carries another key than the certified one of this device.")
    if len({offer.ref for offer in offers}) != len(offers) or any(
        tx.one(store.PACKAGE, which=offer.ref) is not None for offer in offers
    ):
        return Refusal("invalid", "A key package was uploaded before; make fresh ones.")
    stored = available(tx, device).available
    if stored + len(packages) > limits.key_packages_stored:
        return too_many(stored, limits)
    if last_resort is not None:
        tx.run(store.LAST_RESORT_GONE, whose=device)
    for offer in offers:
        tx.put(
            store.key_packages,
            ref=offer.ref,
            device=device,
            account=account,
            mls_key=offer.mls_key,
            package=offer.package,
            last_resort=int(offer is last_resort),
            not_after_ms=offer.not_after_ms,
        )
    return available(tx, device)


def too_many(stored: int, limits: Limits) -> Refusal:
    """More key packages than are kept."""
    most = limits.key_packages_stored
    return Refusal("invalid", f"At most {most} key packages are kept and {stored} are here; send fewer.")


def available(reader: Reader, device: str) -> Available:
    """How many key packages of its certified key a device has left."""
    known = devices.registered_device(reader, device)
    if known is None:
        return Available(0, last_resort=False)
    facts = {"whose": device, "certified": known[1].mls_key, "now": reader.now}
    return Available(int(reader.value(store.STORED, **facts)), reader.one(store.LAST_RESORT, **facts) is not None)


def claim(tx: Tx, sender: Sender, room: str, wanted: Sequence[str], limits: Limits = DEFAULTS) -> Claim | Refusal:
    """One key package for each wanted device of the room's accounts, bound to this room and this device.

    Consent is the connection, or the own yes that put an account on a group's roster: it is looked at in this
    transaction, with blocks and standing. Who may not bring people in gets nothing of who was never in the group.
    """
    account, device = sender
    place = may_write_here(tx, account, room, handshake=True)
    if isinstance(place, Refusal):
        return place
    known = devices.registered_device(tx, device)
    if known is None or known[0] != account:
        return Refusal("invalid", "Register this device first.")
    claimed = int(tx.value(store.CLAIMED_BY, who=account, since=tx.now - DAY))
    if claimed + len(wanted) > limits.claims_per_requester:
        return Refusal("limited", "This account fetched very many key packages today. Try again later.", None, HOUR)
    closed = newcomers(tx, place)
    of_room = {one: row for one, row in devices_of(tx, place).items() if row.account not in closed}
    found: list[Issued] = []
    missing: list[str] = []
    for target in dict.fromkeys(wanted):
        row = of_room.get(target) if target != device else None
        issued = None if row is None else _issue(tx, place, device, row, limits=limits)
        if issued is None:
            missing.append(target)
        else:
            found.append(issued)
    return Claim(found, missing)


def obtainable(reader: Reader, account: str, device: str, mls_key: bytes, limits: Limits = DEFAULTS) -> bool:
    """Whether a claim by this account would get a key package for that device now."""
    since = reader.now - DAY
    if int(reader.value(store.CLAIMED_BY, who=account, since=since)) >= limits.claims_per_requester:
        return False
    if int(reader.value(store.CLAIMED_OF, whose=device, who=account, since=since)) >= limits.claims_per_target:
        return False
    facts = {"whose": device, "certified": mls_key, "now": reader.now}
    return reader.one(store.NEXT_PACKAGE, **facts) is not None or reader.one(store.LAST_RESORT, **facts) is not None


def _issue(tx: Tx, place: Place, by: str, target: OfRoom, *, limits: Limits) -> Issued | None:
    since = tx.now - DAY
    if int(tx.value(store.CLAIMED_OF, whose=target.device, who=place.account, since=since)) >= limits.claims_per_target:
        return None
    facts = {"whose": target.device, "certified": target.mls_key, "now": tx.now}
    package = tx.one(store.NEXT_PACKAGE, **facts)
    if package is not None:
        tx.run(store.ISSUED, which=package.ref, at=tx.now)
    else:
        package = tx.one(store.LAST_RESORT, **facts)
    if package is None:
        return None
    tx.put(
        store.grants,
        ref=package.ref,
        room=place.room,
        requester=place.account,
        requester_device=by,
        account=target.account,
        device=target.device,
        at_ms=tx.now,
        until_ms=min(tx.now + limits.grant_life_ms, package.not_after_ms),
        used=0,
    )
    return Issued(target.device, target.account, package.ref, package.package)
