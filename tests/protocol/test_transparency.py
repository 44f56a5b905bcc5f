"""The key log's proofs: what is true verifies, and nothing else does."""

from __future__ import annotations

import hashlib
import itertools
import random
import tracemalloc
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.protocol import transparency as kt
from kith.protocol.signing import public_bytes
from kith.protocol.wire import Malformed
from protocol.trees import Tree

LABEL = bytes(range(16))
DAY = 86_400_000


def key(number: int) -> bytes:
    """Some 32 bytes."""
    return hashlib.sha256(b"%d" % number).digest()


def with_versions(count: int) -> Tree:
    """A log with others' keys and `count` versions of one label."""
    tree = Tree()
    for number in range(20):
        tree.add(key(number), key(100 + number))
    for version in range(count):
        tree.add(kt.search_key(LABEL, version), key(200 + version))
    return tree


def test_bytes_are_those_of_the_standard() -> None:
    """Search key, commitment, leaves and parents are hashes over exactly these layouts."""
    opening = bytes(16)
    expected = hashlib.sha256(b"SaferKT key" + b"\x10" + LABEL + b"\0\0\0\7").digest()
    assert kt.search_key(LABEL, 7) == expected
    import hmac  # noqa: PLC0415 - the reference, beside what it checks

    content = opening + b"\x10" + LABEL + b"\0\0\0\7" + b"\0\0\0\3abc"
    fixed = bytes.fromhex("d821f8790d97709796b4d7903357c3f5")
    assert kt.commitment(opening, LABEL, 7, b"abc") == hmac.digest(fixed, content, "sha256")
    assert kt.Leaf(key(1), key(2)).hash == hashlib.sha256(b"\2" + key(1) + key(2)).digest()
    assert kt.Parent(key(1), kt.NOTHING).hash == hashlib.sha256(b"\3" + key(1) + bytes(32)).digest()
    assert kt.log_leaf(5, key(1)) == hashlib.sha256(bytes(7) + b"\5" + key(1)).digest()
    assert kt.log_parent(key(1), 1, key(2), 2) == hashlib.sha256(b"\0" + key(1) + b"\1" + key(2)).digest()


@pytest.mark.parametrize("greatest", range(41))
def test_a_ladder_climbs_and_then_halves(greatest: int) -> None:
    """0, 1, 3, 7, … up to the first above, then bisection: greatest is asked for, and so is its successor."""
    steps = kt.ladder(greatest)
    powers = list(itertools.takewhile(lambda v: v <= greatest, ((1 << k) - 1 for k in itertools.count())))
    first_above = (1 << len(powers)) - 1
    low, high, expected = powers[-1], first_above, [*powers, first_above]
    while low + 1 < high:
        middle = (low + high) // 2
        expected.append(middle)
        low, high = (middle, high) if middle <= greatest else (low, middle)
    assert steps == expected
    assert {greatest, greatest + 1} <= set(steps)


def test_a_ladder_for_six_is_the_one_in_the_standard() -> None:
    """Inclusion of 0, 1, 3; absence of 7; inclusion of 5 and 6."""
    assert kt.ladder(6) == [0, 1, 3, 7, 5, 6]
    assert kt.ladder(0) == [0, 1]


def test_every_pair_of_sizes_is_consistent_and_no_other_root_is() -> None:
    """For all sizes up to 64 the proof holds, and fails for another old root or another new one."""
    tree = Tree()
    roots = [b""]
    for number in range(64):
        tree.append(number)
        roots.append(kt.log_root(tree.subtree, number + 1))
    for second in range(1, 65):
        for first in range(1, second + 1):
            proof = kt.consistency(tree.subtree, first, second)
            kt.check_extends(proof, first=first, old=roots[first], second=second, new=roots[second])
            with pytest.raises(kt.Forged):
                kt.check_extends(proof, first=first, old=key(1), second=second, new=roots[second])
            with pytest.raises(kt.Forged):
                kt.check_extends(proof, first=first, old=roots[first], second=second, new=key(1))


