"""Versions of the schema: how a database that an older Kith made becomes one of today's.

Forward only. A database says its version in `PRAGMA user_version`, inside the same transaction as the step that led
to it, so a step is done whole or not at all, whenever the power goes. A newer database is refused. Whoever changes a
table adds a step at the end of `STEPS`; a test compares the two ways to today's schema and prints what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apsw
from sqlalchemy import MetaData
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from kith.ledger.failstop import StorageError

BASELINE = 1
"""The version of the first schema; databases made before versions were kept have it too."""
BUSY_MS = 5000
"""How long to wait for a command that is writing at the moment."""


class Step(NamedTuple):
    """One version to the next: SQL as text, for tables change while a step that is released never does."""

    why: str
    statements: tuple[str, ...]


def rebuilt(table: str, ddl: str, select: str) -> tuple[str, ...]:
    """A table in a new form, where ALTER TABLE cannot: `ddl` creates it, `select` reads its rows FROM {old}.

    Its indexes go with the old form: create them again in the statements that follow.
    """
    old = f"{table}__old"
    keep_counting = (
        # A table's counter goes with it: numbers are never given out again.
        f"DELETE FROM sqlite_sequence WHERE name = '{table}'",  # noqa: S608  names from this file's steps
        f"UPDATE sqlite_sequence SET name = '{table}' WHERE name = '{old}'",  # noqa: S608  as above
    )
    return (
        f'ALTER TABLE "{table}" RENAME TO "{old}"',
        ddl,
        f'INSERT INTO "{table}" {select.format(old=old)}',
        *(keep_counting if "AUTOINCREMENT" in ddl else ()),
        f'DROP TABLE "{old}"',
    )


STEPS: tuple[Step, ...] = (
    Step(
        "the key log, and devices that wait for approval",
        (
            (
                "CREATE TABLE key_log (position BIGINT NOT NULL, at_ms BIGINT NOT NULL, prefix_root BLOB NOT NULL, "
                "search_key BLOB NOT NULL, commitment BLOB NOT NULL, PRIMARY KEY (position))"
            ),
            (
                "CREATE TABLE key_log_nodes (level BIGINT NOT NULL, place BIGINT NOT NULL, hash BLOB NOT NULL, "
                "PRIMARY KEY (level, place))"
            ),
            (
                "CREATE TABLE key_openings (account TEXT NOT NULL, version BIGINT NOT NULL, opening BLOB NOT NULL, "
                "value BLOB NOT NULL, PRIMARY KEY (account, version))"
            ),
            (
                "CREATE TABLE key_tree (hash BLOB NOT NULL, is_leaf BIGINT NOT NULL, one BLOB NOT NULL, "
                "other BLOB NOT NULL, PRIMARY KEY (hash))"
            ),
            (
                "CREATE TABLE key_versions (account TEXT NOT NULL, version BIGINT NOT NULL, position BIGINT NOT NULL, "
                "PRIMARY KEY (account, version))"
            ),
            (
                "CREATE TABLE links (device TEXT NOT NULL, account TEXT NOT NULL, public_key BLOB NOT NULL, "
                "tag BLOB NOT NULL, until_ms BIGINT NOT NULL, sealed BLOB, PRIMARY KEY (device))"
            ),
            "CREATE INDEX links_by_account ON links (account)",
            "CREATE INDEX links_by_end ON links (until_ms)",
        ),
    ),
    Step(
        "groups: who belongs to them, their invitations, bans and links",
        (
            (
                "CREATE TABLE bans (room TEXT NOT NULL, account TEXT NOT NULL, since_ms BIGINT NOT NULL, "
                "PRIMARY KEY (room, account))"
            ),
            (
                "CREATE TABLE group_links (token_hash BLOB NOT NULL, link TEXT NOT NULL, room TEXT NOT NULL, "
                "made_by TEXT NOT NULL, made_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, joined BIGINT NOT "
                "NULL, PRIMARY KEY (token_hash))"
            ),
            "CREATE INDEX group_links_by_room ON group_links (room)",
            (
                "CREATE TABLE group_profiles (room TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT "
                "NULL, PRIMARY KEY (room))"
            ),
            (
                "CREATE TABLE groups (room TEXT NOT NULL, created_ms BIGINT NOT NULL, posting TEXT NOT NULL, "
                "approval BIGINT NOT NULL, PRIMARY KEY (room))"
            ),
            ("CREATE TABLE invitation_words (invitation TEXT NOT NULL, typed TEXT NOT NULL, PRIMARY KEY (invitation))"),
            (
                "CREATE TABLE invitations (invitation TEXT NOT NULL, room TEXT NOT NULL, inviter TEXT NOT NULL, "
                "target TEXT, sent_ms BIGINT NOT NULL, outcome TEXT, closed_ms BIGINT, PRIMARY KEY (invitation))"
            ),
            "CREATE INDEX invitations_by_inviter ON invitations (inviter, sent_ms)",
            "CREATE INDEX invitations_by_room ON invitations (room, target)",
            "CREATE INDEX invitations_by_target ON invitations (target)",
            (
                'CREATE TABLE joins ("join" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, '
                "made BIGINT NOT NULL, at_ms BIGINT NOT NULL)"
            ),
            "CREATE INDEX joins_by_account ON joins (account, at_ms)",
            "CREATE INDEX leaves_by_account ON leaves (room, account)",
            "CREATE INDEX memberships_by_account ON memberships (account)",
            (
                "CREATE TABLE participants (room TEXT NOT NULL, account TEXT NOT NULL, role TEXT NOT NULL, "
                "since_ms BIGINT NOT NULL, brought_by TEXT NOT NULL, vouched BIGINT NOT NULL, PRIMARY KEY "
                "(room, account))"
            ),
            "CREATE INDEX participants_by_account ON participants (account)",
        ),
    ),
    Step(
        "one signature for a commit batch",
        (
            (
                "CREATE TABLE batches (batch INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, at_ms BIGINT NOT NULL, "
                "leaves BLOB NOT NULL, signature BLOB NOT NULL)"
            ),
        ),
    ),
    Step(
        "invitations into groups: taken back whatever had become of them, which stays unseen",
        (
            "ALTER TABLE invitations ADD COLUMN cancelled_ms BIGINT",
            (
                "UPDATE invitations SET cancelled_ms = closed_ms, outcome = NULL, closed_ms = NULL "
                "WHERE outcome = 'cancelled'"
            ),
        ),
    ),
    Step(
        "fewer B-trees for a message: mails and answers lie by their keys",
        (
            "CREATE TABLE counters (counter TEXT NOT NULL, given BIGINT NOT NULL, PRIMARY KEY (counter))",
            "INSERT INTO counters SELECT 'mails', seq FROM sqlite_sequence WHERE name = 'mailbox'",
            *rebuilt(
                "mailbox",
                (
                    "CREATE TABLE mailbox (device TEXT NOT NULL, mail BIGINT NOT NULL, kind BIGINT NOT NULL, "
                    "room TEXT, room_pos BIGINT NOT NULL, about TEXT, at_ms BIGINT NOT NULL, "
                    "PRIMARY KEY (device, mail)) WITHOUT ROWID"
                ),
                'SELECT device, mail, kind, room, room_pos, about, at_ms FROM "{old}"',
            ),
            "CREATE INDEX mailbox_by_place ON mailbox (room, room_pos, kind)",
            "CREATE INDEX mailbox_rosters ON mailbox (at_ms) WHERE kind = 4",
            *rebuilt(
                "answers",
                (
                    "CREATE TABLE answers (device TEXT NOT NULL, submit_key BLOB NOT NULL, turn BIGINT NOT NULL, "
                    "room_pos BIGINT NOT NULL, at_ms BIGINT NOT NULL, room_seq BIGINT, hub_key_id BIGINT, "
                    "frank BLOB, proof BLOB, PRIMARY KEY (device, submit_key)) WITHOUT ROWID"
                ),
                ('SELECT device, submit_key, turn, room_pos, at_ms, room_seq, hub_key_id, frank, proof FROM "{old}"'),
            ),
            "DROP INDEX bodies_by_time",
        ),
    ),
    Step(
        "photos of groups",
        (
            (
                "CREATE TABLE group_photos (room TEXT NOT NULL, version BIGINT NOT NULL, media_type TEXT, "
                "photo BLOB, PRIMARY KEY (room))"
            ),
        ),
    ),
    Step(
        "what others see of reading and writing: on for adults who were never protected as minors",
        (
            "ALTER TABLE accounts ADD COLUMN read_receipts BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE accounts ADD COLUMN typing BIGINT NOT NULL DEFAULT 0",
            (
                "UPDATE accounts SET read_receipts = 1, typing = 1 WHERE band = '18+' AND account NOT IN "
                "(SELECT json_extract(body, '$.account') FROM events WHERE kind = 'people:band:changed')"
            ),
        ),
    ),
    Step(
        "attachments",
        (
            (
                "CREATE TABLE blobs (blob TEXT NOT NULL, account TEXT NOT NULL, size BIGINT NOT NULL, "
                "received BIGINT NOT NULL, created_ms BIGINT NOT NULL, touched_ms BIGINT NOT NULL, "
                "complete_ms BIGINT, expires_ms BIGINT NOT NULL, PRIMARY KEY (blob))"
            ),
            "CREATE INDEX blobs_by_account ON blobs (account)",
            "CREATE INDEX blobs_by_expiry ON blobs (expires_ms)",
            "CREATE TABLE blob_removals (blob TEXT NOT NULL, PRIMARY KEY (blob))",
        ),
    ),
    Step(
        "devices that want to be woken",
        (
            (
                "CREATE TABLE pushes (device TEXT NOT NULL, account TEXT NOT NULL, endpoint TEXT NOT NULL, "
                "p256dh BLOB NOT NULL, auth BLOB NOT NULL, quiet TEXT NOT NULL, renewed_ms BIGINT NOT NULL, "
                "PRIMARY KEY (device))"
            ),
            "CREATE INDEX pushes_by_renewal ON pushes (renewed_ms)",
        ),
    ),
    Step(
        "attachments of reported messages",
        (
            "CREATE TABLE blob_holds (blob TEXT NOT NULL, holder TEXT NOT NULL, PRIMARY KEY (blob, holder))",
            "CREATE INDEX blob_holds_by_holder ON blob_holds (holder)",
            (
                'CREATE TABLE report_attachments (exhibit TEXT NOT NULL, part BIGINT NOT NULL, "case" TEXT NOT NULL, '
                "report TEXT NOT NULL, message BLOB NOT NULL, blob TEXT, size BIGINT NOT NULL, "
                "content_hash BLOB NOT NULL, PRIMARY KEY (exhibit, part))"
            ),
            'CREATE INDEX report_attachments_by_case ON report_attachments ("case")',
            "CREATE INDEX report_attachments_by_report ON report_attachments (report)",
        ),
    ),
    Step(
        "whose the bytes held as evidence are",
        (
            "ALTER TABLE blob_holds ADD COLUMN account TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE blob_holds ADD COLUMN size BIGINT NOT NULL DEFAULT 0",
            (
                "UPDATE blob_holds SET size = "
                "COALESCE((SELECT size FROM report_attachments a WHERE a.blob = blob_holds.blob LIMIT 1), 0)"
            ),
            (
                "UPDATE blob_holds SET account = "
                "COALESCE((SELECT account FROM blobs WHERE blobs.blob = blob_holds.blob), '')"
            ),
            "CREATE INDEX blob_holds_by_account ON blob_holds (account)",
        ),
    ),
    Step(
        "attachments of reports that were lost after they were held",
        ("ALTER TABLE report_attachments ADD COLUMN lost_ms BIGINT",),
    ),
    Step(
        "whom people restrict for themselves",
        (
            (
                'CREATE TABLE hushes ("by" TEXT NOT NULL, account TEXT NOT NULL, since_ms BIGINT NOT NULL, '
                'PRIMARY KEY ("by", account))'
            ),
        ),
    ),
    Step(
        "the hashes of pieces by which a film was shown",
        ("ALTER TABLE report_attachments ADD COLUMN pieces BLOB",),
    ),
)
"""The first leads from version 1 to 2. Never change, reorder or remove one that was released."""


def newest(steps: Sequence[Step] = STEPS) -> int:
    """The version that this Kith works with."""
    return BASELINE + len(steps)


def version_of(connection: apsw.Connection) -> int:
    """A database's version; 0 while it has no tables."""
    kept = int(connection.pragma("user_version"))
    return kept or (BASELINE if _tables(connection) else 0)


