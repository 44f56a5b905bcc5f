"""Where CyberTips go: nowhere, to a test environment, or to the real one. Pure.

Using the wrong environment can get credentials revoked, and a test report in the real one costs an
investigator's time: the mode must match the address, or nothing is sent.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from kith.ledger.decision import ALLOW, Decision, refuse

PRODUCTION_HOST = "report.cybertip.org"
TEST_HOST = "exttest.cybertip.org"
Mode: TypeAlias = Literal["off", "practice", "test", "production"]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the receiver is, and whether real reports are meant. An empty endpoint means off."""

    endpoint: str = ""
    production: bool = False

    @property
    def is_test(self) -> bool:
        """Everything but production is a test, and never counted with real reports."""
        return not self.production

    def mode(self) -> Mode:
        """How the console names it."""
        if not self.endpoint:
            return "off"
        if self.production:
            return "production"
        return "practice" if _is_local(_host(self.endpoint)) else "test"


def may_send_to(destination: Destination, *, has_credentials: bool) -> Decision:
    """Whether anything may be sent there; asked at start-up and before every call."""
    host = _host(destination.endpoint)
    if not destination.endpoint or not has_credentials:
        return refuse("tipline-off", "Set the CyberTipline's endpoint, username and password first.", "staff")
    if not host:
        return refuse("tipline-endpoint", "The CyberTipline's endpoint is not an address.", "staff")
    if urlsplit(destination.endpoint).scheme != "https" and not _is_local(host):
        return refuse("tipline-https", "The CyberTipline is reached over https only.", "staff")
    if destination.production and host != PRODUCTION_HOST:
        return refuse("tipline-mode", f"production is on, but the endpoint is not {PRODUCTION_HOST}.", "staff")
    if not destination.production and host == PRODUCTION_HOST:
        return refuse("tipline-mode", f"{PRODUCTION_HOST} takes real reports only; production is off.", "staff")
    return ALLOW


def _host(endpoint: str) -> str:
    try:
        return urlsplit(endpoint).hostname or ""
    except ValueError:
        return ""


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
