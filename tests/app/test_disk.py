"""Short of space: calm, read-only, and back by itself; and whose word counts for an address."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from app.serverside import bearer, made, sign_up
from journeys.harness import Server
from kith.app.disk import MEGABYTE, Disk, needs_room
from kith.app.serving import server_of
from kith.app.settings import Settings, SettingsError


class Meter:
    """A disk whose free space is what the test says."""

    def __init__(self, free_mb: int, total_mb: int = 100_000, block: int = 4096) -> None:
        self.free_mb, self.total_mb, self.block = free_mb, total_mb, block

    def __call__(self, _: Path) -> os.statvfs_result:
        """What statvfs would say."""
        per = MEGABYTE // self.block
        found = SimpleNamespace(f_frsize=self.block, f_blocks=self.total_mb * per, f_bavail=self.free_mb * per)
        return cast("os.statvfs_result", found)


def test_it_becomes_read_only_below_the_reserve_and_writable_only_well_above(tmp_path: Path) -> None:
    """Hysteresis: space that comes and goes by a little changes nothing."""
    meter = Meter(101)
    disk = Disk(tmp_path, 100, statvfs=meter)
    seen = []
    for meter.free_mb in (101, 100, 99, 100, 124, 125, 101, 100, 99, 200):
        disk.look()
        seen.append(disk.read_only)
    assert seen == [False, False, True, True, True, False, False, False, True, False]


@pytest.mark.parametrize(
    ("asked", "total_mb", "reserve_mb"), [(None, 100_000, 256), (None, 1000, 50), (700, 1000, 700), (0, 1000, 0)]
)
def test_the_reserve_fits_the_disk_unless_it_is_set(
    asked: int | None, total_mb: int, reserve_mb: int, tmp_path: Path
) -> None:
    """A small disk keeps a twentieth; what the operator sets is kept as it is."""
    assert Disk(tmp_path, asked, statvfs=Meter(900, total_mb)).reserve == reserve_mb * MEGABYTE


def test_a_nearly_full_disk_of_small_blocks_is_no_place_to_start(tmp_path: Path) -> None:
    """The mapped index could hit a block that cannot be given: SIGBUS, not an error."""
    assert "blocks of 1024 bytes" in str(Disk(tmp_path, 100, statvfs=Meter(10, block=1024)).check_blocks())
    assert Disk(tmp_path, 100, statvfs=Meter(10)).check_blocks() is None
    assert Disk(tmp_path, 100, statvfs=Meter(1000, block=1024)).check_blocks() is None


@pytest.mark.parametrize(
    ("method", "path", "waits"),
    [
        ("POST", "/api/v1/sessions", False),
        ("POST", "/api/v1/reports", False),
        ("PUT", "/api/v1/blocks/x", False),
        ("PUT", "/api/v1/hushes/x", False),
        ("PUT", "/api/v1/me/controls", False),
        ("POST", "/api/v1/requests/x/decline", False),
        ("POST", "/api/v1/groups/x/leave", False),
        ("DELETE", "/api/v1/requests/x", False),
        ("GET", "/api/v1/rooms", False),
        ("DELETE", "/api/v1/groups/x/photo", False),
        ("PUT", "/api/v1/groups/x/photo", True),
        ("POST", "/api/v1/accounts", True),
        ("POST", "/api/v1/requests", True),
        ("POST", "/api/v1/something-of-tomorrow", True),
    ],
)
def test_ways_out_of_harm_stay_open(method: str, path: str, waits: bool) -> None:
    """What is new waits, what protects somebody does not."""
    assert needs_room(method, path) == waits


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose reserve is larger than any disk."""
    running = made(tmp_path_factory.mktemp("full"))
    running.stop()
    settings = running.data / "kith.toml"
    settings.write_text(settings.read_text().replace("# disk_reserve_mb = 256", "# disk_reserve_mb = 0"))
    running.start()
    yield running
    running.stop()


def test_a_full_server_says_so_and_serves_what_it_can(server: Server) -> None:
    """With space a person signs up and in; without it she is told calmly, and still signs in."""
    with httpx.Client(base_url=server.origin, timeout=30) as http:
        assert http.get("/healthz").json() == {"status": "ok"}
        session = sign_up(http, "heron")
        _reserve(server, 1_000_000_000)
        status = http.get("/healthz")
        assert (status.status_code, status.json()["status"]) == (200, "read_only")
        refused = http.post("/api/v1/invites", headers=bearer(session))
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "read_only"
        assert "short of disk space" in refused.json()["error"]["message"]
        assert refused.headers["retry-after"] == "30"
        assert http.get("/api/v1/me", headers=bearer(session)).status_code == 200
        again: dict[str, Any] = {"handle": "heron", "password": "a long enough passphrase", "device_name": "b"}
        assert http.post("/api/v1/sessions", json={**again, "bearer": True}).status_code == 201
        assert "read-only" in server.log.read_text()
        _reserve(server, 0)
        assert http.post("/api/v1/invites", headers=bearer(session)).status_code == 201


def _reserve(server: Server, megabytes: int) -> None:
    """Start again with another reserve; a disk cannot be filled in a test that shares it."""
    server.stop()
    settings = server.data / "kith.toml"
    kept = [line for line in settings.read_text().splitlines() if "disk_reserve_mb" not in line]
    settings.write_text("\n".join([f"disk_reserve_mb = {megabytes}", *kept]))
    server.start()


@pytest.mark.parametrize(
    "wrong", ['trusted_proxies = ["*"]', 'trusted_proxies = ["10.0.0.1/8"]', "disk_reserve_mb = -1"]
)
def test_settings_that_cannot_be_meant_are_refused_in_words(wrong: str, tmp_path: Path) -> None:
    """Trusting everybody would let everybody choose an address."""
    file = tmp_path / "kith.toml"
    file.write_text(f'server_name = "a.example"\norigin = "https://a"\nstaff_origin = "https://b"\n{wrong}\n')
    with pytest.raises(SettingsError, match=wrong.split(" ", maxsplit=1)[0]):
        Settings.load(file)


@pytest.mark.parametrize(
    ("proxies", "peer", "header", "seen"),
    [
        (("10.0.0.0/8",), "10.1.2.3", "203.0.113.7", "203.0.113.7"),
        (("10.0.0.0/8",), "10.1.2.3", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        (("10.0.0.0/8",), "10.1.2.3", "203.0.113.7, 10.9.9.9", "203.0.113.7"),
        (("10.0.0.0/8",), "198.51.100.9", "203.0.113.7", "198.51.100.9"),
        ((), "127.0.0.1", "203.0.113.7", "127.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_is_believed_about_addresses(
    proxies: tuple[str, ...], peer: str, header: str, seen: str
) -> None:
    """From anybody else X-Forwarded-For is a claim that anybody can make, and limits would be worth nothing."""
    found: list[str] = []

    async def app(scope: dict[str, Any], *_: object) -> None:
        found.append(scope["client"][0])

    config = server_of(app, proxies).config
    config.load()
    scope = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": [(b"x-forwarded-for", header.encode())]}
    asyncio.run(config.loaded_app(scope, None, None))
    assert found == [seen]
