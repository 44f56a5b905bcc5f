"""The public parts of MLS: the official vectors are read, mutations and oversized claims are refused."""

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.protocol.mls import ratchet_tree
from kith.protocol.mls.framing import PrivateHeader, parse_commit, parse_private_message
from kith.protocol.mls.group_info import parse_group_info
from kith.protocol.mls.key_package import MAX_LIFETIME_S, parse_key_package
from kith.protocol.mls.refusals import BadSignature, PolicyRefused, Unsupported
from kith.protocol.mls.welcome import parse_welcome
from kith.protocol.signing import public_bytes, sign_with_label, verify_with_label
from kith.protocol.wire import Malformed, vector
from protocol.franked import ALICE, ALICE_PHONE, seeded
from vectors.shared import mls

NOW = 1_700_000_000

# --- building blocks, written by hand from the RFC ------------------------------------------------------------------


def u16s(*numbers: int) -> bytes:
    """A vector of uint16."""
    return vector(b"".join(number.to_bytes(2, "big") for number in numbers))


def u64(number: int) -> bytes:
    """Eight bytes."""
    return number.to_bytes(8, "big")


IDENTITY = vector(ALICE.encode()) + vector(ALICE_PHONE.encode())
CAPABLE = u16s(1) + u16s(1) + u16s() + u16s() + u16s(1)


def leaf(
    signer: int = 2,
    *,
    source: bytes = b"\x01" + u64(NOW - 10) + u64(NOW + 1000),
    credential: bytes = b"\0\x01" + vector(IDENTITY),
    capabilities: bytes = CAPABLE,
    extensions: bytes = b"",
    encryption_key: bytes = b"e" * 32,
    context: bytes = b"",
) -> bytes:
    """A signed LeafNode."""
    key = public_bytes(seeded(signer))
    signed = vector(encryption_key) + vector(key) + credential + capabilities + source + vector(extensions)
    return signed + vector(sign_with_label(seeded(signer), "LeafNodeTBS", signed + context))


def package(node: bytes | None = None, *, signer: int = 2, head: bytes = b"\0\1\0\1", init: bytes = b"i" * 32) -> bytes:
    """A signed KeyPackage, without the MLSMessage around it."""
    signed = head + vector(init) + (leaf() if node is None else node) + vector(b"")
    return signed + vector(sign_with_label(seeded(signer), "KeyPackageTBS", signed))


def as_message(body: bytes, wire_format: int) -> bytes:
    """MLSMessage."""
    return b"\0\1" + wire_format.to_bytes(2, "big") + body


def private(aad: bytes = b"", tail: bytes = b"", content_type: int = 1) -> bytes:
    """A PrivateMessage with made-up ciphertexts."""
    body = vector(b"g" * 16) + u64(5) + bytes([content_type]) + vector(aad) + vector(b"s" * 28) + vector(b"c" * 300)
    return as_message(body + tail, 2)


def commit(proposals: bytes = b"", path: bytes = b"\0", *, sender: bytes = b"\x01\0\0\0\x07", kind: int = 3) -> bytes:
    """A PublicMessage with a commit whose tags are made up."""
    content = vector(b"g" * 16) + u64(5) + sender + vector(b"aad") + bytes([kind]) + vector(proposals) + path
    return as_message(content + vector(b"S" * 64) + vector(b"C" * 32) + vector(b"M" * 32), 1)


PATH_LEAF = leaf(source=b"\x03" + vector(b""), context=vector(b"g" * 16) + (7).to_bytes(4, "big"))
SECRET = vector(b"k" * 32) + vector(b"sealed")
PATH_NODE = vector(b"n" * 32) + vector(SECRET * 2)
ADD = b"\x01\0\x01" + package()
REMOVE = b"\x01\0\x03\0\0\0\x05"


def tree_bytes(*nodes: bytes | None) -> bytes:
    """The ratchet_tree extension's data: optional nodes in a vector."""
    return vector(b"".join(b"\0" if node is None else b"\1" + node for node in nodes))


