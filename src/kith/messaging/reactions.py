"""What this room does when devices or ages change elsewhere, read from the ledger with a cursor of its own."""

from __future__ import annotations

from kith.ledger.database import Reader, Tx
from kith.ledger.events import (
    BandChanged,
    DeviceRegistered,
    DeviceRemoved,
    GroupDescribed,
    GroupEntered,
    GroupLeft,
    GroupPhotoChanged,
    GroupRoleChanged,
    GroupRulesChanged,
    IdentitySet,
    RequestExpired,
)
from kith.ledger.log import Recorded
from kith.messaging import store
from kith.messaging.flows import pushing, roster
from kith.messaging.flows.delivery import post, room_mark
from kith.messaging.flows.requests import answering
from kith.people import connections, devices, facts
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
            person = facts.load(tx, account)
            roster.ages_changed(tx, account, protected=person is None or person.minor_as_target)
        case GroupEntered(room=room) | GroupDescribed(room=room) | GroupRulesChanged(room=room):
            _announce(tx, room)
        case GroupPhotoChanged(room=room):
            _announce(tx, room)
        case GroupLeft(room=room, account=account) | GroupRoleChanged(room=room, account=account):
            _announce(tx, room, account)
        case _:
            pass


def _tell(tx: Tx, account: str) -> None:
    """ROSTER mail to the account's own devices and those of everybody it shares a room or group with.

    A waiting one is replaced, so that it comes after this change also for a device that was just sent the old one.
    """
    for device in sorted(_audience(tx, account)):
        tx.run(store.ROSTER_GONE, whose=device, whom=account)
        post(tx, device, ROSTER, None, 0, about=account)


def _announce(tx: Tx, room: str, about: str | None = None) -> None:
    """ROSTER mail to everybody in a group, and to whom it is about when she is not in it any more."""
    there = {row.device for row in tx.all(store.DEVICES_INSIDE, id=room)}
    own = set() if about is None else {row.device for row in devices.registered(tx, about)}
    mark = room_mark(room)
    for device in sorted(there | own):
        tx.run(store.ROSTER_GONE, whose=device, whom=mark)
        post(tx, device, ROSTER, None, 0, about=mark)


def _audience(reader: Reader, account: str) -> set[str]:
    people = {account}
    for room in reader.all(store.ROOMS_WITH, who=account):
        other = room.other if room.one == account else room.one
        if connections.connected(reader, account, other):
            people.add(other)
    people |= {row.account for row in reader.all(store.FELLOWS, who=account)}
    return {row.device for person in people for row in devices.registered(reader, person)}


def _clear(tx: Tx, device: str) -> None:
    """A device that was signed out gets nothing any more, and what waited for it alone is forgotten."""
    for row in tx.all(store.WAITING_PLACES, whose=device):
        tx.run(store.MAIL_GONE, whose=device, which=row.mail)
        if row.kind != ROSTER:
            tx.run(store.BODY_GONE, id=row.room, pos=row.room_pos, what=row.kind)
    tx.run(store.PACKAGES_OF_DEVICE_GONE, whose=device)
    tx.run(store.ANSWERS_GONE, whose=device)
    pushing.unsubscribe(tx, device)


def _ask_again(tx: Tx, account: str) -> None:
    """An age changed: open requests that would not be allowed now close silently."""
    for row in tx.all(store.OPEN_WITH, who=account):
        if not answering(tx, row)[0].allowed:
            tx.append(RequestExpired(request=row.request, requester=row.requester, target=row.target))
