"""Who takes part: Kith from a source tree, the relay that is the floor, and other servers when they are installed.

Each runs in processes of its own on a free port of this machine, with its limits off, in a folder that goes after.
"""

from __future__ import annotations

import abc
import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

HERE = Path(__file__).parent
START_PATIENCE_S = 60.0


class NotHere(Exception):  # noqa: N818  a fact about this machine, not a fault
    """This server cannot take part; the message says why."""


class Broken(Exception):  # noqa: N818  what happened, in its message
    """A server did not start, or a run did not end as it must."""


class Server(abc.ABC):
    """A server that the generator can talk to."""

    name: str
    protocol: str
    durable: str
    """What the server has done when it confirms a message."""
    groups: bool = True
    """Whether one message reaches a whole room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> list[str]:
        """How it is started; writes what it needs into its folder first."""

    @abc.abstractmethod
    def version(self) -> str:
        """Its version in a few words."""

    def environment(self) -> dict[str, str]:
        """Of its process."""
        return dict(os.environ)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command()
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment())
        until = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5):
                return
            time.sleep(0.02)
        said = (self.folder / "server.log").read_text(errors="replace")[-2000:]
        self.stop()
        raise Broken(f"{self.name} did not start:\n{said}")

    @property
    def pid(self) -> int:
        """Of its first process; the generator finds the others."""
        assert self.process is not None
        return self.process.pid

    def stop(self) -> None:
        """Ask it to stop; insist after a while."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9: nothing is flushed, nobody is told."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Kith(Server):
    """The whole product: one process, everything on."""

    protocol = "kith"
    durable = "yes, fsync"

    def __init__(self, folder: Path, town: Path, source: Path, name: str = "Kith") -> None:
        super().__init__(folder)
        self.name, self._town, self._source = name, town, source

    def command(self) -> list[str]:
        """Its own copy of the town, on free ports."""
        data = self.folder / "server"
        if not data.is_dir():
            shutil.copytree(self._town / "server", data)
        settings = data / "kith.toml"
        text = re.sub(r"(?m)^port = \d+$", f"port = {self.port}", settings.read_text())
        settings.write_text(re.sub(r"(?m)^staff_port = \d+$", f"staff_port = {free_port()}", text))
        return [sys.executable, str(HERE / "serve.py"), "serve", "--data", str(data)]

    def environment(self) -> dict[str, str]:
        """With the source tree that it is to run."""
        return {**os.environ, "PYTHONPATH": str(self._source / "src")}

    def version(self) -> str:
        """Version and commit."""
        ask = ["git", "-C", str(self._source), "describe", "--always", "--dirty"]
        found = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
        return found or "no commit"


class Relay(Server):
    """The floor: C, epoll, from one socket to the other, and nothing else."""

    name, protocol, durable, groups = "C relay (floor)", "relay", "no", False

    def command(self) -> list[str]:
        """The compiled relay."""
        return [str(compiled("relay", self.folder)), str(self.port)]

    def version(self) -> str:
        """Ours."""
        return "relay.c"


class Mosquitto(Server):
    """MQTT 3.1.1 at QoS 1, from memory, without limits."""

    name, protocol, durable = "mosquitto QoS 1", "mqtt", "no"
    CONFIGURATION: ClassVar = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
log_type error
"""

    def command(self) -> list[str]:
        """A configuration of its own."""
        file = self.folder / "mosquitto.conf"
        file.write_text(self.CONFIGURATION.format(port=self.port))
        return [program("mosquitto"), "-c", str(file)]

    def version(self) -> str:
        """As it says."""
        said = subprocess.run([program("mosquitto"), "-h"], capture_output=True, text=True, check=False)
        return (said.stdout or said.stderr).splitlines()[0].removeprefix("mosquitto version ")


class Xmpp(Server):
    """What Prosody and ejabberd have in common: accounts that are registered in band, two archive copies, XEP-0198."""

    protocol, groups = "xmpp", False
    durable = "no (two archive copies)"
    ACCOUNTS = 200

    def start(self) -> None:
        """Start it and register everybody."""
        super().start()
        asyncio.run(self._register())

    async def _register(self) -> None:
        for first in range(0, self.ACCOUNTS, 20):
            await asyncio.gather(*(self._sign_up(number) for number in range(first, first + 20)))

    async def _sign_up(self, number: int) -> None:
        """XEP-0077; an account that is there already is fine."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.timeout(START_PATIENCE_S):
            opening = "<stream:stream to='localhost' xmlns='jabber:client' xmlns:stream='{}' version='1.0'>"
            writer.write(opening.format("http://etherx.jabber.org/streams").encode())
            await reader.readuntil(b"</stream:features>")
            asked = f"<username>u{number}</username><password>pw{number}</password>"
            writer.write(f"<iq type='set' id='r'><query xmlns='jabber:iq:register'>{asked}</query></iq>".encode())
            answer = await reader.readuntil(b">")
        writer.close()
        if b"error" in answer and b"conflict" not in answer:
            raise Broken(f"{self.name} does not register accounts: {answer!r}")