def group_info(tree: bytes | None = None, *, signer: int = 2, signer_leaf: int = 0, tree_hash: bytes = b"") -> bytes:
    """A signed GroupInfo."""
    nodes = tree_bytes(b"\1" + leaf()) if tree is None else tree
    context = b"\0\1\0\1" + vector(b"g" * 16) + u64(5) + vector(tree_hash) + vector(b"t" * 32) + vector(b"")
    extensions = vector(b"\0\2" + vector(nodes)) if nodes else vector(b"")
    signed = context + extensions + vector(b"C" * 32) + signer_leaf.to_bytes(4, "big")
    return as_message(signed + vector(sign_with_label(seeded(signer), "GroupInfoTBS", signed)), 4)


# --- PrivateMessage -------------------------------------------------------------------------------------------------


def test_a_private_message_shows_its_header() -> None:
    """Group, epoch, content type and authenticated data."""
    assert parse_private_message(private(b"a" * 36)) == PrivateHeader(b"g" * 16, 5, 1, b"a" * 36)
    assert parse_private_message(private(b"a" * 100)).authenticated_data == b"a" * 100


@pytest.mark.parametrize(
    "message",
    [
        b"",
        private()[:4],
        private()[:-1],
        private(tail=b"\0"),
        private(content_type=0),
        private(content_type=4),
        private(b"a" * 5000),
        private().replace(b"\0\1\0\2", b"\0\2\0\2", 1),
        private().replace(b"\0\1\0\2", b"\0\1\0\1", 1),
        private().replace(b"\x10" + b"g" * 16, b"\x40\x10" + b"g" * 16),
        private().replace(b"\x10" + b"g" * 16, b"\xc0\x10" + b"g" * 16),
        private().replace(b"\x41\x2c", b"\xbf\xff\xff\xff"),
        as_message(vector(b"g" * 256) + u64(5) + b"\1" + vector(b"") + vector(b"s") + vector(b"c"), 2),
        as_message(vector(b"g") + u64(5) + b"\1" + vector(b"") + vector(b"s") + vector(b""), 2),
        as_message(vector(b"g" * 16) + u64(5), 2),
    ],
)
def test_another_private_message_is_malformed(message: bytes) -> None:
    """Versions, lengths, trailing bytes, unknown content types and impossible sizes."""
    with pytest.raises(Malformed):
        parse_private_message(message)


def test_the_official_private_messages_parse() -> None:
    """messages.json, all suites: the clear part does not depend on the suite."""
    cases = mls("messages")
    assert cases
    for case in cases:
        raw = bytes.fromhex(case["private_message"])
        assert parse_private_message(raw).content_type in (1, 2, 3)
        with pytest.raises(Malformed):
            parse_private_message(raw + b"\0")


# --- commits --------------------------------------------------------------------------------------------------------


def test_a_commit_shows_what_it_does() -> None:
    """Adds, removes, path, sender and epoch."""
    header = parse_commit(commit(ADD + REMOVE, b"\1" + PATH_LEAF + vector(PATH_NODE)))
    assert (header.group_id, header.epoch, header.sender_leaf) == (b"g" * 16, 5, 7)
    assert header.authenticated_data == b"aad"
    assert [add.identity for add in header.adds] == [IDENTITY]
    assert header.adds[0] == parse_key_package(as_message(package(), 5))
    assert header.removes == (5,)
    assert header.path is not None
    assert header.has_path
    assert header.path.leaf.verify_signature(b"g" * 16, 7)
    assert not header.path.leaf.verify_signature(b"g" * 16, 8)
    assert not header.path.leaf.verify_signature()
    assert [(node.encryption_key, node.secrets) for node in header.path.nodes] == [(b"n" * 32, 2)]


