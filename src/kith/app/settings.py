"""What an operator may set, with safe defaults; read once from `kith.toml`, never changed while running."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Literal, Self

import msgspec

from kith.app.keys import read_secret
from kith.messaging import push

Mode = Literal["shadow", "live"]
Socket = Literal["picows", "asgi"]


class Operator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who answers for this server; NCMEC and people's appeals need a real person."""

    name: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str = ""


class Tipline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where CyberTips go. Off until an endpoint is set; production needs saying so."""

    endpoint: str = ""
    username: str = ""
    password_file: str = ""
    """A 0600 file that holds the password alone."""
    production: bool = False

    def credentials(self) -> tuple[str, str]:
        """User name and password; both empty while none are set."""
        if not (self.username and self.password_file):
            return "", ""
        try:
            return self.username, read_secret(Path(self.password_file), 1).decode().strip()
        except UnicodeDecodeError:
            raise SettingsError(f"{self.password_file} holds no text. Write the password into it.") from None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything tunable about a server. Defaults suit one machine behind a TLS proxy."""

    server_name: str
    """HOST in every URI; no port; may never change."""
    origin: str
    """Where people's browsers find the client, for example https://kith.example."""
    staff_origin: str
    """Where staff find the console; a host of its own."""
    bind: str = "127.0.0.1"
    port: int = 8000
    staff_port: int = 8001
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks of reverse proxies; only their X-Forwarded-For is believed."""
    socket: Socket = "picows"
    """What carries the streams; "asgi" is the slower one that needs no compiled package."""
    disk_reserve_mb: int | None = None
    """Megabytes that stay free: below them the server is read-only. Unset: 256, on small disks a twentieth of them."""
    blobs: str = ""
    """Where attachments lie: empty = in the server's own folder; s3://BUCKET/PREFIX?endpoint=…&region=… = there."""
    blobs_key_file: str = ""
    """A 0600 file with the access key id and the secret access key of that bucket, on two lines."""
    rules: dict[str, Mode] = msgspec.field(default_factory=dict)
    """Mode per rule id; a rule that is not named runs in shadow."""
    push_services: tuple[str, ...] = push.SERVICES
    """Hosts of push services that may be called to wake devices; none: nobody is woken."""
    operator: Operator = Operator()
    tipline: Tipline = Tipline()

    def __post_init__(self) -> None:
        """Refuse what could not be meant."""
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"trusted_proxies: {error}; name each proxy's address or network") from None
        if (self.disk_reserve_mb or 0) < 0:
            raise ValueError("disk_reserve_mb: not below 0")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read settings; a mistake is one sentence naming the field."""
        try:
            return msgspec.convert(tomllib.loads(path.read_text()), cls)
        except FileNotFoundError:
            raise SettingsError(f"{path} is missing. Make it with: kith init --data {path.parent}") from None
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise SettingsError(f"{path}: {error}. Mend that line and start again.") from None


class SettingsError(ValueError):
    """The settings cannot be used; the message says what to mend."""


SAMPLE = """\
# Kith's settings. Read once at start-up.
server_name = "{server_name}"   # part of every address of a person; may never change
origin = "{origin}"
staff_origin = "{staff_origin}"
bind = "127.0.0.1"
port = {port}
staff_port = {staff_port}
# Reverse proxies whose X-Forwarded-For is believed: addresses or networks. Limits for each address depend on it.
trusted_proxies = ["127.0.0.1", "::1"]
# Below this much free space the server takes nothing new (unset: 256, on small disks a twentieth of them).
# disk_reserve_mb = 256
# Browsers' push services that may be called to wake a phone; they see that it got something, and when. [] for none.
# push_services = [
#   "fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com", "*.notify.windows.com",
# ]

# Each rule runs in shadow (it records what it would have done) until it is set to "live".
[rules]
{rules}

[operator]
name = "{operator}"
first_name = "{first_name}"
last_name = "{last_name}"
email = "{email}"

# CyberTips go nowhere until an endpoint is set. The test environment is the default;
# production = true is needed for real reports.
[tipline]
endpoint = "{tipline}"
username = "{tipline_user}"
password_file = "{tipline_password_file}"
production = false
"""
