"""`kith restore`: a backup becomes the server's database again, and clients can see that something is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import msgspec

from kith.app import attachments, audit_heads, files
from kith.app.backup import (
    DATABASE,
    FORMAT,
    MANIFEST,
    RESTORING,
    SETTINGS,
    BackupError,
    Manifest,
    check,
    digest,
    made_at,
    signing_keys,
)
from kith.app.settings import Settings
from kith.ledger import audit, failstop, migrations
from kith.ledger.audit import Access
from kith.ledger.database import Database, wall_clock
from kith.ledger.failstop import StorageError
from kith.messaging.flows import restoring

_COUNTERS = (
    (
        "INSERT INTO sqlite_sequence (name, seq) SELECT name, 0 FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' "
        "AND name NOT IN (SELECT name FROM sqlite_sequence) AND :by > 0"
    ),
    "UPDATE sqlite_sequence SET seq = seq + :by",
)
"""Ids that were given after the backup (of mails, events) are not given again."""


def put_back(src: Path, data: Path, *, replace: bool) -> str:
    """Restore; what to say about it. Refuses in words whatever would lose or mix up something."""
    manifest = _checked(src)
    if not data.is_dir():
        raise BackupError(f"{data} is no folder. Make it, put the server's keys into {data / 'keys'}, then restore.")
    occupancy = files.Occupancy(data)
    try:
        _must_fit(manifest, data)
        if (data / DATABASE).exists() and not replace:
            raise BackupError(_what_would_go(manifest, data))
        fresh = _prepared(src, data, manifest)
        aside = _exchange(fresh, src, data, manifest)
    finally:
        occupancy.leave()
    lacking = attachments.after_restore(data)
    kept = f" What was there is kept in {aside}; remove it yourself." if aside else ""
    return (
        f"Restored the backup of {made_at(manifest)}.{kept} What happened after it is undone, sign-outs, blocks and "
        "changed passwords included; people see a gap in their chats. Read docs/operating.md, then run: "
        f"kith serve --data {data}.{lacking}"
    )


def _checked(src: Path) -> Manifest:
    """The manifest of a backup whose every file is as it was made."""
    try:
        manifest = msgspec.json.decode((src / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise BackupError(f"{src} is no complete backup: {MANIFEST} is missing.") from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BackupError(f"{src / MANIFEST} cannot be read: {error}.") from None
    if manifest.format != FORMAT or manifest.schema > migrations.newest():
        raise BackupError(f"{src} was made by a newer Kith ({manifest.kith}). Install that version, then restore.")
    if DATABASE not in manifest.files or any(Path(name).name != name for name in manifest.files):
        raise BackupError(f"{src / MANIFEST} does not describe a backup of Kith's.")
    for name, expected in manifest.files.items():
        if not (src / name).is_file() or digest(src / name) != expected:
            raise BackupError(f"{src / name} is missing or altered. Use another backup.")
    return manifest


def _must_fit(manifest: Manifest, data: Path) -> None:
    """The keys there must be this server's, and so must the settings."""
    there = signing_keys(data / "keys")
    if there[: len(manifest.signing_keys)] != manifest.signing_keys:
        raise BackupError(
            f"{data / 'keys'} does not belong to this backup, or is older. Use the newest copy of this server's keys."
        )
    if (data / SETTINGS).is_file():
        name = Settings.load(data / SETTINGS).server_name
        if name != manifest.server_name:
            raise BackupError(f"The backup is of {manifest.server_name}, the server there is {name}.")


def _what_would_go(manifest: Manifest, data: Path) -> str:
    """Why a database that is there is not simply replaced."""
    try:
        there = apsw.Connection(str(data / DATABASE), flags=apsw.SQLITE_OPEN_READWRITE)
        last = int(next(iter(there.execute("SELECT coalesce(max(position), 0) FROM events")))[0])
        there.close()
    except apsw.Error:
        state = "holds a database that cannot be read"
    else:
        state = f"holds a database up to event {last}, the backup of {made_at(manifest)} ends at {manifest.last_event}"
    return f"{data} {state}. Everything after the backup would be undone. To do it anyway, add --replace."


def _prepared(src: Path, data: Path, manifest: Manifest) -> Path:
    """The restored database beside the present one: checked, of today's schema, and leapt ahead."""
    from kith.app.wiring import projectors  # noqa: PLC0415  the wiring asks this module's sibling about the folder

    work = data / ".restoring"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    fresh = work / DATABASE
    fresh.touch(mode=0o600)
    shutil.copyfile(src / DATABASE, fresh)
    if digest(fresh) != manifest.files[DATABASE]:
        raise BackupError(f"{fresh} differs from the backup after copying. Look at the disk.")
    by = restoring.far(wall_clock() - manifest.made_ms)
    try:
        connection = apsw.Connection(str(fresh), flags=apsw.SQLITE_OPEN_READWRITE)
        check(connection, fresh)
        with connection:
            for statement in _COUNTERS:
                connection.execute(statement, {"by": by})
        connection.close()
    except apsw.Error as failure:
        raise StorageError(failstop.sentence(failure, str(fresh))) from failure
    database = Database(fresh, projectors())
    database.create_tables()
    database.write_now(restoring.leap, by)
    act = Access(actor="operator", role="operator", action="server.restored", object=f"backup:{manifest.made_ms}")
    database.write_now(audit.write, act)
    database.close_now()
    if fresh.with_name(f"{DATABASE}-wal").exists():
        raise StorageError(f"{fresh} could not be closed. Look at the disk, then restore again.")
    files.settle(fresh)
    return fresh


def _exchange(fresh: Path, src: Path, data: Path, manifest: Manifest) -> Path | None:
    """Put the present files aside and the restored ones in their place; a server starts on neither half.

    Only what the manifest lists is taken: another file there was put beside the backup, and nobody has vouched for it.
    """
    files.write_durably(data / RESTORING, b"")
    files.settle(data)
    aside = data / f"replaced-{wall_clock()}"
    moving = [data / f"{DATABASE}-wal", data / f"{DATABASE}-shm", data / DATABASE, data / audit_heads.NAME]
    present = [file for file in moving if file.exists()]
    if present:
        aside.mkdir(mode=0o700)
    for file in present:
        file.rename(aside / file.name)
    fresh.rename(data / DATABASE)
    for name in (audit_heads.NAME, SETTINGS):
        if name in manifest.files and not (data / name).exists():
            files.write_durably(data / name, (src / name).read_bytes())
    files.settle(data)
    fresh.parent.rmdir()
    (data / RESTORING).unlink()
    files.settle(data)
    return aside if present else None
