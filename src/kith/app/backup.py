"""`kith backup`: a consistent, checked copy of database and settings, while the server runs. Never the keys.

Nor attachments: docs/operating.md says how to take them along, and `kith attachments` what is missing afterwards.

A backup is a folder: `kith.db` (one file, no log beside it), `kith.toml`, `audit-heads.log`, and `backup.json`, which
names each file's SHA-256. It is made under another name and renamed when everything is on the disk and checked, so a
folder with the name asked for is complete.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import apsw
import msgspec

from kith import __version__
from kith.app import audit_heads, files
from kith.app.disk import MEGABYTE
from kith.app.settings import Settings
from kith.ledger import failstop, migrations
from kith.ledger.database import wall_clock
from kith.ledger.failstop import StorageError

FORMAT = 1
MANIFEST = "backup.json"
DATABASE = "kith.db"
SETTINGS = "kith.toml"
RESTORING = "restore-unfinished"
"""Lies in a server's folder while files are exchanged."""
_CHUNK = MEGABYTE
_BUSY_MS = 10_000


class BackupError(RuntimeError):
    """A backup cannot be made or used; the message says why and what to do."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds. `signing_keys`: hashes of the public key list, to recognise the keys that belong to it."""

    format: int
    kith: str
    made_ms: int
    server_name: str
    schema: int
    last_event: int
    files: dict[str, str]
    signing_keys: list[str]


def made_at(manifest: Manifest) -> str:
    """When, for people."""
    return dt.datetime.fromtimestamp(manifest.made_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def unfinished(data: Path) -> str | None:
    """Why no server may start on a folder as it is: it would begin empty, or between two databases."""
    if (data / RESTORING).exists():
        return f"A restore into {data} was cut short. Run it again: kith restore SRC --data {data} --replace"
    if not (data / DATABASE).is_file():
        return f"{data / DATABASE} is missing. Restore a backup with: kith restore SRC --data {data}"
    return None


def make(data: Path, dest: Path) -> str:
    """Make a backup at `dest`; what to say about it. Raises BackupError, StorageError, SettingsError, OSError."""
    settings = Settings.load(data / SETTINGS)
    if obstacle := unfinished(data):
        raise BackupError(obstacle)
    if dest.exists():
        raise BackupError(f"{dest} is there already. Name a folder that does not exist yet.")
    if not dest.parent.is_dir():
        raise BackupError(f"{dest.parent} is no folder. Make it first.")
    _check_space(data, dest.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{dest.name}.partial-", dir=dest.parent))
    try:
        schema, last_event = copy_database(data / DATABASE, partial / DATABASE)
        for name in (SETTINGS, audit_heads.NAME):
            if (data / name).is_file():
                files.write_durably(partial / name, (data / name).read_bytes())
        manifest = Manifest(
            format=FORMAT,
            kith=__version__,
            made_ms=wall_clock(),
            server_name=settings.server_name,
            schema=schema,
            last_event=last_event,
            files={file.name: digest(file) for file in sorted(partial.iterdir())},
            signing_keys=signing_keys(data / "keys"),
        )
        files.write_durably(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        files.settle(partial)
        partial.rename(dest)
    except BaseException:
        shutil.rmtree(partial)
        raise
    files.settle(dest.parent)
    size = sum(file.stat().st_size for file in dest.iterdir())
    return (
        f"Backup made in {dest}: {size / MEGABYTE:.1f} MB, up to event {last_event}, checked. "
        f"The keys are not in it: keep a copy of {data / 'keys'} in another safe place; without it a restored server "
        "cannot prove or open anything."
    )


def copy_database(source: Path, target: Path) -> tuple[int, int]:
    """Copy a database as it is at one moment, also while it is written; its schema version and last event.

    The copy is one file without a log and was read back in full. Raises StorageError when it is not sound.
    """
    target.touch(mode=0o600)
    try:
        live = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        copy = apsw.Connection(str(target))
        live.set_busy_timeout(_BUSY_MS)
        live.wal_autocheckpoint(0)
        with copy.backup("main", live, "main") as copying:
            copying.step(-1)  # in one reading transaction: writers go on, and nothing of theirs gets in
        live.close()
        copy.pragma("journal_mode", "delete")
        check(copy, target)
        schema = migrations.version_of(copy)
        last_event = int(next(iter(copy.execute("SELECT coalesce(max(position), 0) FROM events")))[0])
        copy.close()
    except apsw.Error as failure:
        raise StorageError(failstop.sentence(failure, str(target))) from failure
    files.settle(target)
    return schema, last_event


def check(connection: apsw.Connection, path: Path) -> None:
    """Read everything and compare tables with indexes; raises StorageError when anything is not as it must be."""
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise StorageError(f"{path} is damaged: {'; '.join(found)}. Use an older backup and look at the disk.")


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    hashed = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()


def signing_keys(keys: Path) -> list[str]:
    """Hashes of the public entries of a server's key list, in order; they only grow."""
    file = keys / "manifest.json"
    if not file.is_file():
        raise BackupError(f"{keys} holds no keys. Put the keys folder of this server there, from your own safe copy.")
    return [
        hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest() for row in json.loads(file.read_text())
    ]


def _check_space(data: Path, target: Path) -> None:
    needed = sum(file.stat().st_size for file in data.glob(f"{DATABASE}*"))
    there = os.statvfs(target)
    if there.f_bavail * there.f_frsize < needed:
        raise BackupError(f"{target} has too little space: a backup needs about {needed // MEGABYTE + 1} MB.")
