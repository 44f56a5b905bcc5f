"""Wakes devices that are not connected: one encrypted nothing to their browser's push service (RFC 8030, 8291, 8292).

A doorbell like the others: losing one loses nothing, so nothing about it is stored but the address. A device is rung
once, and then not again before it has come back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import http_ece
import httpx
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from py_vapid import Vapid02

from kith.ledger.database import Database
from kith.ledger.signals import HushChanged, MailArrived, PushChanged
from kith.messaging.flows import pushing
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.push import PAYLOAD, Subscription, is_served, wakes
from kith.people import hushes

log = structlog.get_logger("kith.push")

TTL_S: Final = 24 * 3600
"""How long a push service keeps a wake-up for a device that is off."""
CLAIM_S: Final = 12 * 3600
"""How long a VAPID token is good for; services take at most 24 hours (RFC 8292, section 2)."""
CLAIM_AGAIN_S: Final = 6 * 3600
TOPIC: Final = "kith"
"""A waiting wake-up is replaced by a newer one (RFC 8030, section 5.4)."""
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class Waker:
    """Every device that wants to be woken, and the calls that wake them."""

    def __init__(
        self,
        database: Database,
        key: EllipticCurvePrivateKey,
        *,
        contact: str,
        services: tuple[str, ...],
        connected: Callable[[str], bool],
        limits: Limits = DEFAULTS,
    ) -> None:
        self._database = database
        self._vapid = Vapid02(key)
        self._contact = contact
        self._services = services
        self._connected = connected
        self._limits = limits
        self._subscriptions: dict[str, Subscription] = {}
        self._rung: set[str] = set()
        self._hushed: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._claims: dict[str, tuple[int, str]] = {}
        self._slots = asyncio.Semaphore(limits.push_at_once)
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"Waker({len(self._subscriptions)} devices)"

    async def start(self) -> None:
        """Learn who wants to be woken, and by whom not."""
        timeout = self._limits.push_timeout_ms / 1000
        self._client = httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)
        for subscription in await self._database.read(pushing.everyone):
            self._subscriptions.setdefault(subscription.device, subscription)
        self._hushed.update(await self._database.read(hushes.everyone))

    async def stop(self) -> None:
        """Ring nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def listener(self, signal: object) -> None:
        """Registered on the database."""
        match signal:
            case MailArrived(device=device, room=str(room), by=str(by)):
                self.missed(device, room, by)
            case PushChanged(device=device):
                self._later(self._look_again(device))
            case HushChanged(by=by, account=account, hushed=hushed):
                (self._hushed.add if hushed else self._hushed.discard)((by, account))
            case _:
                pass

    def missed(self, device: str, room: str, by: str) -> None:
        """A message of this room waits for a device; cheap for all that are connected or want no waking."""
        subscription = self._subscriptions.get(device)
        if subscription is None or device in self._rung or self._connected(device):
            return
        if wakes(subscription, room, by, hushed=(subscription.account, by) in self._hushed):
            self._rung.add(device)
            self._later(self._ring(device))

    def came(self, device: str) -> None:
        """A device is connected: the next message that misses it rings again."""
        self._rung.discard(device)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_again(self, device: str) -> None:
        found = await self._database.read(pushing.of, device)
        if found is None:
            self._subscriptions.pop(device, None)
            self._rung.discard(device)
            return
        if self._subscriptions.get(device, found).endpoint != found.endpoint:
            self._rung.discard(device)
        self._subscriptions[device] = found

    async def _ring(self, device: str) -> None:
        try:
            for attempt in range(self._limits.push_tries):
                wait = self._limits.push_wake_after_ms + random.random() * self._limits.push_spread_ms
                await asyncio.sleep(wait * 4**attempt / 1000)
                subscription = self._subscriptions.get(device)
                if subscription is None or self._connected(device) or await self._call(subscription):
                    return
        except Exception as bug:
            log.error("push-bug", exc_info=bug)
        self._rung.discard(device)  # it never heard: the next message tries again

    async def _call(self, subscription: Subscription) -> bool:
        """Ring once; True when there is nothing more to do."""
        if not is_served(subscription.endpoint, self._services) or self._client is None:
            return True  # the operator took this service off the list
        async with self._slots:
            body = await asyncio.to_thread(sealed, subscription)
            try:
                request = self._client.stream(
                    "POST", subscription.endpoint, content=body, headers=self._headers(subscription.endpoint)
                )
                async with request as response:  # its body is never read
                    status = response.status_code
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:  # a host may be no name at all
                log.info("push", answer=type(failure).__name__)
                return False
        if status in _GONE:
            await self._database.write(pushing.forgotten, subscription.device, subscription.endpoint)
        elif status >= HTTPStatus.BAD_REQUEST:
            log.info("push", answer=status)
        return status < HTTPStatus.BAD_REQUEST or status in _GONE

    def _headers(self, endpoint: str) -> dict[str, str]:
        return {
            "Authorization": self._authorization(endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(TTL_S),
            "Topic": TOPIC,
            "Urgency": "high",
        }

    def _authorization(self, endpoint: str) -> str:
        """Who calls (RFC 8292): one token for each push service, made again after some hours."""
        url = urlsplit(endpoint)
        audience = f"{url.scheme}://{url.netloc}"
        now = self._database.now() // 1000
        made, header = self._claims.get(audience, (0, ""))
        if not made <= now < made + CLAIM_AGAIN_S:
            if len(self._claims) > 100:  # noqa: PLR2004  `*.` services have many hosts
                self._claims.clear()
            claims = {"aud": audience, "exp": now + CLAIM_S, "sub": self._contact}
            header = str(self._vapid.sign(claims)["Authorization"])
            self._claims[audience] = now, header
        return header


def sealed(subscription: Subscription) -> bytes:
    """The wake-up, encrypted to this device: always as long, and never the same."""
    content: bytes = http_ece.encrypt(
        PAYLOAD,
        private_key=generate_private_key(SECP256R1()),
        dh=subscription.p256dh,
        auth_secret=subscription.auth,
        version="aes128gcm",
    )
    return content
