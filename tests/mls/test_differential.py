"""Kith's engine against ts-mls and mls-rs: seeded lives of shared groups, and the known differences, each on its own.

`python tests/mls/differential.py --seeds 1000` is the long run for nights.
"""

from collections.abc import Iterator

import pytest

from kith.protocol.mls.engine import Settings
from kith.protocol.mls.refusals import BadTag, Unsupported
from mls import differential
from mls.peers import (
    KithPeer,
    Node,
    Peer,
    PeerError,
    RsPeer,
    TsPeer,
    mended_library,
    mls_rs,
    relaxed,
    why_no_node,
)
from mls.people import GROUP_ID

needs_node = pytest.mark.skipif(why_no_node() is not None, reason=why_no_node() or "ts-mls is here")
needs_rust = pytest.mark.skipif(mls_rs() is None, reason="there is no mls-rs wheel for this platform")
RELAXED = relaxed(Settings())


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """ts-mls."""
    with Node() as process:
        yield process


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """ts-mls as the web client is built with it."""
    with Node(mended_library(tmp_path_factory.mktemp("mended"))) as process:
        yield process


@needs_node
@pytest.mark.parametrize("seed", range(100, 106))
def test_a_group_shared_with_ts_mls_stays_in_agreement(node: Node, seed: int) -> None:
    """Authenticator, exporter, tree hash and roster after every epoch; text, sender and authenticated data."""
    differential.with_ts(seed, node, steps=8, most=(3, 6, 9)[seed % 3])


@needs_rust
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_group_shared_with_mls_rs_stays_in_agreement(seed: int) -> None:
    """Exported secrets after every epoch, and every text."""
    differential.with_rs(seed, steps=10, most=(3, 8, 20)[seed % 3])


@needs_node
@pytest.mark.parametrize("encrypted", [False, True])
def test_proposals_by_reference_of_ts_mls_are_followed_where_settings_allow_it(node: Node, *, encrypted: bool) -> None:
    """An Add and a Remove on their own, as public or private messages, then the commit that refers to them."""
    loose = Settings(by_reference=True)
    tag = f"ref {encrypted}"
    kith, ts, gone = KithPeer(f"{tag} kith", 0, loose), TsPeer(node, f"{tag} ts"), KithPeer(f"{tag} gone", 0, loose)
    new = TsPeer(node, f"{tag} new")
    kith.create(GROUP_ID)
    commit(kith, [kith], [ts, gone], [])
    leaf = next(leaf for leaf, identity in ts.roster() if identity == gone.device.identity)
    for change in ({"add": new.package().hex()}, {"removed": leaf}):
        message = bytes.fromhex(ts.ask("propose", encrypted=encrypted, **change)["message"])
        with pytest.raises(Unsupported):
            KithPeer(kith.name, 0).engine.process(kith.group, message)
        for peer in (kith, gone):
            peer.state = peer.engine.process(peer.group, message).state
            peer.restart()
    made, welcome = ts.commit([], [], encrypted=encrypted)
    assert welcome is not None
    assert kith.follow(made)
    assert not gone.follow(made)
    ts.accept()
    new.join(welcome)
    assert kith.view().agrees(ts.view())
    assert kith.view().agrees(new.view())


def commit(by: Peer, others: list[Peer], adds: list[Peer], removes: list[Peer]) -> None:
    """One commit that everybody follows."""
    made, welcome = by.commit([peer.package() for peer in adds], [peer.name for peer in removes], encrypted=False)
    for peer in others:
        if peer is not by and peer not in removes:
            assert peer.follow(made)
    by.accept()
    for peer in adds:
        assert welcome is not None
        peer.join(welcome)


def left_half_leaves(*four: Peer) -> None:
    """Leaves 0 and 1 are removed by leaf 3; then 2 and 3 must see the same."""
    four[0].create(GROUP_ID)
    commit(four[0], [four[0]], list(four[1:]), [])
    rust = [peer for peer in four if isinstance(peer, RsPeer)]
    for peer in rust:
        peer.introduce(rust)
    commit(four[3], list(four), [], list(four[:2]))
    assert four[2].view().agrees(four[3].view())


