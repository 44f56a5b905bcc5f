"""The server's own keys: outside the database, unreadable to others, rotated, and really destroyed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kith.app import keys
from kith.app.keys import HUB_KEPT_MS, HUB_PERIOD_MS, KeyFileError, Keys
from kith.protocol.identity import continues
from kith.protocol.signing import public_bytes

BORN = 1_700_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The keys of a new server."""
    keys.create(tmp_path / "keys", BORN)
    return tmp_path / "keys"


def test_key_files_are_for_the_server_alone(folder: Path) -> None:
    """0600 files in a 0700 folder, and nothing secret in what prints."""
    secret = [file for file in folder.iterdir() if file.name != "manifest.json"]
    assert secret
    assert all(file.stat().st_mode & 0o077 == 0 for file in secret)
    assert folder.stat().st_mode & 0o077 == 0
    assert Keys(folder).current()[1].hex() not in repr(Keys(folder))


@pytest.mark.parametrize("name", ["hub-1", "sign-0", "evidence", "tickets"])
def test_a_key_that_others_can_read_is_refused_in_words(folder: Path, name: str) -> None:
    """The operator is told which file, and what to run."""
    (folder / name).chmod(0o644)
    with pytest.raises(KeyFileError, match=f"{name}.*chmod 600"):
        Keys(folder)


@pytest.mark.parametrize("name", ["evidence", "tickets"])
def test_a_missing_or_damaged_key_is_refused_in_words(folder: Path, name: str) -> None:
    """Starting without it would lose what it opens."""
    (folder / name).write_bytes(b"short")
    with pytest.raises(KeyFileError, match="damaged"):
        Keys(folder)
    (folder / name).unlink()
    with pytest.raises(KeyFileError, match="missing"):
        Keys(folder)


def test_keys_are_never_overwritten(folder: Path) -> None:
    """Making a server twice in one folder fails instead of destroying evidence."""
    with pytest.raises(FileExistsError):
        keys.create(folder, BORN)


def test_a_hub_key_serves_its_period_and_the_next_one_is_independent(folder: Path) -> None:
    """Rotation begins a fresh random key; the old one still verifies old messages."""
    held = Keys(folder)
    first = held.current()
    assert not held.rotate(BORN + HUB_PERIOD_MS - 1)
    assert held.rotate(BORN + HUB_PERIOD_MS)
    second = held.current()
    assert (first[0], second[0]) == (1, 2)
    assert first[1] != second[1]
    assert held.hub_key(1) == first[1]
    assert Keys(folder).current()[:2] == second[:2], "a restart goes on with the newest"


def test_a_hub_key_past_its_window_is_gone_from_the_disk(folder: Path) -> None:
    """Deletion is real: the bytes are nowhere in the folder; the control is the key in use."""
    held = Keys(folder)
    old = held.current()[1]
    held.rotate(BORN + HUB_PERIOD_MS)
    held.rotate(BORN + HUB_KEPT_MS)
    assert held.hub_key(1) is None
    everything = b"".join(file.read_bytes() for file in folder.iterdir())
    assert old not in everything
    assert held.current()[1] in everything
    assert Keys(folder).hub_key(1) is None


def test_a_new_signing_key_is_appointed_by_its_predecessor(folder: Path) -> None:
    """Clients that pinned the manifest see it go on, and old messages keep their key."""
    held = Keys(folder)
    pinned, old_signer = held.manifest, public_bytes(held.current()[2])
    held.rotate_signer(BORN + 1)
    hub_key_id, _, signer = held.current()
    assert continues(pinned, held.manifest)
    assert held.signing_key(1) == old_signer
    assert held.signing_key(hub_key_id) == public_bytes(signer) != old_signer
    again = Keys(folder)
    assert again.manifest == held.manifest
    assert public_bytes(again.current()[2]) == public_bytes(signer)


def test_a_running_server_takes_up_a_key_that_a_command_made(folder: Path) -> None:
    """The same object serves with the new key; without news nothing is read again."""
    running, command = Keys(folder), Keys(folder)
    assert not running.reload()
    command.rotate_signer(BORN + 1)
    before = running.current()
    assert running.reload()
    hub_key_id, _, signer = running.current()
    assert hub_key_id == before[0] + 1
    assert public_bytes(signer) == running.signing_key(hub_key_id) != public_bytes(before[2])


@pytest.mark.parametrize("last_step", ["sign", "manifest"])
def test_a_rotation_cut_short_leaves_keys_that_fit(
    folder: Path, last_step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power fails after any step: the next start signs with the key that clients are told of, and can rotate again."""

    def cut(*_: object) -> None:
        raise OSError("power")

    monkeypatch.setattr(keys, "_write_manifest" if last_step == "sign" else "_new_hub", cut)
    with pytest.raises(OSError, match="power"):
        Keys(folder).rotate_signer(BORN + 1)
    monkeypatch.undo()
    again = Keys(folder)
    for _ in range(2):
        hub_key_id, _, signer = again.current()
        assert public_bytes(signer) == again.signing_key(hub_key_id)
        again.rotate_signer(BORN + 2)
        again = Keys(folder)


def test_a_secret_is_written_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up in the middle: no half key that the next start would stumble over."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keys.write_secret(folder / "hub-2", b"x" * 40)
    monkeypatch.undo()
    assert not (folder / "hub-2").exists()
    keys.write_secret(folder / "hub-2", b"y" * 40)
    assert (folder / "hub-2").read_bytes() == b"y" * 40
    assert Keys(folder)