def bring_up(connection: apsw.Connection, metadata: MetaData, steps: Sequence[Step] = STEPS) -> None:
    """Make every table of a new database, or lead an older one here; StorageError for a newer or a foreign one."""
    connection.set_busy_timeout(BUSY_MS)
    try:
        while (version := version_of(connection)) != newest(steps):
            if version > newest(steps):
                raise StorageError(too_new(version, steps))
            _advance(connection, metadata, steps)
        lacking = missing(connection, metadata)  # waits too: another process may be writing
    finally:
        connection.set_busy_timeout(0)
    if lacking:
        raise StorageError(
            f"The database lacks {', '.join(lacking[:5])}: it was not made by a released Kith. Restore a backup of one."
        )


def too_new(version: int, steps: Sequence[Step] = STEPS) -> str:
    """Why a database of this version is refused."""
    return (
        f"The database has schema version {version}, this Kith knows {newest(steps)}: a newer Kith made it. "
        "Install that version again, or restore a backup made before the upgrade."
    )


def _advance(connection: apsw.Connection, metadata: MetaData, steps: Sequence[Step]) -> None:
    """One version on, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)  # again: another process may have been quicker
        if version == 0:
            for statement in ddl(metadata):
                connection.execute(statement)
            connection.pragma("user_version", newest(steps))
        elif version < newest(steps):
            for statement in steps[version - BASELINE].statements:
                connection.execute(statement)
            connection.pragma("user_version", version + 1)
    except BaseException:
        if connection.in_transaction:  # a failed disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def ddl(metadata: MetaData) -> list[str]:
    """The statements that make today's schema."""
    dialect = sqlite.dialect()
    made = []
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(CreateIndex(index).compile(dialect=dialect)).strip() for index in indexes]
    return made


