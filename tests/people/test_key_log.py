"""The key log on the server: in the change's own transaction, provable, replayable, and silent about people."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from kith.ledger import log
from kith.ledger.database import Database
from kith.people import flows, key_log, store
from kith.people.limits import DEFAULT
from kith.people.projections import PROJECTORS
from kith.protocol import transparency as kt
from people.conftest import START, Caller, Clock, Keys, World

DAY = 86_400_000


def set_identity(world: World, account: str, aik: bytes, *, reset: bool = False) -> bool:
    """An identity key, without HTTP."""
    stored: bool = world.do(
        flows.set_identity, account, aik=aik, sealed_aik=b"s" * 60, auth_hash=b"h" * 32, reset=reset
    )
    return stored


def entry(view: key_log.EntryView) -> kt.Entry:
    """As the verifier takes it."""
    return kt.Entry(
        view.position, view.timestamp_ms, view.prefix_root, tuple(view.path), view.greatest, tuple(view.lookups)
    )


def proven(world: World, account: str, value: bytes) -> int:
    """The version that the log proves these keys to be; fails when it does not."""
    proof = world.ask(key_log.keys_proof, world.server, account, 0)
    shown, label = entry(proof.newest), kt.label_of(account)
    assert shown.root(proof.head.tree_size) == proof.head.root
    assert kt.head_is_signed(
        key_log.configuration(world.server), proof.head.tree_size, proof.head.root, proof.head.signature
    )
    found = shown.versions(label, proof.opening.version)
    assert found[proof.opening.version] == kt.commitment(proof.opening.opening, label, proof.opening.version, value)
    return int(proof.opening.version)


def test_keys_are_provable_from_the_moment_they_are_stored(world: World) -> None:
    """A first identity is version 0, its replacement version 1; a refused second one adds nothing."""
    ana, _, _ = world.signed_up("ana.b")
    assert world.ask(key_log.keys_proof, world.server, ana, 0) is None
    set_identity(world, ana, b"a" * 32)
    assert proven(world, ana, kt.key_value(b"a" * 32, b"", b"")) == 0
    assert not set_identity(world, ana, b"x" * 32)
    assert world.ask(key_log.size) == 1
    set_identity(world, ana, b"b" * 32, reset=True)
    assert proven(world, ana, kt.key_value(b"b" * 32, b"", b"")) == 1


def test_a_change_that_is_rolled_back_leaves_no_entry(world: World) -> None:
    """The entry and the change stand or fall together."""
    ana, _, _ = world.signed_up("ana.b")

    def broken(tx: Any) -> None:
        flows.set_identity(tx, ana, aik=b"a" * 32, sealed_aik=b"s" * 60, auth_hash=b"h" * 32, reset=False)
        assert key_log.size(tx) == 1
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        world.do(broken)
    assert world.ask(key_log.size) == 0


def test_every_device_list_is_logged(world: World, caller: Caller) -> None:
    """Over HTTP: identity, then the list of the first device; the newest keys are what the log proves."""
    session = caller.sign_up("ana.b").json()
    keys = Keys(session["account_id"])
    assert caller.call("PUT", "/me/identity", keys.identity()).status_code == 204
    body = keys.device(session["device_id"], 1)
    assert caller.call("PUT", "/me/device", body).status_code == 204
    listed = base64.b64decode(body["device_list"]), base64.b64decode(body["device_list_signature"])
    aik = keys.aik.public_key().public_bytes_raw()
    assert proven(world, session["account_id"], kt.key_value(aik, *listed)) == 1


def test_replaying_the_events_gives_the_same_log(world: World, tmp_path: Path) -> None:
    """Root and every node come back from the ledger alone; a ledger without one entry gives another root."""
    for number in range(7):
        account, _, _ = world.signed_up(f"person{number}")
        set_identity(world, account, bytes([number]) * 32)
        world.clock.now += 1_000 * number
    world.clock.now += DAY
    world.do(key_log.idle)
    again = Database(tmp_path / "again.db", {**PROJECTORS, **log.PROJECTORS}, clock=Clock(0))
    again.create_tables()
    log.replay(world.database, again)
    live, rebuilt = world.ask(key_log.head, world.server), again.read_now(key_log.head, world.server)
    assert live == rebuilt
    again.write_now(key_log.project_idle)
    assert again.read_now(key_log.head, world.server) != live  # the control
    again.close_now()


def test_the_log_only_grows(world: World) -> None:
    """Every head continues every earlier one."""
    heads = []
    for number in range(12):
        account, _, _ = world.signed_up(f"person{number}")
        set_identity(world, account, bytes([number]) * 32)
        heads.append(world.ask(key_log.head, world.server))
    for old in heads:
        now = world.ask(key_log.head, world.server, old.tree_size)
        kt.check_extends(now.consistency, first=old.tree_size, old=old.root, second=now.tree_size, new=now.root)
        assert world.ask(key_log.head_at, world.server, 0, old.tree_size) == old


def test_an_idle_log_says_that_it_is_up_to_date(world: World) -> None:
    """After a while an entry is added that changes nothing; not before."""
    ana, _, _ = world.signed_up("ana.b")
    set_identity(world, ana, b"a" * 32)
    world.do(key_log.idle)
    assert world.ask(key_log.size) == 1
    world.clock.now += DEFAULT.log_idle_ms
    world.do(key_log.idle)
    assert world.ask(key_log.size) == 2
    assert proven(world, ana, kt.key_value(b"a" * 32, b"", b"")) == 0


def test_the_owner_sees_every_version_at_the_entries_everybody_checks(world: World) -> None:
    """Every version opens to what it was; contacts get the same entries without the openings."""
    ana, _, _ = world.signed_up("ana.b")
    for number in range(5):
        set_identity(world, ana, bytes([number]) * 32, reset=number > 0)
        world.clock.now += DAY
        world.do(key_log.idle)
    label, seen = kt.label_of(ana), world.ask(key_log.watch, world.server, ana, 0, -1, 0, own=True)
    size = seen.head.tree_size
    by_position = {view.position: entry(view) for view in seen.checked}
    due = list(
        kt.distinguished(size, DAY, seen.newest.timestamp_ms, lambda at: by_position[at].timestamp_ms, -1, seen.upto)
    )
    assert len(due) >= 5
    for position in due:
        assert by_position[position].root(size) == seen.head.root
        assert len(by_position[position].versions(label, 0)) == (by_position[position].greatest or 0) + 1
    found = entry(seen.newest).versions(label, 0)
    assert [opened.version for opened in seen.openings] == [0, 1, 2, 3, 4]
    for opened in seen.openings:
        assert opened.value == kt.key_value(bytes([opened.version]) * 32, b"", b"")
        assert found[opened.version] == kt.commitment(opened.opening, label, opened.version, opened.value)
    assert world.ask(key_log.watch, world.server, ana, 0, -1, 0, own=False).openings == []


def test_erasing_an_opening_leaves_every_proof_valid(world: World) -> None:
    """Without it the entry says nothing about anybody, and the log still verifies."""
    ana, _, _ = world.signed_up("ana.b")
    set_identity(world, ana, b"a" * 32)
    before = world.ask(key_log.head, world.server)
    world.do(lambda tx: tx.run(store.key_openings.delete()))
    assert world.ask(key_log.keys_proof, world.server, ana, 0) is None
    assert world.ask(key_log.head, world.server) == before
    seen = world.ask(key_log.watch, world.server, ana, 0, -1, 0, own=True)
    assert entry(seen.newest).versions(kt.label_of(ana), 0)


def test_outsiders_can_replay_the_log_and_learn_no_names(world: World, caller: Caller) -> None:
    """Anybody rebuilds every root from what is public; no id, handle or key stands in it."""
    # The handle has a dot, which base64 has not: three letters alone turn up by chance.
    session = caller.sign_up("ana.b").json()
    keys = Keys(session["account_id"])
    caller.call("PUT", "/me/identity", keys.identity())
    caller.call("PUT", "/me/device", keys.device(session["device_id"], 1))
    shown = caller.http.get("/.well-known/kith-transparency.json").json()
    rows = caller.with_token(None).call("GET", "/transparency/log?after=-1").json()
    tree: dict[bytes, kt.Node] = {}
    root = kt.NOTHING
    for row in rows:
        leaf = kt.Leaf(base64.b64decode(row["search_key"]), base64.b64decode(row["commitment"]))
        root, made = kt.insert(tree.__getitem__, root, leaf)
        tree |= {node.hash: node for node in made}
        assert base64.b64decode(row["prefix_root"]) == root
    assert shown["head"]["tree_size"] == len(rows) == 2
    public = f"{shown}{rows}"
    aik = base64.b64encode(keys.aik.public_key().public_bytes_raw()).decode()
    for private in ("ana.b", session["account_id"], session["account_id"].replace("-", ""), session["device_id"], aik):
        assert private not in public
    stored = world.ask(lambda reader: reader.all(select(store.key_openings)))
    assert all(base64.b64encode(row.opening).decode() not in public for row in stored)


@pytest.mark.parametrize(
    "path",
    ["/transparency/head?size=9", "/transparency/head?size=0", "/transparency/head?size=1&first=7"],
)
def test_heads_that_never_were_are_not_found_or_prove_nothing(world: World, caller: Caller, path: str) -> None:
    """Sizes outside the log."""
    set_identity(world, world.signed_up("ana.b")[0], b"a" * 32)
    answer = caller.call("GET", path)
    assert answer.status_code == 404 or answer.json()["consistency"] == []


@pytest.mark.parametrize("query", ["first=-1", "first=x", f"first={2**60}"])
def test_bad_sizes_are_a_clear_refusal(caller: Caller, query: str) -> None:
    """Never a fault of the server."""
    assert caller.http.get(f"/.well-known/kith-transparency.json?{query}").status_code == 400


def test_accounts_from_before_the_log_are_logged_at_start_up(world: World) -> None:
    """Their keys become version 0, once."""
    ana, _, _ = world.signed_up("ana.b")
    world.do(lambda tx: tx.put(store.identities, account=ana, aik=b"a" * 32, list_version=0))
    world.do(key_log.catch_up)
    world.do(key_log.catch_up)
    assert world.ask(key_log.size) == 1
    assert proven(world, ana, kt.key_value(b"a" * 32, b"", b"")) == 0
    assert world.clock.now == START