@needs_rust
def test_a_root_without_a_key_is_handled_as_in_mls_rs() -> None:
    """The commit secret follows the last secret of the filtered path, whether or not that is the root's (7.4)."""
    left_half_leaves(*[KithPeer(f"k{at}", 0, RELAXED) for at in range(2)], RsPeer("r2"), KithPeer("k3", 0, RELAXED))
    left_half_leaves(RsPeer("r0"), RsPeer("r1"), KithPeer("k2", 0, RELAXED), RsPeer("r3"))


@needs_node
@pytest.mark.parametrize("seed", range(200, 206))
def test_the_web_client_s_engine_stays_in_agreement_without_any_exception(mended: Node, seed: int) -> None:
    """With the mends no defect is met, and nothing has to be avoided."""
    assert differential.with_ts(seed, mended, steps=8, most=(3, 6, 9)[seed % 3], mended=True) == 0


@needs_node
def test_a_root_without_a_key_divides_us_from_ts_mls(node: Node, mended: Node) -> None:
    """A defect of ts-mls 1.6.4, in receiving and in sending; mended for the web client."""
    with pytest.raises(PeerError, match="confirmation tag"):
        left_half_leaves(*[KithPeer(f"a{at}", 0) for at in range(2)], TsPeer(node, "t2"), KithPeer("a3", 0))
    with pytest.raises(BadTag):
        left_half_leaves(*[KithPeer(f"b{at}", 0) for at in range(3)], TsPeer(node, "u3"))
    left_half_leaves(*[KithPeer(f"a{at}", 0) for at in range(2)], TsPeer(mended, "t2"), KithPeer("a3", 0))
    left_half_leaves(*[KithPeer(f"b{at}", 0) for at in range(3)], TsPeer(mended, "u3"))


def leaf_given_away(node: Node) -> bool:
    """A device of ts-mls is removed and somebody else put in its place; whether it still thinks that it is in."""
    ann, ben, ts, dan = KithPeer("ann", 1), KithPeer("ben", 1), TsPeer(node, "cem"), KithPeer("dan", 1)
    ann.create(GROUP_ID)
    commit(ann, [ann], [ben, ts], [])
    made, _ = ann.commit([dan.package()], [ts.name], encrypted=False)
    assert ben.follow(made)
    return ts.follow(made)


@needs_node
def test_ts_mls_does_not_notice_that_its_leaf_was_given_away(node: Node, mended: Node) -> None:
    """A defect of ts-mls 1.6.4: removed, and its place filled by the same commit. Mended for the web client."""
    with pytest.raises(PeerError, match=differential.CANNOT_LEAVE):
        leaf_given_away(node)
    assert not leaf_given_away(mended)


def joins_above_unmerged_leaves(node: Node) -> None:
    """A node has unmerged leaves, the root above it none; a device of ts-mls joins that group."""
    people: list[Peer] = [KithPeer(f"p{at}", 2) for at in range(4)]
    people[0].create(GROUP_ID)
    commit(people[0], people[:1], people[1:], [])
    commit(people[0], people, [], [people[1]])  # leaf 1 is free, the node above 0 and 1 blank, the next one not
    joiner, ts = KithPeer("joiner", 2), TsPeer(node, "ts")
    eve = KithPeer("eve", 2)
    commit(people[0], [people[0], *people[2:]], [eve], [])
    commit(people[2], [people[0], *people[2:], eve], [], [eve])
    commit(people[0], [people[0], *people[2:]], [], [])
    right = KithPeer("right", 2)
    commit(people[0], [people[0], *people[2:]], [eve2 := KithPeer("eve2", 2), right], [])
    commit(people[0], [people[0], *people[2:], eve2, right], [], [eve2])
    made, welcome = right.commit([joiner.package(), ts.package()], [], encrypted=False)
    assert welcome is not None
    for peer in (people[0], *people[2:]):
        assert peer.follow(made)
    joiner.join(welcome)
    ts.join(welcome)
    assert ts.view().agrees(joiner.view())


@needs_node
def test_ts_mls_refuses_a_valid_tree_with_unmerged_leaves(node: Node, mended: Node) -> None:
    """A defect of ts-mls 1.6.4: it refuses groups that all others join. Mended for the web client."""
    with pytest.raises(PeerError, match=differential.CANNOT_JOIN):
        joins_above_unmerged_leaves(node)
    joins_above_unmerged_leaves(mended)
