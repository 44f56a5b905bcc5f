"""Projectors: the only writers of this room's projections, live and on replay."""

from __future__ import annotations

from kith.ledger.database import Projectors, Tx
from kith.ledger.events import (
    AccountCreated,
    AppealDecided,
    AppealFiled,
    BandChanged,
    Blocked,
    ConnectionEnded,
    ConnectionGranted,
    ControlsChanged,
    DeviceRegistered,
    DeviceRemoved,
    DeviceSignedIn,
    Hushed,
    IdentitySet,
    KeyLogIdle,
    KeysLogged,
    MeasureImposed,
    MeasureReversed,
    RoomCreated,
    TermsAccepted,
    Unblocked,
    Unhushed,
)
from kith.people import key_log, store
from kith.people.connections import pair

LOWERED = "lowered"
"""`BandChanged.because` of a correction towards a lower age that nobody has reviewed."""


def _account(tx: Tx, event: AccountCreated) -> None:
    seen_by_others = int(event.band == "18+")  # minors' rule 13, and 4 for an unknown age
    tx.put(
        store.accounts,
        account=event.account,
        band=event.band,
        band_ends_ms=event.next_band_ms,
        band_confirmed=1,
        created_ms=tx.now,
        requests="everyone",
        read_receipts=seen_by_others,
        typing=seen_by_others,
        terms_version="",
        has_identity=0,
    )


def _terms(tx: Tx, event: TermsAccepted) -> None:
    tx.run(store.ACCOUNT_TERMS, id=event.account, version=event.version)


def _band(tx: Tx, event: BandChanged) -> None:
    tx.run(
        store.ACCOUNT_BAND,
        id=event.account,
        new_band=event.band,
        new_ends=event.next_band_ms,
        confirmed=int(event.because != LOWERED),
    )


def _controls(tx: Tx, event: ControlsChanged) -> None:
    row = tx.one(store.ACCOUNT, id=event.account)
    if row is None:
        return
    tx.run(
        store.ACCOUNT_CONTROLS,
        id=event.account,
        who=row.requests if event.requests is None else event.requests,
        receipts=row.read_receipts if event.read_receipts is None else int(event.read_receipts),
        writing=row.typing if event.typing is None else int(event.typing),
    )


def _identity(tx: Tx, event: IdentitySet) -> None:
    tx.run(store.ACCOUNT_IDENTITY, id=event.account)
    if event.reset:  # the old key's certificates are worth nothing now
        tx.run(store.DEVICES_UNREGISTERED, whose=event.account)


def _keys_logged(tx: Tx, event: KeysLogged) -> None:
    key_log.project_version(tx, event.account, bytes.fromhex(event.commitment))


def _log_idle(tx: Tx, _event: KeyLogIdle) -> None:
    key_log.project_idle(tx)


def _signed_in(tx: Tx, event: DeviceSignedIn) -> None:
    tx.put(store.devices, device=event.device, account=event.account, created_ms=tx.now)


def _registered(tx: Tx, event: DeviceRegistered) -> None:
    tx.run(store.DEVICE_REGISTERED, id=event.device, at=tx.now)


def _removed(tx: Tx, event: DeviceRemoved) -> None:
    tx.run(store.DEVICE_REMOVED, id=event.device, at=tx.now)


def _granted(tx: Tx, event: ConnectionGranted) -> None:
    one, other = pair(event.one, event.other)
    if tx.one(store.CONNECTION, a=one, b=other) is None:
        tx.put(store.connections, one=one, other=other, since_ms=tx.now)
    else:
        tx.run(store.CONNECTION_AGAIN, a=one, b=other, at=tx.now)


def _ended(tx: Tx, event: ConnectionEnded) -> None:
    one, other = pair(event.one, event.other)
    tx.run(store.CONNECTION_ENDED, a=one, b=other, at=tx.now)


def _room(tx: Tx, event: RoomCreated) -> None:
    one, other = pair(event.one, event.other)
    tx.run(store.CONNECTION_ROOM, a=one, b=other, new_room=event.room)


def _blocked(tx: Tx, event: Blocked) -> None:
    tx.put(store.blocks, by=event.by, account=event.account, since_ms=tx.now)


def _unblocked(tx: Tx, event: Unblocked) -> None:
    tx.run(store.UNBLOCK, who=event.by, whom=event.account)


def _hushed(tx: Tx, event: Hushed) -> None:
    tx.put(store.hushes, by=event.by, account=event.account, since_ms=tx.now)


def _unhushed(tx: Tx, event: Unhushed) -> None:
    tx.run(store.UNHUSH, who=event.by, whom=event.account)


def _imposed(tx: Tx, event: MeasureImposed) -> None:
    tx.put(
        store.measures,
        measure=event.measure,
        account=event.account,
        what=event.what,
        rule=event.rule,
        because=event.because,
        source=event.source,
        decision=event.decision,
        since_ms=tx.now,
        until_ms=event.until_ms,
        most=event.limit,
    )


def _reversed(tx: Tx, event: MeasureReversed) -> None:
    tx.run(store.MEASURE_REVERSED, id=event.measure, at=tx.now, why=event.because)


def _appealed(tx: Tx, event: AppealFiled) -> None:
    tx.run(store.MEASURE_APPEAL, id=event.measure, new_appeal=event.appeal, state="open")


def _appeal_decided(tx: Tx, event: AppealDecided) -> None:
    tx.run(store.MEASURE_APPEAL, id=event.measure, new_appeal=event.appeal, state=event.outcome)


PROJECTORS: Projectors = {
    AccountCreated: (_account,),
    TermsAccepted: (_terms,),
    BandChanged: (_band,),
    ControlsChanged: (_controls,),
    IdentitySet: (_identity,),
    KeysLogged: (_keys_logged,),
    KeyLogIdle: (_log_idle,),
    DeviceSignedIn: (_signed_in,),
    DeviceRegistered: (_registered,),
    DeviceRemoved: (_removed,),
    ConnectionGranted: (_granted,),
    ConnectionEnded: (_ended,),
    RoomCreated: (_room,),
    Blocked: (_blocked,),
    Unblocked: (_unblocked,),
    Hushed: (_hushed,),
    Unhushed: (_unhushed,),
    MeasureImposed: (_imposed,),
    MeasureReversed: (_reversed,),
    AppealFiled: (_appealed,),
    AppealDecided: (_appeal_decided,),
}
