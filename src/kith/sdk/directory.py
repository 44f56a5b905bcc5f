"""Whose keys are whose: verified and pinned before anything is believed.

Pure apart from the store. What is not known here raises `Missing` with what to fetch; the answer comes back through
`learn_…`, which verifies and pins it. The account identity key is pinned at first sight; its device lists may only
grow in version; every listed device has a certificate; the server's signing keys are pinned as a chain.
"""

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from msgspec import structs

from kith.protocol import identity
from kith.protocol.identity import BadManifest, DeviceList, Identity, Manifest, SignedEntry
from kith.protocol.transparency import key_value
from kith.protocol.uris import account_uri, device_uri, parse_uri
from kith.protocol.wire import Malformed
from kith.sdk import answers
from kith.sdk.errors import Unverified
from kith.sdk.records import Pin, PinnedManifest, Roster, VerifiedPerson
from kith.sdk.vault import Vault

Standing: TypeAlias = Literal["listed", "unlisted", "refused"]
"""listed: certified and in the account's list. unlisted: the account is right, the device is not (any more) listed."""


@dataclass(frozen=True, slots=True)
class KeysOf:
    """Fetch the devices of this account."""

    account: str


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """Fetch this room."""

    room: str


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """Fetch the server's key manifest."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim a key package for each of these devices (URIs) in this room."""

    room: str
    devices: tuple[str, ...]


Prove: TypeAlias = Callable[[str, answers.KeysProof | None, bytes], None]
"""`(account, proof, value)`: Unverified unless the server's key log holds this as the account's newest keys."""
Fact: TypeAlias = KeysOf | RoomFacts | ServerKeys | Claim
Fresh: TypeAlias = Collection[Fact]
"""What was fetched for the piece of work at hand: asking for it again would not say anything new."""


class Missing(Exception):  # noqa: N818 - control flow: the work is repeated once the fact is there
    """Something must be fetched first. Nothing was changed."""

    def __init__(self, *facts: Fact) -> None:
        super().__init__(", ".join(map(str, facts)))
        self.facts = facts


