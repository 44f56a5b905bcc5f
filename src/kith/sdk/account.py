"""The account's own keys on this device: identity key, device key and certificate, device list, key packages."""

import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from kith.protocol import identity, uris
from kith.protocol.identity import DeviceEntry, DeviceList
from kith.protocol.mls.client import MlsClient
from kith.protocol.signing import public_bytes
from kith.sdk import linking, recovery
from kith.sdk.api import Api
from kith.sdk.directory import verified_list
from kith.sdk.errors import NeedsRecoveryCode, Refused, Unverified, WrongCredentials
from kith.sdk.records import KeyRecord, PackageRecord
from kith.sdk.vault import Vault

LIST_ATTEMPTS: Final = 4
"""How often a device list is signed again when another device was faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageLimits:
    """How many key packages lie ready for others to add this device while it is away."""

    first: int = 10
    refill_below: int = 20
    full: int = 100
    batch: int = 25
    backdate_s: int = 3600
    """A slow clock elsewhere must not refuse a fresh package."""
    lifetime_s: int = 84 * 24 * 3600
    """Below the 90 days that anybody accepts, with room for wrong clocks."""


class Account:
    """Reads and makes the keys; every private half is on disk, sealed, before its public half is published."""

    def __init__(self, vault: Vault, api: Api, server: str, account: str, device: str) -> None:
        self._vault, self._api, self._server = vault, api, server
        self._account, self.device = account, device
        self.uri = uris.account_uri(server, account)
        self.device_uri = uris.device_uri(server, device)
        self._aik: Ed25519PrivateKey | None = _key(vault.get("keys", "aik", KeyRecord))

    def __repr__(self) -> str:
        """No key."""
        return f"Account({self.uri!r})"

    @property
    def aik_public(self) -> bytes | None:
        """The public identity key, when this device has the private one."""
        return None if self._aik is None else public_bytes(self._aik)

    def device_key(self, now: int) -> Ed25519PrivateKey:
        """This device's MLS signature key, made at first."""
        record = self._vault.get("keys", "device", KeyRecord)
        if record is None:
            record = KeyRecord(seed=secrets.token_bytes(32), added_ms=now)
            with self._vault.transaction():
                self._vault.put("keys", "device", record)
        return Ed25519PrivateKey.from_private_bytes(record.seed)

    @property
    def registered(self) -> bool:
        """Whether the server took this device's certificate."""
        record = self._vault.get("keys", "device", KeyRecord)
        return record is not None and record.registered

    @property
    def unseen_identity(self) -> bool:
        """Whether an identity was made here whose recovery code was never handed out."""
        return self._vault.get("keys", "aik-unseen", bool) or False

    def code_was_handed_out(self) -> None:
        """From now on the person has the recovery code."""
        with self._vault.transaction():
            self._vault.drop("keys", "aik-unseen")

    async def make_identity(self, *, reset: bool) -> str:
        """A new identity key; its recovery code, which is returned once and kept nowhere."""
        seed, code = secrets.token_bytes(recovery.SEED), secrets.token_bytes(recovery.CODE_BYTES)
        key = Ed25519PrivateKey.from_private_bytes(seed)
        with self._vault.transaction():
            self._vault.put("keys", "aik-new", KeyRecord(seed=seed))
            self._vault.put("keys", "aik-unseen", True)
        await self._api.put_identity(
            aik=public_bytes(key),
            sealed_aik=recovery.seal_aik(code, seed, self.uri, secrets.token_bytes(recovery.IV)),
            recovery_auth=recovery.recovery_auth(code),
            reset=reset,
        )
        with self._vault.transaction():
            self._vault.put("keys", "aik", KeyRecord(seed=seed))
            self._vault.drop("keys", "aik-new")
        self._aik = key
        return recovery.format_code(code)

    async def unlock_identity(self, typed: str) -> None:
        """Open the sealed identity key with the recovery code and keep it, sealed, on this device."""
        code = read_code(typed)
        answer = await self._api.identity()
        seed = answer.sealed_aik and recovery.open_aik(code, answer.sealed_aik, self.uri)
        if not seed:
            raise WrongCredentials("wrong_code", "That recovery code does not belong to this account.")
        self._keep_identity(seed, answer.aik, "your recovery code opens")

    async def take_identity(self, seed: bytes | None) -> None:
        """Keep the identity key that another own device passed on. Unverified."""
        if seed is None:
            raise Unverified("What arrived was not sealed by a device that knows this code. Nothing of it is used.")
        self._keep_identity(seed, (await self._api.identity()).aik, "your other device passed on")

    def seal_identity(self, code: bytes, device: str, to: bytes, iv: bytes) -> bytes:
        """The private identity key for another own device (URI), under the code on its screen."""
        record = self._vault.get("keys", "aik", KeyRecord)
        if record is None:
            raise NeedsRecoveryCode("This device has no identity key to pass on.")
        try:
            return linking.seal(code, self.uri, device, to, record.seed, iv)
        except ValueError:
            raise Unverified("The waiting device shows a key that is none.") from None

    def _keep_identity(self, seed: bytes, served: bytes | None, whose: str) -> None:
        key = Ed25519PrivateKey.from_private_bytes(seed)
        if served is None or not hmac.compare_digest(public_bytes(key), served):
            raise Unverified(f"The server shows another identity key than {whose}.")
        with self._vault.transaction():
            self._vault.put("keys", "aik", KeyRecord(seed=seed))
        self._aik = key

    async def register(self, now: int) -> None:
        """Certify this device and put it on the device list."""
        aik, record = self._need_aik(), self._vault.get("keys", "device", KeyRecord)
        if record is None:
            raise RuntimeError("a device is registered after its key was made")
        mls_key = public_bytes(Ed25519PrivateKey.from_private_bytes(record.seed))
        certificate = identity.sign_certificate(aik, self.uri, self.device_uri, mls_key, record.added_ms)
        entry = DeviceEntry(self.device_uri, mls_key, record.added_ms)
        for attempt in range(1, LIST_ATTEMPTS + 1):
            entries, version, _ = await self._live()
            others = tuple(one for one in entries if one.device_uri != self.device_uri)
            encoded, signature = self._signed((*others, entry), version + 1, now)
            try:
                await self._api.put_device(
                    mls_key=mls_key,
                    added_ms=record.added_ms,
                    certificate=certificate,
                    device_list=encoded,
                    signature=signature,
                )
                break
            except Refused as error:  # another device signed a list at the same moment: look again
                if error.code != "conflict" or attempt == LIST_ATTEMPTS:
                    raise
        with self._vault.transaction():
            self._vault.put("keys", "device", replace(record, registered=True))

    async def refresh_list(self, now: int) -> None:
        """Sign a list of exactly the live devices, when the current one says something else."""
        if self._aik is None or not self.registered:
            return None
        for attempt in range(1, LIST_ATTEMPTS + 1):
            entries, version, stale = await self._live()
            if not stale:
                return None
            try:
                return await self._api.put_device_list(*self._signed(entries, version + 1, now))
            except Refused as error:
                if error.code != "conflict" or attempt == LIST_ATTEMPTS:
                    raise
        return None

    def _signed(self, entries: tuple[DeviceEntry, ...], version: int, now: int) -> tuple[bytes, bytes]:
        devices = DeviceList(self.uri, version, now, entries)
        return devices.encode(), identity.sign_device_list(self._need_aik(), devices)

    def _need_aik(self) -> Ed25519PrivateKey:
        if self._aik is None:
            raise NeedsRecoveryCode("This account needs its recovery code on a new device.")
        return self._aik

    async def _live(self) -> tuple[tuple[DeviceEntry, ...], int, bool]:
        """What is on the list that this identity signed and still alive; the stored version; whether it must change."""
        answer, own = await self._api.devices_of(self._account), await self._api.own_devices()
        aik = public_bytes(self._need_aik())
        current = answer.aik is not None and hmac.compare_digest(answer.aik, aik)
        if not current or answer.device_list is None or answer.device_list_signature is None:
            return (), own.list_version, True
        # After a reset the old list is signed by the old key: none of its devices carries over.
        devices = verified_list(aik, answer.device_list, answer.device_list_signature)
        if devices is None or devices.account_uri != self.uri:
            return (), own.list_version, True
        live = {uris.device_uri(self._server, one.id) for one in own.devices}
        entries = tuple(entry for entry in devices.entries if entry.device_uri in live)
        return entries, own.list_version, len(entries) < len(devices.entries)


