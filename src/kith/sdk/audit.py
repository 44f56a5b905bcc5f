"""`kith transparency audit ORIGIN`: an outsider replays a server's whole key log and keeps what it signed.

Nothing but hashes and times is read. Every prefix root, the log's root, its signature and the rising times are
recomputed; with a state file, today's log must also continue the one that was seen before. Two outsiders (or the same
one from two places) who keep such files can prove a fork to anybody.
"""

from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from kith.protocol import transparency as kt
from kith.protocol.wire import Malformed
from kith.sdk import answers
from kith.sdk.api import Api
from kith.sdk.directory import verified_manifest
from kith.sdk.errors import KithError, Unverified

MAX_ENTRIES: Final = 50_000_000
"""More than a large server logs in years; a liar's endless log ends here."""


class SeenHead(msgspec.Struct, frozen=True):
    """The state file: what was signed at the last audit."""

    server_name: str
    configuration: bytes
    tree_size: int
    root: bytes
    signature: bytes


class Audited(NamedTuple):
    """What was found in order."""

    server_name: str
    entries: int
    changes: int
    newest_ms: int
    since: int


class _Replay:
    """The log's trees, rebuilt."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, kt.Node] = {}
        self.root, self.size, self.newest_ms, self.changes = kt.NOTHING, 0, 0, 0
        self.log: dict[tuple[int, int], bytes] = {}

    def take(self, entry: answers.PublicEntry) -> None:
        """One more entry. Forged."""
        if entry.position != self.size or entry.timestamp_ms < self.newest_ms:
            raise kt.Forged(f"entry {self.size} is out of order")
        if entry.search_key:
            leaf = kt.Leaf(entry.search_key, entry.commitment)
            try:
                self.root, made = kt.insert(self.nodes.__getitem__, self.root, leaf)
            except kt.AlreadyThere:
                raise kt.Forged(f"entry {entry.position} replaces an earlier one") from None
            self.nodes |= {node.hash: node for node in made}
            self.changes += 1
        if entry.prefix_root != self.root:
            raise kt.Forged(f"entry {entry.position} has another root than its changes make")
        leaf_value = kt.log_leaf(entry.timestamp_ms, self.root)
        for level, place, value in kt.completed(self.size, leaf_value, self.subtree):
            self.log[level, place] = value
        self.size, self.newest_ms = self.size + 1, entry.timestamp_ms

    def subtree(self, level: int, place: int) -> bytes:
        """A complete subtree of the log."""
        return self.log[level, place]


async def audit(origin: str, *, now_ms: int, seen: SeenHead | None = None) -> tuple[Audited, SeenHead]:
    """Verify everything an outsider can. Unverified when something is wrong, other KithErrors when it cannot tell.

    `seen`: what the last audit returned beside its findings.
    """
    async with Api(origin) as api:
        known = await api.well_known()
        configuration = _endorsed(known)
        head = (await api.public_log()).head
        if head is None:
            raise Unverified("The server has no key log yet.")
        replay = _Replay()
        try:
            while replay.size < head.tree_size:
                await _page(api, replay, head.tree_size)
            _check(replay, configuration, head, seen, now_ms)
        except (kt.Forged, Malformed) as error:
            raise Unverified(f"The key log of {origin} does not check out: {error}.") from None
    if seen is not None and (seen.server_name, seen.configuration) != (known.server_name, configuration.encode()):
        raise Unverified("The server shows another key log than at the last audit.")
    fresh = SeenHead(known.server_name, configuration.encode(), head.tree_size, head.root, head.signature)
    since = 0 if seen is None else seen.tree_size
    return Audited(known.server_name, replay.size, replay.changes, replay.newest_ms, since), fresh


async def _page(api: Api, replay: _Replay, size: int) -> None:
    entries = await api.public_entries(replay.size - 1)
    if not entries or replay.size + len(entries) > MAX_ENTRIES:
        raise kt.Forged("the server does not show every entry that its head counts")
    for entry in entries[: size - replay.size]:
        replay.take(entry)


def _check(
    replay: _Replay, configuration: kt.Configuration, head: answers.Head, seen: SeenHead | None, now_ms: int
) -> None:
    root = kt.log_root(replay.subtree, head.tree_size)
    if not kt.head_is_signed(configuration, head.tree_size, root, head.signature):
        raise kt.Forged("the signed head is not that of the entries shown")
    if (
        replay.newest_ms > now_ms + configuration.max_ahead_ms
        or replay.newest_ms < now_ms - configuration.max_behind_ms
    ):
        raise kt.Forged("the newest entry is not of the present; is this computer's clock right")
    if seen is not None:
        if seen.tree_size > head.tree_size:
            raise kt.Forged("it is shorter than at the last audit")
        if kt.log_root(replay.subtree, seen.tree_size) != seen.root:
            raise kt.Forged("it does not continue the log of the last audit")


def _endorsed(known: answers.WellKnown) -> kt.Configuration:
    if known.transparency is None:
        raise Unverified("The server shows no key log.")
    manifest = verified_manifest(known)
    endorsed = known.transparency
    if not any(
        kt.is_endorsed(entry.public_key, endorsed.configuration, endorsed.signature) for entry in manifest.entries
    ):
        raise Unverified("The key log is not endorsed by the server's signing key.")
    try:
        return kt.Configuration.decode(endorsed.configuration)
    except Malformed as error:
        raise Unverified(f"The key log's configuration cannot be read: {error}.") from None


def read_state(state: Path) -> SeenHead | None:
    """What the last audit left in this file; None when there is none. KithError."""
    try:
        return msgspec.json.decode(state.read_bytes(), type=SeenHead)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise KithError(f"{state} is not the state of an earlier audit: {error}.") from None


def write_state(state: Path, seen: SeenHead) -> None:
    """Keep it for the next audit."""
    try:
        state.write_bytes(msgspec.json.encode(seen))
    except OSError as error:
        raise KithError(f"{state} cannot be written: {error.strerror}.") from None