class Directory:
    """What this device believes about accounts, rooms and the server."""

    def __init__(self, vault: Vault, server: str, account: str, prove: Prove) -> None:
        self._vault = vault
        self._prove = prove
        self._server = server
        self._account = account
        self._own_aik: bytes | None = None
        self._lists: dict[str, DeviceList | Unverified | None] = {}
        self._rooms: dict[str, answers.Room] = {}
        self._manifest: Manifest | None = None

    def own_identity(self, aik: bytes) -> None:
        """The identity key that this device holds itself: the server may show no other for this account."""
        self._own_aik = aik

    # --- accounts -----------------------------------------------------------------------------------------------------

    def forget(self, account: str) -> None:
        """Its devices changed: fetch them before they are believed again."""
        self._lists.pop(account, None)

    def learn_keys(self, account: str, answer: answers.Devices) -> bool:
        """Verify and pin what the server says about an account. True when its identity key is a new one.

        What does not verify is remembered as such: `standing` refuses its devices and `devices` raises Unverified.
        """
        try:
            devices, changed = self._verified(account, answer)
        except Malformed as error:
            self._lists[account] = Unverified(f"The server shows malformed keys: {error}.")
            return False
        except Unverified as error:
            self._lists[account] = error
            return False
        self._lists[account] = devices
        return changed

    def _verified(self, account: str, answer: answers.Devices) -> tuple[DeviceList | None, bool]:
        if answer.account != account:
            raise Unverified("The server answered about somebody else.")
        if answer.aik is None or answer.device_list is None or answer.device_list_signature is None:
            # Keys once seen do not go away: taken at its word, this device would itself put theirs out of the chat.
            if self._vault.get("meta", f"pin/{account}", Pin) is not None:
                raise Unverified("The server shows no keys for somebody whose keys are known here.")
            return None, False
        devices = verified_list(answer.aik, answer.device_list, answer.device_list_signature)
        if devices is None or devices.account_uri != account_uri(self._server, account):
            raise Unverified("A device list is not signed by its account.")
        served = self._certified(answer.aik, devices, answer.devices)
        value = key_value(answer.aik, answer.device_list, answer.device_list_signature)
        self._prove(account, answer.transparency, value)
        changed = self._pin(account, answer.aik, devices.version, answer.device_list)
        # A device that the server has signed out is gone even before a new list is signed.
        return replace(
            devices, entries=tuple(entry for entry in devices.entries if entry.device_uri in served)
        ), changed

    def _certified(self, aik: bytes, devices: DeviceList, served: list[answers.Device]) -> set[str]:
        by_uri = {self._as_uri(device.device): device for device in served}
        for entry in devices.entries:
            device = by_uri.get(entry.device_uri)
            if device is None:
                continue  # signed out since the list was signed: no longer served, not a contradiction
            sound = (device.mls_key, device.added_ms) == (entry.mls_key, entry.added_ms)
            if not sound or not identity.verify_certificate(
                aik, devices.account_uri, entry.device_uri, entry.mls_key, entry.added_ms, device.certificate
            ):
                raise Unverified("A device has no valid certificate of its account.")
        return set(by_uri)

    def _as_uri(self, device: str) -> str:
        return device if device.startswith("mimi://") else device_uri(self._server, device)

    def _pin(self, account: str, aik: bytes, version: int, encoded: bytes) -> bool:
        if account == self._account and self._own_aik is not None and not hmac.compare_digest(self._own_aik, aik):
            raise Unverified("The server shows another identity key for your own account.")
        pin = self._vault.get("meta", f"pin/{account}", Pin)
        same = pin is not None and hmac.compare_digest(pin.aik, aik)
        if pin is not None and same and version < pin.version:
            raise Unverified("The server shows an older device list than before.")
        if pin is not None and same and version == pin.version and pin.list != encoded:
            raise Unverified("The server shows two device lists of one version.")
        new = Pin(aik=aik, version=version, list=encoded)
        if pin != new:
            with self._vault.transaction():
                self._vault.put("meta", f"pin/{account}", new)
                if pin is not None and not same:  # with the pin: whatever happens now, it will be said
                    was = self._vault.get("meta", f"verified/{account}", VerifiedPerson) is not None
                    self._vault.put("meta", f"new-identity/{account}", was)
                    self._vault.drop("meta", f"verified/{account}")
        return pin is not None and not same

    def devices(self, account: str, fresh: Fresh, *, cached: bool = False) -> dict[str, bytes]:
        """MLS keys by device URI, freshly fetched, or as known since the last news of them. Missing, Unverified."""
        if KeysOf(account) not in fresh and not (cached and account in self._lists):
            raise Missing(KeysOf(account))
        known = self._lists.get(account)
        if isinstance(known, Unverified):
            raise known
        return {entry.device_uri: entry.mls_key for entry in known.entries} if known else {}

    def all_known(self, accounts: Collection[str], fresh: Fresh) -> None:
        """Everybody's lists were fetched at some time. Missing, of all that were not: one turn asks for them all."""
        unknown = [KeysOf(one) for one in accounts if one not in self._lists and KeysOf(one) not in fresh]
        if unknown:
            raise Missing(*unknown)

    def standing(self, accounts: Collection[str], who: Identity, key: bytes, fresh: Fresh) -> Standing:
        """Whether this device may be in a room of these accounts. Asks again before it calls a device unlisted."""
        server, _, account = parse_uri(who.account_uri)
        if server != self._server or account not in accounts:
            return "refused"
        asked = KeysOf(account) in fresh
        if account not in self._lists and not asked:
            raise Missing(KeysOf(account))
        now = _look_up(self._lists.get(account), who, key)
        if now != "listed" and not asked:
            raise Missing(KeysOf(account))
        return now

    def identity_of(self, account: str) -> bytes | None:
        """The identity key that is pinned for an account."""
        pin = self._vault.get("meta", f"pin/{account}", Pin)
        return None if pin is None else pin.aik

    # --- rooms --------------------------------------------------------------------------------------------------------

    def learn_room(self, answer: answers.Room) -> None:
        """Pin who is in a direct room, as first seen; take in who is in a group now. A room never changes its kind."""
        accounts = tuple(one.account for one in answer.accounts)
        known = self._vault.get("meta", f"room/{answer.room}", Roster)
        if known is not None and known.is_group != (answer.kind == "group"):
            raise Unverified("The server shows a chat of two people as a group, or the other way round.")
        self._rooms[answer.room] = answer
        if known is not None and not known.is_group:
            return
        if self._account not in accounts or len(set(accounts)) != len(accounts):
            raise Unverified("The server shows a chat without you in it, or somebody twice.")
        if answer.kind == "group":
            roster = _group_roster(answer, known)
        elif len(accounts) != 2:  # noqa: PLR2004  a chat is between two
            # A third account would be let in by its own valid device list, and nobody would see it.
            raise Unverified("The server shows a chat of other than two people.")
        else:
            roster = Roster(accounts=accounts)
        if roster != known:
            with self._vault.transaction():
                self._vault.put("meta", f"room/{answer.room}", roster)

    def known_roster(self, room: str) -> Roster | None:
        """What is kept about who is in a room; None when nothing is yet."""
        return self._vault.get("meta", f"room/{room}", Roster)

    def left(self, room: str) -> None:
        """This account is not on that group's roster any more."""
        known = self.known_roster(room)
        if known is not None and known.is_group and self._account in known.accounts:
            others = tuple(one for one in known.accounts if one != self._account)
            past = (*known.past, self._account)
            self._vault.put("meta", f"room/{room}", structs.replace(known, accounts=others, past=past))

    def was_listed(self, account: str, who: Identity, key: bytes) -> bool:
        """Whether the newest list that this device pinned for an account names this device with this key."""
        pin = self._vault.get("meta", f"pin/{account}", Pin)
        if pin is None or parse_uri(who.account_uri) != (self._server, "u", account):
            return False
        listed = DeviceList.decode(pin.list).key_of(who.device_uri)
        return listed is not None and hmac.compare_digest(listed, key)

    def roster(self, room: str) -> tuple[str, ...]:
        """The accounts of a room. A direct room never gets others, whatever the server says later. Missing."""
        return self.who(room).accounts

    def who(self, room: str) -> Roster:
        """Who is in a room, and in which roles. Missing."""
        known = self.known_roster(room)
        if known is None:
            raise Missing(RoomFacts(room))
        return known

    def room(self, room: str, fresh: Fresh) -> answers.Room:
        """What the server says about a room now. Missing."""
        if RoomFacts(room) not in fresh:
            raise Missing(RoomFacts(room))
        return self._rooms[room]

    # --- the server ---------------------------------------------------------------------------------------------------

    def hub_key(self, hub_key_id: int) -> bytes | None:
        """The public key behind a hub_key_id, as pinned. Missing before the manifest was seen once."""
        if self._manifest is None:
            self._manifest = self._pinned()
        if self._manifest is None:
            raise Missing(ServerKeys())
        return self._manifest.key_for(hub_key_id)

    def manifest(self) -> Manifest:
        """The pinned manifest. Unverified before there is one."""
        pinned = self._pinned()
        if pinned is None:
            raise Unverified("The server's keys are not known here yet.")
        return pinned

    @property
    def knows_server(self) -> bool:
        """Whether a manifest is pinned."""
        return self._pinned() is not None

    def learn_server(self, answer: answers.WellKnown) -> None:
        """Verify and pin the manifest. Unverified when an entry was dropped, altered or forged."""
        new = verified_manifest(answer)
        old = self._pinned()
        if old is not None and not identity.continues(old, new):
            raise Unverified("The server dropped or altered a key that it published before.")
        if old is None or old.signed != new.signed:
            record = PinnedManifest(entries=tuple((one.entry, one.signature) for one in new.signed))
            with self._vault.transaction():
                self._vault.put("meta", "manifest", record)
        self._manifest = new

    def _pinned(self) -> Manifest | None:
        pinned = self._vault.get("meta", "manifest", PinnedManifest)
        if pinned is None:
            return None
        return identity.verify_manifest([SignedEntry(*pair) for pair in pinned.entries])


