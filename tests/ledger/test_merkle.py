"""RFC 9162 hashing: known roots, and proofs that hold for the right leaf alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kith.ledger import merkle

# The eight leaves used by the public Certificate Transparency test suites, and their roots by tree size.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


@pytest.mark.parametrize(("size", "expected"), list(enumerate(ROOTS, start=1)))
def test_the_known_roots_come_out(size: int, expected: str) -> None:
    """Certificate Transparency's published trees of one to eight leaves."""
    assert merkle.root([merkle.leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == expected


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    """RFC 9162 §2.1.1."""
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


trees = st.integers(1, 70).map(lambda size: [merkle.leaf_hash(bytes([n])) for n in range(size)])


@given(trees, st.data())
def test_an_inclusion_proof_holds_for_its_leaf_and_place_alone(leaves: list[bytes], data: st.DataObject) -> None:
    """Another leaf, another place, another tree or a bent path: refused."""
    at = data.draw(st.integers(0, len(leaves) - 1))
    path, tree = merkle.inclusion(leaves, at), merkle.root(leaves)
    assert merkle.includes(path, index=at, size=len(leaves), leaf=leaves[at], tree=tree)
    assert not merkle.includes(path, index=at, size=len(leaves), leaf=merkle.leaf_hash(b"other"), tree=tree)
    assert not merkle.includes(path, index=at, size=len(leaves), leaf=leaves[at], tree=bytes(32))
    assert not merkle.includes([*path, bytes(32)], index=at, size=len(leaves), leaf=leaves[at], tree=tree)
    assert not merkle.includes(path, index=len(leaves), size=len(leaves), leaf=leaves[at], tree=tree)
    other = data.draw(st.integers(0, len(leaves) - 1))
    assert merkle.includes(path, index=other, size=len(leaves), leaf=leaves[at], tree=tree) == (other == at)


@given(trees, st.data())
def test_a_consistency_proof_holds_for_a_true_beginning_alone(leaves: list[bytes], data: st.DataObject) -> None:
    """A log that changed its past cannot prove that it grew out of it."""
    first = data.draw(st.integers(1, len(leaves)))
    old, new = merkle.root(leaves[:first]), merkle.root(leaves)
    proof = merkle.consistency(leaves, first)
    assert merkle.extends(proof, first=first, second=len(leaves), old=old, new=new)
    rewritten = merkle.root([merkle.leaf_hash(b"other"), *leaves[1:first]])
    assert not merkle.extends(proof, first=first, second=len(leaves), old=rewritten, new=new)
    assert not merkle.extends(proof, first=first, second=len(leaves), old=old, new=bytes(32))


def test_proofs_outside_the_tree_are_refused() -> None:
    """No proof for what is not there."""
    leaves = [merkle.leaf_hash(b"a")]
    with pytest.raises(IndexError):
        merkle.inclusion(leaves, 1)
    with pytest.raises(ValueError, match="first tree"):
        merkle.consistency(leaves, 2)
    assert not merkle.extends([], first=0, second=1, old=merkle.EMPTY, new=leaves[0])