def shape(connection: apsw.Connection) -> dict[str, str]:
    """Every table, column and index of a database and what it is like.

    Without the order of columns and without defaults: every insert names every column, so neither has an effect.
    """
    found = {}
    for table, sql in _tables(connection).items():
        by_key = ", by key" if "WITHOUT ROWID" in sql else ""
        found[f"table {table}"] = ("counts up" if "AUTOINCREMENT" in sql else "plain") + by_key
        for _, name, kind, filled, __, key, hidden in connection.execute(f'PRAGMA table_xinfo("{table}")'):
            found[f"column {table}.{name}"] = f"{kind} {'NOT NULL' if filled else ''} key {key} {hidden}"
        for _, name, unique, origin, partial in list(connection.execute(f'PRAGMA index_list("{table}")')):
            columns = list(connection.execute(f'PRAGMA index_xinfo("{name}")'))
            found[f"index {name}"] = f"{table} {unique} {origin} {partial} {[c[2:5] for c in columns if c[5]]}"
    return found


def missing(connection: apsw.Connection, metadata: MetaData) -> list[str]:
    """What today's schema has and a database has not, or not in the same form."""
    wanted = apsw.Connection(":memory:")
    for statement in ddl(metadata):
        wanted.execute(statement)
    there = shape(connection)
    return [what for what, form in shape(wanted).items() if there.get(what) != form]


def _tables(connection: apsw.Connection) -> dict[str, str]:
    asked = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return dict(list(connection.execute(asked)))