def test_a_shorter_log_is_never_a_continuation() -> None:
    """A rolled-back head is refused whatever the proof."""
    tree = Tree()
    for number in range(9):
        tree.append(number)
    with pytest.raises(kt.Forged, match="shorter"):
        kt.check_extends([], first=9, old=kt.log_root(tree.subtree, 9), second=8, new=kt.log_root(tree.subtree, 8))


@given(st.sets(st.integers(0, 10_000), min_size=1, max_size=60), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_searches_prove_presence_and_absence(present: set[int], asked: int) -> None:
    """Every search verifies after a round through bytes, says the truth, and fails against another root."""
    tree = Tree()
    for number in present:
        tree.add(key(number), key(~number & 0xFFFF))
    found = kt.Lookup.decode(tree.look_up(key(asked)).encode(key(asked)), key(asked))
    assert found.proves(tree.root, key(asked)) == (key(~asked & 0xFFFF) if asked in present else None)
    with pytest.raises(kt.Forged):
        found.proves(key(1), key(asked))


def test_keys_that_share_a_beginning_stand_below_empty_places() -> None:
    """Long common prefixes give missing children, whose absence is proven too (result 3)."""
    tree = Tree()
    near = [bytes(31) + b"\x01", bytes(31) + b"\x02", bytes(30) + b"\x80\x00"]
    for leaf in near:
        tree.add(leaf, key(5))
    for leaf in near:
        assert tree.look_up(leaf).proves(tree.root, leaf) == key(5)
    absent = tree.look_up(b"\x40" + bytes(31))
    assert absent.leaf is None
    assert absent.encode(b"\x40" + bytes(31))[0] == 3
    assert absent.proves(tree.root, b"\x40" + bytes(31)) is None


def test_a_tampered_search_is_refused() -> None:
    """Another leaf, a swapped sibling, another depth: each is noticed."""
    tree, asked = with_versions(3), kt.search_key(LABEL, 1)
    true = tree.look_up(asked)
    assert len(true.siblings) > 1
    swapped = (true.siblings[1], true.siblings[0], *true.siblings[2:])
    for false in (
        replace(true, leaf=kt.Leaf(asked, key(9))),
        replace(true, siblings=swapped),
        replace(true, siblings=true.siblings[:-1]),
        replace(true, siblings=(*true.siblings, kt.NOTHING)),
        replace(true, leaf=None),
        replace(true, leaf=kt.Leaf(bytes([asked[0] ^ 0x80]) + asked[1:], true.leaf.commitment if true.leaf else b"")),
    ):
        with pytest.raises(kt.Forged):
            false.proves(tree.root, asked)


def test_a_version_is_never_replaced() -> None:
    """The tree refuses a second commitment for a version."""
    tree = with_versions(2)
    with pytest.raises(kt.AlreadyThere):
        tree.add(kt.search_key(LABEL, 1), key(7))


@pytest.mark.parametrize("held", range(10))
def test_an_entry_proves_the_newest_version(held: int) -> None:
    """The commitments found are the true ones, for every number of versions and every `since`."""
    tree = with_versions(held)
    size = len(tree.entries)
    root = kt.log_root(tree.subtree, size)
    for since in range(held + 1):
        entry = tree.entry(size - 1, LABEL, held, since)
        assert entry.root(size) == root
        found = entry.versions(LABEL, since)
        assert found == {v: key(200 + v) for v in found}
        assert set(range(since, held)) <= set(found)


@pytest.mark.parametrize("shown", [2, 4])
def test_another_newest_version_is_not_believed(shown: int) -> None:
    """Neither a dropped newest version nor an invented one."""
    tree = with_versions(3)
    entry = tree.entry(len(tree.entries) - 1, LABEL, shown)
    with pytest.raises(kt.Forged, match="newest"):
        entry.versions(LABEL, 0)


def test_a_left_out_search_is_noticed() -> None:
    """The answer must hold exactly the searches that were asked for."""
    tree = with_versions(5)
    entry = tree.entry(len(tree.entries) - 1, LABEL, 5)
    with pytest.raises(kt.Forged):
        replace(entry, lookups=entry.lookups[:-1]).versions(LABEL, 0)


def test_paths_of_the_wrong_length_lead_nowhere() -> None:
    """Too short, too long, and a position outside the log."""
    tree = with_versions(3)
    size = len(tree.entries)
    entry = tree.entry(4, LABEL, 0)
    assert entry.root(size) == kt.log_root(tree.subtree, size)
    for false in (
        replace(entry, path=entry.path[:-1]),
        replace(entry, path=(*entry.path, kt.NOTHING)),
        replace(entry, position=size),
    ):
        with pytest.raises(kt.Forged):
            false.root(size)
    assert replace(entry, timestamp_ms=99).root(size) != kt.log_root(tree.subtree, size)


def test_everybody_checks_the_same_entries_and_they_stay() -> None:
    """Distinguished entries follow from the times, about one a window, and later ones only come in addition."""
    random_times = random.Random(7)
    times = [0]
    while len(times) < 600:
        times.append(times[-1] + random_times.randrange(0, 2 * DAY // 10))
    before: set[int] = set()
    for size in range(1, 600, 13):
        now = set(kt.distinguished(size, DAY, times[size - 1], times.__getitem__, -1))
        assert before <= now
        for after in (-1, size // 3, size - 2):
            later = set(kt.distinguished(size, DAY, times[size - 1], times.__getitem__, after))
            assert later == {position for position in now if position > after}
        before = now
    assert len(before) >= (times[-1] - times[0]) // (4 * DAY)


def test_fifty_entries_have_the_frontier_of_the_standard() -> None:
    """In a log of 50 the search tree's right edge is 31, 47, 49."""
    asked: list[int] = []

    def timestamp(position: int) -> int:
        asked.append(position)
        return position * DAY

    list(kt.distinguished(50, 1, 49 * DAY, timestamp, 48))
    assert asked == [31, 47, 49]


def test_times_that_run_backwards_are_refused() -> None:
    """Later entries are never earlier."""
    tree = with_versions(1)
    one, other = tree.entry(3, LABEL, 0), tree.entry(5, LABEL, 0)
    kt.check_rising([other, one])
    with pytest.raises(kt.Forged):
        kt.check_rising([replace(one, timestamp_ms=8), other])


def test_a_head_is_signed_over_configuration_size_and_root() -> None:
    """Another size, root, configuration or key does not verify."""
    private = Ed25519PrivateKey.generate()
    configuration = kt.Configuration(public_bytes(private), 60_000, 3_600_000, DAY)
    assert kt.Configuration.decode(configuration.encode()) == configuration
    signature = kt.sign_head(private, configuration, 5, key(1))
    assert kt.head_is_signed(configuration, 5, key(1), signature)
    assert not kt.head_is_signed(configuration, 6, key(1), signature)
    assert not kt.head_is_signed(configuration, 5, key(2), signature)
    assert not kt.head_is_signed(replace(configuration, window_ms=1), 5, key(1), signature)
    assert not kt.head_is_signed(configuration, 5, b"short", signature)


@pytest.mark.parametrize("cut", [0, 1, 2, 30, 60])
def test_cut_off_bytes_are_malformed(cut: int) -> None:
    """Searches and configurations that end too early are refused as such."""
    shown = with_versions(1).look_up(kt.search_key(LABEL, 0)).encode(kt.search_key(LABEL, 0))
    with pytest.raises(Malformed):
        kt.Lookup.decode(shown[:cut], kt.search_key(LABEL, 0))
    with pytest.raises(Malformed):
        kt.Configuration.decode(kt.Configuration(bytes(32), 1, 2, 3).encode()[:cut])


def test_a_value_keeps_its_three_parts_apart() -> None:
    """What is put together comes apart again; anything after it is refused."""
    value = kt.key_value(key(1), b"list", b"signature")
    assert kt.parse_value(value) == (key(1), b"list", b"signature")
    with pytest.raises(Malformed):
        kt.parse_value(value + b"\0")


@pytest.mark.parametrize("greatest", [200_000, 2**53, -1])
def test_a_number_of_versions_that_cannot_be_costs_nothing(greatest: int) -> None:
    """A server may name any number: it is refused before as many versions are listed."""
    entry = kt.Entry(0, 0, kt.NOTHING, (), greatest, ())
    tracemalloc.start()
    try:
        with pytest.raises(kt.Forged):
            entry.versions(bytes(16), 0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000