class KeyPackages:
    """What others need to add this device to a room while it is away."""

    def __init__(self, vault: Vault, api: Api, engine: MlsClient, limits: PackageLimits) -> None:
        self._vault, self._api, self._engine, self._limits = vault, api, engine, limits

    async def upload(self, count: int, now: int, *, last_resort: bool = False) -> int:
        """Make, store and upload; how many the server has then. The secret halves are on disk first."""
        not_before = now // 1000 - self._limits.backdate_s
        not_after = now // 1000 + self._limits.lifetime_s
        kinds = [False] * count + [True] * last_resort
        made = [
            self._engine.new_key_package(not_before=not_before, not_after=not_after, last_resort=last) for last in kinds
        ]
        with self._vault.transaction():
            for package, last in zip(made, kinds, strict=True):
                record = PackageRecord(secret=package.secret, last_resort=last, not_after_ms=not_after * 1000)
                self._vault.put("keys", f"kp/{package.ref.hex()}", record)
        messages = [package.message for package in made]
        stock = await self._api.put_key_packages(messages[:count], messages[count] if last_resort else None)
        return stock.available

    async def upload_first(self, now: int) -> None:
        """With a new device."""
        await self.upload(self._limits.first, now, last_resort=True)

    async def refill(self, now: int) -> None:
        """Fill up in small batches, when few are left."""
        self._drop_expired(now)
        stock = await self._api.stock()
        if not stock.last_resort:
            await self.upload(0, now, last_resort=True)
        have = stock.available
        if have >= self._limits.refill_below:
            return
        while have < self._limits.full:
            after = await self.upload(min(self._limits.batch, self._limits.full - have), now)
            if after <= have:
                return  # the server keeps fewer than we would give it
            have = after

    def _drop_expired(self, now: int) -> None:
        gone = [key for key, one in self._vault.scan("keys", "kp/", PackageRecord) if one.not_after_ms < now]
        with self._vault.transaction():
            for key in gone:
                self._vault.drop("keys", key)


def read_code(typed: str) -> bytes:
    """A typed recovery code, or the reason why it cannot be one as WrongCredentials."""
    try:
        return recovery.parse_code(typed)
    except recovery.NotACode as error:
        raise WrongCredentials("wrong_code", str(error)) from None


def _key(record: KeyRecord | None) -> Ed25519PrivateKey | None:
    return None if record is None else Ed25519PrivateKey.from_private_bytes(record.seed)
