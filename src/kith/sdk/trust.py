"""Knowing that keys are who they say: safety numbers, the key log, and adding own devices by approval.

The asyncio around `key_log` and `linking`; `Client` has one and its verbs lead here.
"""

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kith.protocol import safety_number
from kith.protocol.transparency import label_of
from kith.protocol.uris import device_uri
from kith.sdk import linking
from kith.sdk.account import Account
from kith.sdk.api import Api
from kith.sdk.errors import Refused, Unverified, WrongCredentials
from kith.sdk.records import VerifiedPerson
from kith.sdk.recovery import IV, NotACode
from kith.sdk.vault import Vault

if TYPE_CHECKING:
    from kith.sdk.directory import Directory
    from kith.sdk.key_log import KeyLog

LINK_POLL_S: Final = 2.0
"""How often a new device asks whether it was approved."""
_NOT_WAITING: Final = "No device of yours is waiting with that code. Check it on the new device's screen."
_TOO_LATE: Final = "That code's time is over. Begin again on the new device."


class SafetyNumber(msgspec.Struct, frozen=True, kw_only=True):
    """What two people compare. `code` is what a QR code holds; `verified_ms` when the numbers were compared here."""

    groups: list[str]
    code: bytes
    verified_ms: int | None

    def __str__(self) -> str:
        """As it is read aloud."""
        return " ".join(self.groups)


class Trust:
    """Of one signed-in device."""

    def __init__(  # noqa: PLR0917 - what it stands on
        self, vault: Vault, api: Api, account: Account, directory: "Directory", log: "KeyLog", clock: Callable[[], int]
    ) -> None:
        self._vault, self._api, self._account, self._directory = vault, api, account, directory
        self.log, self._now = log, clock
        self._lock = asyncio.Lock()

    # --- keys, with proof ---------------------------------------------------------------------------------------------

    async def learn_server(self) -> None:
        """Fetch and pin the server's keys and its log's configuration. Unverified."""
        served = await self._api.well_known()
        self._directory.learn_server(served)
        self.log.learn_configuration(served.transparency, self._directory.manifest())

    async def learn_keys(self, account: str) -> bool:
        """Fetch, verify and pin somebody's keys; True when the identity key is a new one.

        One question at a time: each answer continues the head that the question named.
        """
        async with self._lock:
            if self.log.record is None:
                await self.learn_server()
            return self._directory.learn_keys(account, await self._api.devices_of(account, self.log.size))

    async def look_around(self, own: str) -> None:
        """Check what the log says of this account, of contacts seen lately, and what others hold. Unverified."""
        async with self._lock:
            if self.log.record is None:
                await self.learn_server()
            await self._check_own(own)
            for account, seen in self.log.watched():
                since, version = seen.position - 1, seen.version
                try:
                    answer = await self._api.watch(account, tree_size=self.log.size, since=since, version=version)
                except Refused as error:
                    if error.code == "not_found":  # not connected any more
                        continue
                    raise
                self.log.check_watched(account, seen, answer, self._now())
            await self._compare_heads()

    async def _check_own(self, own: str) -> None:
        aik, more = self._account.aik_public, True
        while aik is not None and more:
            known = self.log.own()
            answer = await self._api.watch(
                own, tree_size=self.log.size, since=known.position, version=known.next_version
            )
            more = self.log.check_own(aik, self._account.device, answer, self._now())

    async def _compare_heads(self) -> None:
        for key, heard in self.log.heard():
            # Unsigned, it is a contact's word, not the server's: nothing follows from it.
            if self.log.size and self.log.is_signed(heard):
                sizes = sorted((self.log.size, heard.size))
                self.log.compare(heard, await self._api.head(size=sizes[1], first=sizes[0]))
            self.log.compared(key)

    # --- safety numbers -----------------------------------------------------------------------------------------------

    async def safety_number(self, own: str, account: str) -> SafetyNumber:
        """The number of this account and another. Unverified when there are no keys yet that check out."""
        await self.learn_keys(account)
        mine, theirs = await self._sides(own, account)
        verified = self._verified(account)
        return SafetyNumber(
            groups=safety_number.in_groups(safety_number.safety_number(mine, theirs)),
            code=safety_number.scannable(mine, theirs),
            verified_ms=None if verified is None else verified.at_ms,
        )

    async def matches(self, own: str, account: str, scanned: bytes) -> bool:
        """Whether what was read from the other's QR code is about the same two keys."""
        mine, theirs = await self._sides(own, account)
        return safety_number.matches(scanned, mine, theirs)

    async def _sides(self, own: str, account: str) -> tuple[bytes, bytes]:
        aik, other = self._account.aik_public, self._directory.identity_of(account)
        if aik is None or other is None:
            raise Unverified("There is no safety number yet: no device of theirs was seen here.")
        return await asyncio.to_thread(
            lambda: (
                safety_number.fingerprint(aik, label_of(own)),
                safety_number.fingerprint(other, label_of(account)),
            )
        )

    def _verified(self, account: str) -> VerifiedPerson | None:
        record = self._vault.get("meta", f"verified/{account}", VerifiedPerson)
        pinned = self._directory.identity_of(account)
        return record if record is not None and pinned is not None and hmac.compare_digest(record.aik, pinned) else None

    def mark_verified(self, account: str, *, verified: bool) -> None:
        """Keep, on this device, that the numbers were compared; it ends when the key changes."""
        aik = self._directory.identity_of(account)
        with self._vault.transaction():
            if verified and aik is not None:
                self._vault.put("meta", f"verified/{account}", VerifiedPerson(aik=aik, at_ms=self._now()))
            else:
                self._vault.drop("meta", f"verified/{account}")

    # --- own devices --------------------------------------------------------------------------------------------------

    async def wait_for_approval(self, show: Callable[[str, int], Awaitable[None] | None]) -> None:
        """Show a code and wait until an own device passed the identity key on. WrongCredentials when time is over.

        `show` gets the code and until when it holds (ms).
        """
        private, code = X25519PrivateKey.generate(), secrets.token_bytes(linking.CODE_BYTES)
        public = private.public_key().public_bytes_raw()
        account_uri, own = self._account.uri, self._account.device_uri
        offered = await self._api.offer_link(public, linking.tag(code, account_uri, own, public))
        shown = show(linking.format_code(code), offered.until_ms)
        if shown is not None:
            await shown
        while (answer := await self._api.link()) is not None:
            if answer.sealed is not None:
                await self._api.end_link()
                seed = linking.open_sealed(code, account_uri, own, private, answer.sealed)
                await self._account.take_identity(seed)
                return
            await asyncio.sleep(LINK_POLL_S)
        raise WrongCredentials("wrong_code", _TOO_LATE)

    async def approve(self, typed: str, server: str) -> str:
        """Let the own device that shows this code in; its name. WrongCredentials when none does."""
        try:
            code = linking.parse_code(typed)
        except NotACode as error:
            raise WrongCredentials("wrong_code", str(error)) from None
        for one in await self._api.waiting_devices():
            uri = device_uri(server, one.device)
            if linking.is_tagged(code, self._account.uri, uri, one.public_key, one.tag):
                self.log.expect_device(one.device)
                sealed = self._account.seal_identity(code, uri, one.public_key, secrets.token_bytes(IV))
                await self._api.approve_link(one.device, one.public_key, sealed)
                return one.name
        raise WrongCredentials("wrong_code", _NOT_WAITING)