def test_an_empty_commit_has_no_path() -> None:
    """Nothing added, nothing removed, no fresh secrets."""
    header = parse_commit(commit())
    assert (header.adds, header.removes, header.has_path) == ((), (), False)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (commit(b"\x02" + vector(b"r" * 32)), "reference"),
        (commit(b"\x01\0\x02" + leaf()), "update"),
        (commit(b"\x01\0\x04"), "psk"),
        (commit(b"\x01\0\x05"), "reinit"),
        (commit(b"\x01\0\x06"), "external_init"),
        (commit(b"\x01\0\x07\0"), "group_context_extensions"),
        (commit(b"\x01\x0a\x0a"), "unknown"),
        (commit(sender=b"\x02\0\0\0\0"), "external"),
        (commit(sender=b"\x03"), "new_member_proposal"),
        (commit(sender=b"\x04"), "new_member_commit"),
        (commit(b"\x01\0\x01" + package(head=b"\0\1\0\2")), "suite"),
        (commit(b"\x01\0\x01" + package(head=b"\0\2\0\1")), "version"),
        (commit(b"\x01\0\x01" + package(leaf(credential=b"\0\x02" + vector(b"")))), "basic"),
    ],
)
def test_what_kith_does_not_speak_is_refused_by_name(message: bytes, named: str) -> None:
    """A client reads in the refusal which part was not accepted."""
    with pytest.raises(Unsupported, match=named):
        parse_commit(message)


@pytest.mark.parametrize(
    "message",
    [
        commit()[:-1],
        commit() + b"\0",
        commit(kind=1),
        commit(kind=2),
        commit(kind=9),
        commit(sender=b"\x00"),
        commit(sender=b"\x05"),
        commit(b"\x00"),
        commit(b"\x03\0\x01"),
        commit(ADD[:-1]),
        commit(REMOVE + REMOVE),
        commit(REMOVE + b"\0"),
        commit(path=b"\2"),
        commit(path=b"\1" + leaf() + vector(b"")),
        commit(path=b"\1" + PATH_LEAF + vector(PATH_NODE * 17)),
        commit(path=b"\1" + PATH_LEAF + vector(vector(b"n" * 31) + vector(b""))),
        commit(path=b"\1" + PATH_LEAF + vector(vector(b"n" * 32) + vector(SECRET * 257))),
        commit(path=b"\1" + PATH_LEAF + vector(vector(b"n" * 32) + vector(vector(b"k" * 31) + vector(b"")))),
        commit(b"".join(b"\x01\0\x03" + number.to_bytes(4, "big") for number in range(257))),
        private(),
        bytes(1024 * 1024 + 1),
    ],
)
def test_another_commit_is_malformed(message: bytes) -> None:
    """Cut short, extended, other content, repeated removals, wrong leaf sources, too many of anything."""
    with pytest.raises(Malformed):
        parse_commit(message)


def suite_1(name: str) -> list[dict[str, Any]]:
    """The cases of suite 1."""
    return [case for case in mls(name) if case["cipher_suite"] == 1]


def official_commits() -> list[bytes]:
    """Every public commit of the passive-client vectors of suite 1."""
    names = ("passive-client-handling-commit", "passive-client-random")
    return [bytes.fromhex(epoch["commit"]) for name in names for case in suite_1(name) for epoch in case["epochs"]]


def test_the_official_commits_parse_or_are_refused_by_name() -> None:
    """Inline Adds and Removes are read; references, PSKs and extension changes are named in the refusal."""
    read, named = 0, 0
    for raw in official_commits():
        try:
            header = parse_commit(raw)
        except Unsupported as refusal:
            named += any(word in str(refusal) for word in ("reference", "psk", "group_context_extensions"))
        else:
            assert raw[4:].startswith(header.framed_content)
            read += 1
    assert (read, named) == (115, 111)


def test_a_commit_signature_binds_the_group_context() -> None:
    """FramedContentTBS: version, wire format, content and GroupContext."""
    unsigned = commit(REMOVE)
    header = parse_commit(unsigned)
    tbs = b"\0\1\0\1" + header.framed_content + b"context"
    signature = sign_with_label(seeded(3), "FramedContentTBS", tbs)
    signed = parse_commit(unsigned.replace(b"S" * 64, signature))
    key = public_bytes(seeded(3))
    assert signed.verify_signature(key, b"context")
    assert not signed.verify_signature(key, b"another")
    assert not header.verify_signature(key, b"context")


def test_the_transcript_takes_everything_but_the_tags() -> None:
    """ConfirmedTranscriptHashInput: wire format, content and signature as sent, nothing else (section 8.2)."""
    raw = commit(ADD + REMOVE, b"\1" + PATH_LEAF + vector(PATH_NODE))
    tags = len(vector(b"C" * 32)) + len(vector(b"M" * 32))
    assert parse_commit(raw).transcript_input() == raw[2:-tags]
    assert parse_commit(raw).confirmation_tag == b"C" * 32