def verified_manifest(answer: answers.WellKnown) -> Manifest:
    """The manifest that a server shows. Unverified when it does not prove itself."""
    try:
        return identity.verify_manifest([SignedEntry(line.entry, line.signature) for line in answer.manifest])
    except (BadManifest, Malformed) as error:
        raise Unverified(f"The server's key manifest does not verify: {error}.") from None


def _group_roster(answer: answers.Room, known: Roster | None) -> Roster:
    now = {one.account: one.role for one in answer.accounts}
    before = () if known is None else (*known.accounts, *known.past)
    names = {**({} if known is None else known.names), **{one.account: one.display_name for one in answer.accounts}}
    past = tuple(dict.fromkeys(one for one in before if one not in now))
    return Roster(accounts=tuple(now), roles=now, names=names, past=past)


def verified_list(aik: bytes, encoded: bytes, signature: bytes) -> DeviceList | None:
    """The device list, when this identity key signed these bytes. Malformed when they are none."""
    return DeviceList.decode(encoded) if identity.verify_device_list(aik, encoded, signature) else None


def _look_up(known: DeviceList | Unverified | None, who: Identity, key: bytes) -> Standing:
    if isinstance(known, Unverified):
        return "refused"
    listed = None if known is None else known.key_of(who.device_uri)
    if listed is None:
        return "unlisted"
    return "listed" if hmac.compare_digest(listed, key) else "refused"
