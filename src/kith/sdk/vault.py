"""The encrypted store: one SQLite file, opened by a passphrase, for one process at a time.

Each record is AES-256-GCM under its table's key with table and key as associated data, so that records can neither be
read nor moved. The table keys come from a random root that is wrapped under Argon2id(passphrase). Record keys (ids of
rooms, positions) stand in clear. Every transaction is on disk before it returns (synchronous FULL).

The store must never be copied back in time: an older one would use ratchet keys again.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kith.sdk.errors import StoreError, StoreInUse, WrongPassphrase

Table: TypeAlias = Literal["account", "keys", "groups", "messages", "ids", "outbox", "inbox", "meta", "kept"]

T = TypeVar("T")

VERSION: Final = 1
NONCE: Final = 12
_APPLICATION_ID: Final = 0x4B495448
"""`KITH` in SQLite's header."""


class Cost(msgspec.Struct, frozen=True):
    """What opening costs, by RFC 9106 (second recommended option: 64 MiB, three passes, four lanes)."""

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


class _Header(msgspec.Struct, frozen=True):
    version: int
    salt: bytes
    cost: Cost
    wrapped: bytes


class Vault:
    """Open it with `Vault.open`; write only inside `transaction`."""

    def __init__(self, database: sqlite3.Connection, root: bytes) -> None:
        self._database = database
        self._root = root
        self._ciphers: dict[str, AESGCM] = {}
        self._writing = False

    def __repr__(self) -> str:
        """No key."""
        return "Vault(…)"

    @staticmethod
    def open(path: Path, passphrase: str, cost: Cost | None = None) -> "Vault":
        """The store at `path`, made when there is none. WrongPassphrase, StoreInUse, StoreError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # nobody else's eyes, from the first moment
        # Opened in a thread, because Argon2 takes its time; used from one thread only.
        database = sqlite3.connect(path, isolation_level=None, timeout=0.2, check_same_thread=False)
        try:
            return Vault(database, _prepare(database, passphrase, cost))
        except sqlite3.OperationalError as error:
            database.close()
            if "locked" in str(error):
                raise StoreInUse("Another program has this store open. Close it first.") from None
            raise StoreError(f"The store cannot be opened: {error}.") from error
        except sqlite3.DatabaseError as error:
            database.close()
            raise StoreError("This file is not a store of Kith, or it is damaged.") from error
        except StoreError:
            database.close()
            raise

    def close(self) -> None:
        """Let go of the file and the keys."""
        self._ciphers.clear()
        self._root = b""
        self._database.close()

    # --- writing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on disk at its end."""
        if self._writing:
            raise RuntimeError("transactions do not nest")
        self._database.execute("BEGIN IMMEDIATE")
        self._writing = True
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        else:
            self._database.execute("COMMIT")
        finally:
            self._writing = False

    def put(self, table: Table, key: str, value: object) -> None:
        """Store a record, replacing what was there."""
        self._must_write()
        sealed = self._seal(table, key, msgspec.msgpack.encode(value))
        self._database.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (table, key, sealed))

    def drop(self, table: Table, key: str) -> None:
        """Delete a record, if there is one."""
        self._must_write()
        self._database.execute("DELETE FROM records WHERE tbl = ? AND key = ?", (table, key))

    def clear(self) -> None:
        """Delete every record."""
        self._must_write()
        self._database.execute("DELETE FROM records")

    def _must_write(self) -> None:
        if not self._writing:
            raise RuntimeError("write inside a transaction")

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, table: Table, key: str, kind: type[T]) -> T | None:
        """The record, or None."""
        row = self._database.execute("SELECT sealed FROM records WHERE tbl = ? AND key = ?", (table, key)).fetchone()
        return None if row is None else self._opened(table, key, row[0], kind)

    def scan(
        self, table: Table, prefix: str, kind: type[T], *, newest: int | None = None, before: str | None = None
    ) -> list[tuple[str, T]]:
        """Records whose key starts with `prefix`, in order; with `newest` only the last so many before `before`."""
        end = prefix + "\U0010ffff" if before is None else before
        found = self._database.execute(
            "SELECT key, sealed FROM records WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key DESC LIMIT ?",
            (table, prefix, end, -1 if newest is None else newest),
        ).fetchall()
        return [(key, self._opened(table, key, sealed, kind)) for key, sealed in reversed(found)]

    def keys(self, table: Table, prefix: str = "") -> list[str]:
        """Keys that start with `prefix`, in order; nothing is opened."""
        rows = self._database.execute(
            "SELECT key FROM records WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key",
            (table, prefix, prefix + "\U0010ffff"),
        )
        return [key for (key,) in rows]

    # --- sealing ------------------------------------------------------------------------------------------------------

    def _cipher(self, table: str) -> AESGCM:
        if table not in self._ciphers:
            self._ciphers[table] = AESGCM(_expand(self._root, f"kith sdk table {table}"))
        return self._ciphers[table]

    def _seal(self, table: str, key: str, plain: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher(table).encrypt(nonce, plain, _bound(table, key))

    def _opened(self, table: str, key: str, sealed: bytes, kind: type[T]) -> T:
        try:
            plain = self._cipher(table).decrypt(sealed[:NONCE], sealed[NONCE:], _bound(table, key))
        except InvalidTag:
            raise StoreError("A record of the store was altered or moved. Nothing of it is used.") from None
        decoded: Any = msgspec.msgpack.decode(plain, type=kind)
        return decoded  # type: ignore[no-any-return]  # msgspec's promise, which Any hides


def _prepare(database: sqlite3.Connection, passphrase: str, cost: Cost | None) -> bytes:
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    kind = database.execute("PRAGMA application_id").fetchone()[0]
    empty = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if kind != _APPLICATION_ID and not empty:
        raise StoreError("This is another program's database.")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA secure_delete = ON")
    database.execute("BEGIN IMMEDIATE")
    root = _create(database, passphrase, cost or Cost()) if empty else _unlock(database, passphrase)
    database.execute("COMMIT")
    return root


def _create(database: sqlite3.Connection, passphrase: str, cost: Cost) -> bytes:
    database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    database.execute("CREATE TABLE header (sole INTEGER PRIMARY KEY CHECK (sole = 1), body BLOB NOT NULL)")
    database.execute(
        "CREATE TABLE records (tbl TEXT NOT NULL, key TEXT NOT NULL, sealed BLOB NOT NULL,"
        " PRIMARY KEY (tbl, key)) WITHOUT ROWID"
    )
    root, salt, nonce = secrets.token_bytes(32), secrets.token_bytes(16), secrets.token_bytes(NONCE)
    wrapped = nonce + AESGCM(_stretched(passphrase, salt, cost)).encrypt(nonce, root, salt)
    header = _Header(VERSION, salt, cost, wrapped)
    database.execute("INSERT INTO header VALUES (1, ?)", (msgspec.msgpack.encode(header),))
    return root


def _unlock(database: sqlite3.Connection, passphrase: str) -> bytes:
    (body,) = database.execute("SELECT body FROM header").fetchone()
    header = msgspec.msgpack.decode(body, type=_Header)
    if header.version != VERSION:
        raise StoreError("This store was made by a later version of Kith.")
    key = AESGCM(_stretched(passphrase, header.salt, header.cost))
    try:
        return key.decrypt(header.wrapped[:NONCE], header.wrapped[NONCE:], header.salt)
    except InvalidTag:
        raise WrongPassphrase("This passphrase does not open the store.") from None


def _stretched(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    return hash_secret_raw(
        passphrase.encode(), salt, cost.passes, cost.memory_kib, cost.lanes, hash_len=32, type=Type.ID
    )


def _expand(root: bytes, info: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info.encode()).derive(root)


def _bound(table: str, key: str) -> bytes:
    return msgspec.msgpack.encode((VERSION, table, key))
