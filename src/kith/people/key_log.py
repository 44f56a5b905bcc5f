"""The key log: every change of an account's identity key or device list, committed to in the change's transaction.

An event carries the commitment alone; log, prefix tree and versions are projections of these events. What a
commitment opens to stands in an erasable table. Heads are signed when they are asked for.
"""

from __future__ import annotations

import secrets

import msgspec

from kith.ledger.database import Reader, Tx
from kith.ledger.events import KeyLogIdle, KeysLogged
from kith.ledger.limits import DAY, HOUR, MINUTE
from kith.people import store
from kith.people.limits import DEFAULT, Limits
from kith.people.server import ServerFacts
from kith.protocol import transparency as kt
from kith.protocol.signing import public_bytes

MAX_AHEAD_MS = MINUTE
MAX_BEHIND_MS = HOUR
WINDOW_MS = DAY
"""What the log promises of its newest time, and how often people look. Part of what is signed: not tunable."""


# --- writing --------------------------------------------------------------------------------------


def commit(tx: Tx, account: str, aik: bytes, device_list: bytes | None, signature: bytes | None) -> None:
    """Log the next version of an account's keys."""
    version, opening = versions(tx, account), secrets.token_bytes(kt.OPENING)
    value = kt.key_value(aik, device_list or b"", signature or b"")
    tx.put(store.key_openings, account=account, version=version, opening=opening, value=value)
    made = kt.commitment(opening, kt.label_of(account), version, value)
    tx.append(KeysLogged(account=account, commitment=made.hex()))


def idle(tx: Tx, limits: Limits = DEFAULT) -> None:
    """Append an entry when the newest is old, so that an old log cannot pass for the present one."""
    last = tx.one(store.KEY_LOG_LAST)
    if last is None or tx.now - last.at_ms >= limits.log_idle_ms:
        tx.append(KeyLogIdle())


def catch_up(tx: Tx) -> None:
    """Log the keys of accounts that had some before there was a log."""
    for row in tx.all(store.UNLOGGED):
        commit(tx, row.account, row.aik, row.device_list, row.signature)


def project_version(tx: Tx, account: str, commitment: bytes) -> None:
    """Put a version into the prefix tree and the tree's new root into the log."""
    version, last = versions(tx, account), tx.one(store.KEY_LOG_LAST)
    leaf = kt.Leaf(kt.search_key(kt.label_of(account), version), commitment)
    root, made = kt.insert(_tree(tx), kt.NOTHING if last is None else last.prefix_root, leaf)
    for node in made:
        _put_node(tx, node)
    position = _append(tx, root, leaf.key, commitment)
    tx.put(store.key_versions, account=account, version=version, position=position)


def project_idle(tx: Tx) -> None:
    """Put an entry into the log that changes nothing."""
    last = tx.one(store.KEY_LOG_LAST)
    _append(tx, kt.NOTHING if last is None else last.prefix_root, b"", b"")


def _put_node(tx: Tx, node: kt.Node) -> None:
    match node:
        case kt.Leaf(one, other):
            tx.put(store.key_tree, hash=node.hash, is_leaf=1, one=one, other=other)
        case kt.Parent(one, other):
            tx.put(store.key_tree, hash=node.hash, is_leaf=0, one=one, other=other)


def _append(tx: Tx, prefix_root: bytes, search_key: bytes, commitment: bytes) -> int:
    last = tx.one(store.KEY_LOG_LAST)
    position = 0 if last is None else last.position + 1
    at_ms = tx.now if last is None else max(tx.now, last.at_ms)
    tx.put(
        store.key_log,
        position=position,
        at_ms=at_ms,
        prefix_root=prefix_root,
        search_key=search_key,
        commitment=commitment,
    )
    for level, place, value in kt.completed(position, kt.log_leaf(at_ms, prefix_root), _subtree(tx)):
        tx.put(store.key_log_nodes, level=level, place=place, hash=value)
    return position


# --- reading --------------------------------------------------------------------------------------


def versions(reader: Reader, account: str, upto: int = 2**62) -> int:
    """How many versions of an account's keys the log holds, up to an entry."""
    return int(reader.value(store.KEY_VERSIONS_AT, whose=account, upto=upto) or 0)


def _tree(reader: Reader) -> kt.ReadNode:
    def read(named: bytes) -> kt.Node:
        row = reader.one(store.KEY_TREE_NODE, named=named)
        if row is None:
            raise LookupError("the key log has lost a part of itself")
        return kt.Leaf(row.one, row.other) if row.is_leaf else kt.Parent(row.one, row.other)

    return read


def _subtree(reader: Reader) -> kt.FullSubtree:
    def read(level: int, place: int) -> bytes:
        found: bytes | None = reader.value(store.KEY_LOG_NODE, high=level, at=place)
        if found is None:
            raise LookupError("the key log has lost a part of itself")
        return found

    return read


def size(reader: Reader) -> int:
    """How many entries the log has."""
    last = reader.one(store.KEY_LOG_LAST)
    return 0 if last is None else int(last.position) + 1


# --- as it is shown -------------------------------------------------------------------------------


class HeadView(msgspec.Struct, frozen=True, kw_only=True):
    """A signed head, and the proof that it continues the one that the asker holds."""

    tree_size: int
    root: bytes
    signature: bytes
    consistency: list[bytes] = []


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, its path to the head, and one label's versions in it."""

    position: int
    timestamp_ms: int
    prefix_root: bytes
    path: list[bytes]
    greatest: int | None
    lookups: list[bytes]