# --- key packages ---------------------------------------------------------------------------------------------------


def test_a_key_package_says_who_offers_it() -> None:
    """Identity, key and reference."""
    offered = parse_key_package(as_message(package(), 5))
    offered.verify(NOW)
    assert (offered.identity, offered.signature_key) == (IDENTITY, public_bytes(seeded(2)))
    label = b"MLS 1.0 KeyPackage Reference"
    assert offered.ref == hashlib.sha256(vector(label) + vector(package())).digest()


def lifetime(first: int, last: int) -> bytes:
    """A leaf of source key_package with this lifetime."""
    return leaf(source=b"\x01" + u64(first) + u64(last))


def test_a_lifetime_counts_both_ends_and_ninety_days() -> None:
    """The first and the last second are valid, and exactly 90 days are allowed."""
    offered = parse_key_package(as_message(package(lifetime(NOW, NOW + MAX_LIFETIME_S)), 5))
    offered.verify(NOW)
    offered.verify(NOW + MAX_LIFETIME_S)


@pytest.mark.parametrize(
    "node",
    [
        lifetime(NOW - 10, NOW - 1),
        lifetime(NOW + 1, NOW + 10),
        lifetime(NOW, NOW + MAX_LIFETIME_S + 1),
        lifetime(0, 2**64 - 1),
        lifetime(NOW + 1, NOW - 1),
        leaf(source=b"\x02"),
        leaf(source=b"\x03" + vector(b"")),
        leaf(capabilities=u16s(1) + u16s(2, 3) + u16s() + u16s() + u16s(1)),
        leaf(capabilities=u16s(2) + u16s(1) + u16s() + u16s() + u16s(1)),
        leaf(capabilities=u16s(1) + u16s(1) + u16s() + u16s() + u16s(2)),
        leaf(extensions=b"\xff\x01" + vector(b"")),
        leaf(encryption_key=b"i" * 32),
    ],
)
def test_an_unusable_key_package_is_refused(node: bytes) -> None:
    """Expired, not yet valid, unlimited, of another source, incapable of what it uses, one key for two purposes."""
    with pytest.raises(PolicyRefused):
        parse_key_package(as_message(package(node), 5)).verify(NOW)


def test_a_leaf_extension_it_can_handle_is_fine() -> None:
    """Named among the capabilities, an extension is no obstacle."""
    capable = u16s(1) + u16s(1) + u16s(0xFF01) + u16s() + u16s(1)
    parse_key_package(as_message(package(leaf(extensions=b"\xff\x01" + vector(b""), capabilities=capable)), 5)).verify(
        NOW
    )


def test_a_key_package_signed_by_another_is_refused() -> None:
    """Package and leaf are both signed by the leaf's key, also when one of the two is right."""
    foreign_leaf = leaf()[:-64] + bytes(64)
    for body in (package(signer=3), package(foreign_leaf)):
        with pytest.raises(BadSignature):
            parse_key_package(as_message(body, 5)).verify(NOW)


@pytest.mark.parametrize(
    "message",
    [
        as_message(package(), 4),
        as_message(package(), 5) + b"\0",
        as_message(package(), 5)[:-1],
        as_message(package(init=b"i" * 31), 5),
        as_message(package(leaf(source=b"\x00")), 5),
        as_message(package(leaf(source=b"\x03" + vector(b"h" * 31))), 5),
        as_message(package(leaf(capabilities=vector(b"\0") + u16s(1) + u16s() + u16s() + u16s(1))), 5),
        as_message(package(leaf(extensions=2 * (b"\xff\x01" + vector(b"")))), 5),
        as_message(package(leaf(credential=b"\0\x01" + vector(bytes(2000)))), 5),
        as_message(package(), 5) + bytes(20_000),
    ],
)
def test_another_key_package_is_malformed(message: bytes) -> None:
    """Lengths, leftovers, half numbers, repeated extensions, oversized identities."""
    with pytest.raises(Malformed):
        parse_key_package(message)