class Prosody(Xmpp):
    """Prosody with an archive in its internal storage."""

    name = "Prosody, archive"
    CONFIGURATION: ClassVar = """\
run_as_root = true
daemonize = false
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
modules_enabled = {{ "roster", "saslauth", "register", "mam", "smacks", "carbons", "offline" }}
modules_disabled = {{ "s2s", "tls" }}
allow_registration = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
default_archive_policy = true
c2s_ports = {{ {port} }}
c2s_interfaces = {{ "127.0.0.1" }}
log = {{ warn = "*console" }}
VirtualHost "localhost"
"""

    def command(self) -> list[str]:
        """A configuration of its own."""
        (self.folder / "data").mkdir(exist_ok=True)
        file = self.folder / "prosody.cfg.lua"
        file.write_text(self.CONFIGURATION.format(folder=self.folder, port=self.port))
        return [program("prosody"), "-F", "--config", str(file)]

    def version(self) -> str:
        """Of Debian's package, or that it is there."""
        return package_version("prosody")


class Ejabberd(Xmpp):
    """ejabberd with an archive in Mnesia."""

    name = "ejabberd, archive"
    CONFIGURATION: ClassVar = """\
hosts: [localhost]
loglevel: error
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: infinity, starttls: false}}
auth_method: internal
auth_password_format: plain
registration_timeout: infinity
acl: {{}}
access_rules: {{register: {{allow: all}}}}
modules:
  mod_register: {{access: register, ip_access: all, captcha_protected: false, password_strength: 0}}
  mod_mam: {{default: always, assume_mam_usage: true, cache_size: 1000}}
  mod_stream_mgmt: {{max_ack_queue: infinity}}
  mod_offline: {{}}
  mod_carboncopy: {{}}
  mod_roster: {{}}
"""

    def command(self) -> list[str]:
        """Its Erlang node, as its own control script starts it."""
        file = self.folder / "ejabberd.yml"
        file.write_text(self.CONFIGURATION.format(port=self.port))
        node = ["-noinput", "+K", "true", "-mnesia", "dir", f'"{self.folder}/mnesia"', "-s", "ejabberd"]
        return [program("erl"), *node]

    def environment(self) -> dict[str, str]:
        """Where its configuration, its log and Debian's libraries are."""
        own = {"EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"), "HOME": str(self.folder)}
        libraries = ":".join(str(path.parent) for path in Path("/usr/lib").glob("*/ejabberd-*"))
        return {**os.environ, **own, "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"), "ERL_LIBS": libraries}

    def version(self) -> str:
        """Of Debian's package, or that it is there."""
        program("ejabberdctl")
        return package_version("ejabberd")


class Synapse(Server):
    """Synapse on SQLite, one process, its rate limits lifted."""

    name, protocol, durable, groups = "Synapse, SQLite, 20 pairs", "matrix", "yes", False

    def command(self) -> list[str]:
        """A configuration of its own, with a fresh signing key."""
        key = base64.b64encode(os.urandom(32)).decode().rstrip("=")
        (self.folder / "signing.key").write_text(f"ed25519 a_bench {key}\n")
        free = {"per_second": 1_000_000, "burst_count": 1_000_000}
        limits = ("message", "registration", "joins_per_room", "room_creation")
        nested = {"login": ("address", "account", "failed_attempts"), "joins": ("local", "remote")}
        nested["invites"] = ("per_room", "per_user", "per_issuer")
        listener = {"port": self.port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": False}
        settings = {
            "server_name": "localhost",
            "signing_key_path": str(self.folder / "signing.key"),
            "listeners": [{**listener, "resources": [{"names": ["client"]}]}],
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "synapse.db")}},
            "media_store_path": str(self.folder / "media"),
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "bcrypt_rounds": 4,
            "report_stats": False,
            "presence": {"enabled": False},
            "trusted_key_servers": [],
            "macaroon_secret_key": "bench",
            "form_secret": "bench",
            **{f"rc_{name}": free for name in limits},
            **{f"rc_{name}": dict.fromkeys(parts, free) for name, parts in nested.items()},
        }
        file = self.folder / "homeserver.yaml"
        file.write_text(json.dumps(settings))  # which is YAML too
        return [program("synapse_homeserver"), "-c", str(file)]

    def version(self) -> str:
        """As its package says."""
        python = Path(program("synapse_homeserver")).with_name("python")
        ask = "from importlib.metadata import version; print(version('matrix-synapse'))"
        said = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=False)
        return said.stdout.strip() or "installed"


def package_version(name: str) -> str:
    """The version of an installed Debian package; "installed" where another system put it."""
    program({"ejabberd": "ejabberdctl"}.get(name, name))
    if shutil.which("dpkg-query") is None:
        return "installed"
    asked = ["dpkg-query", "-W", "-f", "${Version}", name]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "installed"


def program(name: str) -> str:
    """Where an installed program is; NotHere when it is not."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotHere("not installed")
    return found


def compiled(name: str, folder: Path) -> Path:
    """One of the C programs beside this file, compiled for this machine."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise NotHere(
            f"benches/delivery/{name}.c needs a C compiler and there is none here; on Debian: apt install gcc"
        )
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / name
    subprocess.run([compiler, "-O2", "-o", str(made), str(HERE / f"{name}.c")], check=True)
    return made


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
