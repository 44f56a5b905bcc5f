"""What this room does when devices or ages change elsewhere, read from the ledger with a cursor of its own."""

from __future__ import annotations

from kith.ledger.database import Reader, Tx
from kith.ledger.events import BandChanged, DeviceRegistered, DeviceRemoved, IdentitySet, RequestExpired
from kith.ledger.log import Recorded
from kith.messaging import store
from kith.messaging.flows.delivery import post
from kith.messaging.flows.requests import answering
from kith.people import connections, devices
from kith.protocol.frames import ROSTER

READER = "messaging"


def react(tx: Tx, recorded: Recorded) -> None:
    """Deal with one event."""
    match recorded.event:
        case DeviceRegistered(account=account):
            _tell(tx, account)
        case DeviceRemoved(account=account, device=device):
            _clear(tx, device)
            _tell(tx, account)
        case IdentitySet(account=account, reset=True):
            # Key packages of the old identity would only make commits that nobody may accept.
            tx.run(store.PACKAGES_OF_ACCOUNT_GONE, whose=account)
            _tell(tx, account)
        case BandChanged(account=account):
            _ask_again(tx, account)
        case _:
            pass


def _tell(tx: Tx, account: str) -> None:
    """ROSTER mail to the account's own devices and those of everybody it is connected with in a room.

    A waiting one is replaced, so that it comes after this change also for a device that was just sent the old one.
    """
    for device in sorted(_audience(tx, account)):
        tx.run(store.ROSTER_GONE, whose=device, whom=account)
        post(tx, device, ROSTER, None, 0, about=account)


def _audience(reader: Reader, account: str) -> set[str]:
    people = {account}
    for room in reader.all(store.ROOMS_WITH, who=account):
        other = room.other if room.one == account else room.one
        if connections.connected(reader, account, other):
            people.add(other)
    return {row.device for person in people for row in devices.registered(reader, person)}


def _clear(tx: Tx, device: str) -> None:
    """A device that was signed out gets nothing any more, and what waited for it alone is forgotten."""
    for row in tx.all(store.WAITING_PLACES, whose=device):
        tx.run(store.MAIL_GONE, which=row.mail)
        if row.kind != ROSTER:
            tx.run(store.BODY_GONE, id=row.room, pos=row.room_pos, what=row.kind)
    tx.run(store.PACKAGES_OF_DEVICE_GONE, whose=device)
    tx.run(store.ANSWERS_GONE, whose=device)


def _ask_again(tx: Tx, account: str) -> None:
    """An age changed: open requests that would not be allowed now close silently."""
    for row in tx.all(store.OPEN_WITH, who=account):
        if not answering(tx, row)[0].allowed:
            tx.append(RequestExpired(request=row.request, requester=row.requester, target=row.target))