def test_the_official_key_packages_are_the_ones_their_welcomes_address() -> None:
    """Every suite 1 passive-client and welcome case: leaf and package signatures hold and the reference matches."""
    names = ("passive-client-welcome", "passive-client-handling-commit", "passive-client-random", "welcome")
    cases = [case for name in names for case in suite_1(name)]
    assert len(cases) == 23
    for case in cases:
        offered = parse_key_package(bytes.fromhex(case["key_package"]))
        assert offered.ref in parse_welcome(bytes.fromhex(case["welcome"])).refs
        with pytest.raises(PolicyRefused):
            offered.verify(0)  # all of them live longer than 90 days or start later
        assert offered.leaf.verify_signature()
        assert verify_with_label(offered.signature_key, "KeyPackageTBS", offered.signed, offered.signature)


# --- Welcome, ratchet tree, GroupInfo -------------------------------------------------------------------------------


def welcome(*refs: bytes, suite: bytes = b"\0\1") -> bytes:
    """A Welcome to these key packages."""
    return as_message(suite + vector(b"".join(vector(ref) + SECRET for ref in refs)) + vector(b"info"), 3)


def test_a_welcome_lists_whom_it_is_for() -> None:
    """The references, in order."""
    assert parse_welcome(welcome(b"a" * 32, b"b" * 32)).refs == (b"a" * 32, b"b" * 32)
    assert parse_welcome(welcome()).refs == ()


@pytest.mark.parametrize(
    "message",
    [
        welcome(b"a" * 32, b"a" * 32),
        welcome(b"a" * 31),
        welcome(suite=b"\0\2"),
        welcome(b"a" * 32) + b"\0",
        welcome(b"a" * 32)[:-1],
        welcome(*(number.to_bytes(32, "big") for number in range(257))),
    ],
)
def test_another_welcome_is_malformed(message: bytes) -> None:
    """Twice the same address, wrong lengths, another suite, too many joiners."""
    with pytest.raises(Malformed):
        parse_welcome(message)


def test_the_official_trees_hash_and_verify() -> None:
    """tree-validation.json, suite 1: every node's tree hash, and every leaf's signature in its group and place."""
    for case in suite_1("tree-validation"):
        tree = ratchet_tree.read_tree(bytes.fromhex(case["tree"]))
        assert [value.hex() for value in ratchet_tree.tree_hashes(tree)] == case["tree_hashes"]
        for index, node in ratchet_tree.leaves_of(tree):
            assert node.verify_signature(bytes.fromhex(case["group_id"]), index)


PARENT = b"\2" + vector(b"p" * 32) + vector(b"") + vector(b"\0\0\0\1\0\0\0\2")
LEAF = b"\1" + leaf()


@pytest.mark.parametrize(
    "tree",
    [
        b"",
        tree_bytes(),
        tree_bytes(LEAF, None),
        tree_bytes(None),
        tree_bytes(PARENT),
        tree_bytes(LEAF, LEAF, LEAF),
        tree_bytes(LEAF, b"\3", LEAF),
        tree_bytes(LEAF, b"\2" + vector(b"p" * 31) + vector(b"") + vector(b""), LEAF),
        tree_bytes(LEAF, b"\2" + vector(b"p" * 32) + vector(b"h") + vector(b""), LEAF),
        tree_bytes(LEAF, b"\2" + vector(b"p" * 32) + vector(b"") + vector(b"\0\0\0"), LEAF),
        tree_bytes(LEAF, b"\2" + vector(b"p" * 32) + vector(b"") + vector(b"\0\0\0\1" * 2), LEAF),
        tree_bytes(*[None] * 512, LEAF),
        tree_bytes(LEAF) + b"\0",
    ],
)
def test_another_tree_is_malformed(tree: bytes) -> None:
    """Empty, ending blank, nodes of the wrong kind or size, leaves out of order, more than 512 nodes."""
    with pytest.raises(Malformed):
        ratchet_tree.read_tree(tree)