class OpeningView(msgspec.Struct, frozen=True):
    """What a commitment opens to. `value` is left out where the asker has it already."""

    version: int
    opening: bytes
    value: bytes | None = None


class KeysProof(msgspec.Struct, frozen=True, kw_only=True):
    """That these are the newest keys of an account that the log holds."""

    head: HeadView
    newest: EntryView
    opening: OpeningView


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's keys were at the entries that everybody checks.

    `checked` are those entries after `since` up to `upto`, with those above them in the search tree, and the newest.
    `openings` are for the account itself.
    """

    head: HeadView
    newest: EntryView
    upto: int
    checked: list[EntryView]
    openings: list[OpeningView] = []


class PublicEntry(msgspec.Struct, frozen=True):
    """An entry as anybody may read it: hashes and a time."""

    position: int
    timestamp_ms: int
    prefix_root: bytes
    search_key: bytes
    commitment: bytes


def configuration(server: ServerFacts) -> kt.Configuration:
    """What this server's log promises."""
    return kt.Configuration(public_bytes(server.log_key), MAX_AHEAD_MS, MAX_BEHIND_MS, WINDOW_MS)


def head(reader: Reader, server: ServerFacts, first: int = 0) -> HeadView | None:
    """The log's signed head, which continues the one of size `first`; None for an empty log."""
    now = size(reader)
    return None if now == 0 else _head(reader, server, now, first)


def head_at(reader: Reader, server: ServerFacts, first: int, second: int) -> HeadView | None:
    """The signed head of an earlier size; None when the log never had it, or not yet."""
    return _head(reader, server, second, first) if 0 < second <= size(reader) else None


def _head(reader: Reader, server: ServerFacts, now: int, first: int) -> HeadView:
    subtree = _subtree(reader)
    root = kt.log_root(subtree, now)
    return HeadView(
        tree_size=now,
        root=root,
        signature=kt.sign_head(server.log_key, configuration(server), now, root),
        consistency=kt.consistency(subtree, first, now) if 0 < first <= now else [],
    )


def _entry(reader: Reader, account: str, position: int, now: int, since: int) -> EntryView:
    row = reader.one(store.KEY_LOG_AT, at=position)
    if row is None:
        raise LookupError("the key log has lost a part of itself")
    held, read, label = versions(reader, account, position), _tree(reader), kt.label_of(account)
    greatest = held - 1 if held else None
    keys = [kt.search_key(label, version) for version in kt.wanted(greatest, since)]
    return EntryView(
        position=position,
        timestamp_ms=row.at_ms,
        prefix_root=row.prefix_root,
        path=kt.inclusion(_subtree(reader), position, now),
        greatest=greatest,
        lookups=[kt.look_up(read, row.prefix_root, key).encode(key) for key in keys],
    )


def keys_proof(reader: Reader, server: ServerFacts, account: str, first: int) -> KeysProof | None:
    """The proof that goes with an account's keys; None when its opening was erased."""
    now, greatest = head(reader, server, first), versions(reader, account) - 1
    openings = reader.all(store.KEY_OPENINGS_FROM, whose=account, first=greatest, most=1)
    if now is None or greatest < 0 or not openings:
        return None
    return KeysProof(
        head=now,
        newest=_entry(reader, account, now.tree_size - 1, now.tree_size, greatest),
        opening=OpeningView(greatest, openings[0].opening),
    )


def watch(  # noqa: PLR0917 - who asks, and from where on
    reader: Reader, server: ServerFacts, account: str, first: int, since: int, version: int, *, own: bool
) -> Watch | None:
    """The entries to check after position `since`, at most some tens, with versions from `version` on."""
    limits, now = server.limits, head(reader, server, first)
    if now is None:
        return None
    count = now.tree_size
    oldest = kt.shown_from(version, versions(reader, account) - 1)
    newest = _entry(reader, account, count - 1, count, oldest)
    asked: set[int] = set()

    def timestamp(position: int) -> int:
        asked.add(position)
        return int(reader.value(store.KEY_LOG_TIME, at=position))

    upto = count - 1
    for number, position in enumerate(kt.distinguished(count, WINDOW_MS, newest.timestamp_ms, timestamp, since), 1):
        if number == limits.log_checks:
            upto = position
            break
    asked.clear()
    for _ in kt.distinguished(count, WINDOW_MS, newest.timestamp_ms, timestamp, since, upto):
        pass  # exactly what the asker will ask for
    rows = reader.all(store.KEY_OPENINGS_FROM, whose=account, first=oldest, most=kt.VERSIONS_SHOWN) if own else []
    return Watch(
        head=now,
        newest=newest,
        upto=upto,
        checked=[_entry(reader, account, position, count, oldest) for position in sorted(asked)],
        openings=[OpeningView(row.version, row.opening, row.value) for row in rows],
    )


def entries(reader: Reader, after: int, most: int) -> list[PublicEntry]:
    """Entries after a position, for outsiders who replay every one."""
    rows = reader.all(store.KEY_LOG_AFTER, after=after, most=most)
    return [PublicEntry(r.position, r.at_ms, r.prefix_root, r.search_key, r.commitment) for r in rows]