def test_a_tree_is_filled_up_to_full_size() -> None:
    """Blank nodes at the right edge are left out on the wire."""
    assert len(ratchet_tree.read_tree(tree_bytes(LEAF))) == 1
    assert len(ratchet_tree.read_tree(tree_bytes(LEAF, PARENT, LEAF))) == 3
    assert len(ratchet_tree.read_tree(tree_bytes(LEAF, None, None, None, LEAF))) == 7


def test_a_group_info_shows_the_group() -> None:
    """Context, members and signer, with its signature and its tree hash checked apart."""
    nodes = tree_bytes(LEAF, PARENT, LEAF)
    tree_hash = ratchet_tree.tree_hash(ratchet_tree.read_tree(nodes))
    info = parse_group_info(group_info(nodes, tree_hash=tree_hash))
    assert (info.group_id, info.epoch, info.signer) == (b"g" * 16, 5, 0)
    assert info.confirmed_transcript_hash == b"t" * 32
    key = public_bytes(seeded(2))
    assert info.leaves == [(0, IDENTITY, key), (1, IDENTITY, key)]
    assert info.group_context.endswith(vector(b"t" * 32) + b"\0")
    assert info.verify_signature()
    assert info.tree_hash_matches()


def test_a_group_info_is_not_signed_by_a_stranger() -> None:
    """Wrong key, blank signer, signer beyond the tree, and a tree that is not the committed one."""
    assert not parse_group_info(group_info(signer=3)).verify_signature()
    for signer_leaf in (1, 2**32 - 1):
        assert not parse_group_info(group_info(signer_leaf=signer_leaf)).verify_signature()
    assert not parse_group_info(group_info(tree_hash=b"h" * 32)).tree_hash_matches()


@pytest.mark.parametrize("message", [group_info(b""), group_info() + b"\0", group_info()[:-1], group_info(b"\0")])
def test_another_group_info_is_malformed(message: bytes) -> None:
    """Without a tree, with leftovers, cut short, with an empty tree."""
    with pytest.raises(Malformed):
        parse_group_info(message)


PARSERS = (parse_private_message, parse_commit, parse_key_package, parse_welcome, parse_group_info)
SAMPLES = [
    private(b"a" * 36),
    commit(ADD + REMOVE, b"\1" + PATH_LEAF + vector(PATH_NODE)),
    as_message(package(), 5),
    welcome(b"a" * 32, b"b" * 32),
    group_info(tree_bytes(LEAF, PARENT, LEAF)),
]


def test_the_official_messages_of_the_suite_parse() -> None:
    """messages.json: Welcome, GroupInfo and KeyPackage of suite 1 are read, those of others refused as such."""
    cases = mls("messages")
    read, named = 0, 0
    for case in cases:
        for name, parse in (
            ("mls_welcome", parse_welcome),
            ("mls_group_info", parse_group_info),
            ("mls_key_package", parse_key_package),
        ):
            try:
                parse(bytes.fromhex(case[name]))
                read += 1
            except Unsupported as refusal:
                named += "suite" in str(refusal)
    assert (read, named) == (300, 600)


@settings(max_examples=400)
@given(
    st.binary(max_size=100) | st.sampled_from(SAMPLES), st.integers(0, 10**6), st.binary(max_size=3), st.integers(0, 3)
)
def test_arbitrary_and_mutated_bytes_are_read_or_malformed(data: bytes, at: int, put: bytes, drop: int) -> None:
    """Every parser raises nothing but Malformed, also next to real messages."""
    at %= len(data) + 1
    mutated = data[:at] + put + data[at + drop :]
    for parse in PARSERS:
        try:
            parse(mutated)
        except Malformed:
            continue


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_key_package_with_any_byte_changed_never_verifies(at: int, change: int) -> None:
    """Everything in it is signed."""
    raw = bytearray(as_message(package(), 5))
    raw[at % len(raw)] ^= change
    with pytest.raises(Malformed):
        parse_key_package(bytes(raw)).verify(NOW)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_group_info_with_any_byte_changed_never_verifies(at: int, change: int) -> None:
    """Everything in it is signed, the tree included."""
    raw = bytearray(group_info(tree_bytes(LEAF, PARENT, LEAF)))
    raw[at % len(raw)] ^= change
    try:
        info = parse_group_info(bytes(raw))
    except Malformed:
        return
    assert not info.verify_signature()
