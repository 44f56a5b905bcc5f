"""Every refusal of the engine is met at least once, most of them from bytes that a member signed in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kith.protocol.mls import group as groups
from kith.protocol.mls import ratchet_tree, treekem
from kith.protocol.mls.codec import RFC9420, Extension
from kith.protocol.mls.crypto import derive_key_pair, encrypt_with_label, hpke_info
from kith.protocol.mls.engine import Application, Proposal, Settings
from kith.protocol.mls.framing import Body, framed_content, parse_commit, parse_private_message
from kith.protocol.mls.group import Group, Rules
from kith.protocol.mls.group_info import RATCHET_TREE, group_info_fields, group_info_message
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.mls.key_schedule import EXTERNAL, PskId, epoch_from_secret, read_group_context, read_psk_id
from kith.protocol.mls.leaf_node import Capabilities, Lifetime, from_lifetime, leaf_fields, leaf_place, read_leaf
from kith.protocol.mls.observer import observe
from kith.protocol.mls.proposals import (
    Add,
    Commit,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    ProposalRef,
    ReInit,
    Remove,
    Update,
)
from kith.protocol.mls.public_message import Verified, protect_public, sign_content
from kith.protocol.mls.ratchet_tree import ParentNode, Tree, parent_node
from kith.protocol.mls.refusals import BadSignature, BadTag, PolicyRefused, Replay, Unsupported
from kith.protocol.mls.secret_tree import Ratchet, SecretTree
from kith.protocol.mls.state import decode_group, encode_group
from kith.protocol.mls.suite import WireFormat
from kith.protocol.mls.welcome import GroupSecrets, read_group_secrets
from kith.protocol.signing import Signer, public_bytes, sign_with_label
from kith.protocol.wire import Malformed, Reader, vector
from mls.people import DAY, NOW, Device, Town, anybody, anything

LOOSE = Settings(proposals=RFC9420.proposals, by_reference=True, extensions=frozenset(range(1, 6)))


def signed(town: Town, by: str, body: Body, *, leaf: int | None = None, aad: bytes = b"") -> bytes:
    """A PublicMessage that this member signs and tags in order, whatever is in it."""
    state = town.states[by]
    place = state.own_leaf if leaf is None else leaf
    content = framed_content(state.context.group_id, state.epoch, place, aad, body)
    signature = sign_content(WireFormat.PUBLIC_MESSAGE, content, state.encoded_context, town.devices[by].key)
    tag = b"t" * 32 if isinstance(body, Commit) else None
    verified = Verified(WireFormat.PUBLIC_MESSAGE, content, signature, tag)
    return protect_public(verified, membership_key=state.secrets.membership_key, group_context=state.encoded_context)


def commit_of(*proposals: Any, path: Any = None) -> Commit:
    """A commit with these proposals or references."""
    return Commit(proposals, path)


PSK_ID = PskId(EXTERNAL, b"id", b"nonce")


@pytest.mark.parametrize(
    ("body", "why", "named"),
    [
        (commit_of(Remove(0)), Malformed, "its committer's own"),
        (commit_of(Remove(1), Remove(1)), Malformed, "twice"),
        (commit_of(Remove(7)), Malformed, "not there"),
        (commit_of(ReInit(b"g", 1, 1, ())), Unsupported, "ReInit"),
        (commit_of(ExternalInit(b"k" * 32)), Unsupported, "ExternalInit"),
        (commit_of(PreSharedKey(PSK_ID)), Unsupported, "psk"),
        (commit_of(PreSharedKey(PSK_ID), PreSharedKey(PSK_ID)), Malformed, "twice"),
        (commit_of(GroupContextExtensions(()), GroupContextExtensions(())), Malformed, "twice"),
        (commit_of(GroupContextExtensions((Extension(9, b""),))), PolicyRefused, "does not support"),
        (
            commit_of(GroupContextExtensions((Extension(3, vector(b"\0\x09") + vector(b"") + vector(b"")),))),
            PolicyRefused,
            "requires",
        ),
        (commit_of(), Malformed, "needs an update path"),
        (commit_of(ProposalRef(b"r" * 32)), Malformed, "not here"),
        (b"text", Malformed, "in the open"),
    ],
)
def test_a_commit_that_means_nothing_is_refused(body: Body, why: type[Malformed], named: str) -> None:
    """Signed, tagged, and still not acceptable; nothing has changed."""
    town = Town("ann", "ben", settings=LOOSE)
    with pytest.raises(why, match=named):
        town.devices["ben"].engine.process(town.states["ben"], signed(town, "ann", body))
    town.change("ann")
    assert town.agree()


def test_a_commit_by_nobody_is_refused() -> None:
    """A leaf that is blank or beyond the tree has no key to verify with."""
    town = Town("ann", "ben", "cem")
    for leaf in (3, 99):
        with pytest.raises(Malformed, match="not there"):
            town.devices["ben"].engine.process(town.states["ben"], signed(town, "ann", commit_of(), leaf=leaf))
    group = observe(town.devices["ann"].engine.group_info(town.states["ann"]))
    with pytest.raises(Malformed, match="not there"):
        group.follow(signed(town, "ann", commit_of(), leaf=3), b"", None, now_s=NOW)


def test_the_same_device_is_not_added_under_another_key() -> None:
    """One identity, one leaf: when making a commit and when reading one."""
    town = Town("ann", "ben")
    imposter = Device("ben", seed=5)
    imposter.key = Device("cem").key
    imposter.engine = type(imposter.engine)(
        identity=imposter.identity,
        signature_key=public_bytes(imposter.key),
        signer=imposter.key,
        random=lambda size: b"\x07" * size,
        authenticate=anybody,
        roster=anything,
    )
    message = imposter.engine.new_key_package(not_before=NOW, not_after=NOW + DAY).message
    # The test's constant randomness makes init key and leaf key equal, which is refused before anything else.
    with pytest.raises(PolicyRefused, match="two purposes"):
        town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=[message])
    calls = iter(range(256))
    imposter.engine._random = lambda size: bytes((next(calls),)) * size
    message = imposter.engine.new_key_package(not_before=NOW, not_after=NOW + DAY).message
    with pytest.raises(PolicyRefused, match="twice"):
        town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=[message])
    adding = signed(town, "ann", commit_of(Add(parse_key_package(message))))
    with pytest.raises(PolicyRefused, match="twice"):
        town.devices["ben"].engine.process(town.states["ben"], adding)


# --- proposals that travel on their own -----------------------------------------------------------------------------


def updated_leaf(
    town: Town, name: str, *, source: bytes = b"\x02", key: bytes | None = None, good: bool = True
) -> Update:
    """A new leaf for a member; in order unless told otherwise."""
    device, state = town.devices[name], town.states[name]
    fields = leaf_fields(
        encryption_key=derive_key_pair(b"update")[1] if key is None else key,
        signature_key=public_bytes(device.key),
        identity=device.identity,
        capabilities=Capabilities(),
        source=source,
    )
    place = leaf_place(state.context.group_id, state.own_leaf + (0 if good else 1))
    tbs = fields if source != b"\x02" else fields + place
    return Update(read_leaf(Reader(fields + vector(sign_with_label(device.key, "LeafNodeTBS", tbs)))))


@pytest.mark.parametrize("way", ["source", "key", "signature"])
def test_an_update_that_is_not_in_order_is_refused(way: str) -> None:
    """Another source, the key that is there already, a signature for another place."""
    town = Town("ann", "ben", "cem", settings=LOOSE)
    leaf = ratchet_tree.member_at(town.states["ben"].tree, 1)
    update = {
        "source": lambda: updated_leaf(town, "ben", source=from_lifetime(Lifetime(NOW, NOW + DAY))),
        "key": lambda: updated_leaf(town, "ben", key=leaf.encryption_key),
        "signature": lambda: updated_leaf(town, "ben", good=False),
    }[way]()
    cem = town.devices["cem"].engine
    heard = cem.process(town.states["cem"], signed(town, "ben", update))
    assert isinstance(heard.event, Proposal)
    assert (heard.event.type, heard.event.sender.leaf) == (2, 1)
    with pytest.raises(Malformed):
        cem.process(heard.state, signed(town, "ann", commit_of(ProposalRef(heard.event.ref))))
    again = cem.restore(cem.serialise(heard.state))
    assert again == heard.state


def test_an_update_by_reference_is_applied() -> None:
    """It is in order, so what stops this commit is that its path is missing."""
    town = Town("ann", "ben", "cem", settings=LOOSE)
    cem = town.devices["cem"].engine
    heard = cem.process(town.states["cem"], signed(town, "ben", updated_leaf(town, "ben")))
    assert isinstance(heard.event, Proposal)
    with pytest.raises(Malformed, match="needs an update path"):
        cem.process(heard.state, signed(town, "ann", commit_of(ProposalRef(heard.event.ref))))


def test_a_proposal_on_its_own_is_refused_unless_settings_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kith's groups have inline proposals only; where others are allowed, not too many wait."""
    town = Town("ann", "ben")
    message = signed(town, "ann", Remove(1))
    with pytest.raises(Unsupported, match="by reference"):
        town.devices["ben"].engine.process(town.states["ben"], message)
    loose = Device("ben", settings=LOOSE).engine
    state = loose.process(town.states["ben"], message).state
    monkeypatch.setattr(groups, "MAX_CACHED_PROPOSALS", 1)
    with pytest.raises(PolicyRefused, match="too many"):
        loose.process(state, signed(town, "ann", Remove(1), aad=b"another"))
    with pytest.raises(Malformed, match="not a commit"):
        parse_commit(message)
    group = observe(town.devices["ann"].engine.group_info(town.states["ann"]))
    with pytest.raises(Malformed, match="not a commit"):
        group.follow(message, b"", None, now_s=NOW)
    by_reference = signed(town, "ann", commit_of(ProposalRef(b"r" * 32)))
    with pytest.raises(Malformed, match="not here"):
        group.follow(by_reference, b"", None, now_s=NOW, dialect=RFC9420)


def test_what_was_heard_is_used_for_what_it_is() -> None:
    """An application message is neither a proposal nor a commit."""
    town = Town("ann", "ben")
    rules = Rules(authenticate=anybody, roster=anything)
    heard = groups.hear(town.states["ben"], town.say("ann", b"text"), rules)
    with pytest.raises(Malformed, match="not a proposal"):
        groups.remember_proposal(heard.group, heard.verified, rules)
    with pytest.raises(Malformed, match="not a commit"):
        groups.follow(heard.group, heard, rules)


# --- Welcomes of a member that lies ---------------------------------------------------------------------------------


def welcome_with(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Group, Signer], bytes] | None, *, to: str = "cem"
) -> tuple[Town, bytes, bytes]:
    """A Welcome by ann whose GroupInfo is made by `change`, or that addresses a package which is not added."""
    town = Town("ann", "ben")
    message, secret = town.device("cem").package()
    other, other_secret = town.device("dan").package()
    with monkeypatch.context() as patch:
        if change is not None:
            patch.setattr(groups, "_sign_group_info", change)
        if to == "dan":
            genuine = groups._welcome
            patch.setattr(
                groups,
                "_welcome",
                lambda applied, *rest: genuine(
                    replace(applied, added=((applied.added[0][0], parse_key_package(other)),)), *rest
                ),
            )
        made = town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=[message])
    assert made.welcome is not None
    return town, made.welcome, other_secret if to == "dan" else secret


def info(
    group: Group, signer: Signer, *, tree: Tree | None = None, tag: bytes | None = None, bare: bool = False
) -> bytes:
    """A GroupInfo with something else in it."""
    encoded = ratchet_tree.encode_tree(group.tree if tree is None else tree)
    extensions = () if bare else (Extension(RATCHET_TREE, encoded),)
    fields = group_info_fields(group.encoded_context, extensions, tag or group.confirmation_tag, group.own_leaf)
    return fields + vector(sign_with_label(signer, "GroupInfoTBS", fields))


def other_extension(group: Group, signer: Signer) -> bytes:
    """A GroupInfo with an extension that is not the tree."""
    fields = group_info_fields(group.encoded_context, (Extension(4, b""),), group.confirmation_tag, group.own_leaf)
    return fields + vector(sign_with_label(signer, "GroupInfoTBS", fields))


def with_root(group: Group, change: Callable[[ParentNode], ParentNode]) -> Tree:
    """The tree with another root."""
    nodes = list(group.tree)
    root = nodes[len(nodes) // 2]
    assert isinstance(root, ParentNode)
    nodes[len(nodes) // 2] = change(root)
    return tuple(nodes)


LIES: dict[str, tuple[type[Malformed], Callable[[Group, Signer], bytes]]] = {
    "no tree": (Malformed, lambda group, signer: info(group, signer, bare=True)),
    "another's signature": (BadSignature, lambda group, _: info(group, Device("ben").key)),
    "another confirmation tag": (BadTag, lambda group, signer: info(group, signer, tag=b"t" * 32)),
    "no tree among other extensions": (Malformed, other_extension),
    "another tree": (Malformed, lambda group, signer: info(group, signer, tree=group.tree[:1])),
    "another key in the tree": (
        Malformed,
        lambda group, signer: info(
            group,
            signer,
            tree=with_root(group, lambda root: parent_node(derive_key_pair(b"x")[1], root.parent_hash)),
        ),
    ),
    "an unmerged leaf that is not there": (
        Malformed,
        lambda group, signer: info(
            group, signer, tree=with_root(group, lambda root: parent_node(root.encryption_key, b"", (9,)))
        ),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_welcome_that_lies_is_refused(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    """The tree, its signatures, hashes and tag are all checked by whoever joins."""
    why, change = LIES[lie]
    town, welcome, secret = welcome_with(monkeypatch, change)
    with pytest.raises(why):
        town.devices["cem"].engine.join(welcome, secret)


def test_a_welcome_to_a_group_without_us_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets open, but our leaf is not in the tree."""
    town, welcome, secret = welcome_with(monkeypatch, None, to="dan")
    with pytest.raises(Malformed, match="without this device"):
        town.devices["dan"].engine.join(welcome, secret)


def test_an_unmerged_leaf_must_be_known_in_between() -> None:
    """A node in between that does not list it would be thought to know its secret."""
    town = Town("ann", "ben", "cem", "dan")
    for name in ("ann", "cem"):
        town.change(name)
    tree = town.states["ann"].tree
    ratchet_tree.check_tree(tree, town.states["ann"].context.group_id)
    nodes = list(tree)
    root = nodes[3]
    assert isinstance(root, ParentNode)
    nodes[3] = parent_node(root.encryption_key, root.parent_hash, (1,))
    with pytest.raises(Malformed, match="in between"):
        ratchet_tree.check_tree(tuple(nodes), town.states["ann"].context.group_id)


@pytest.mark.parametrize("lie", ["another key in the tree", "another's signature", "another tree"])
def test_an_observer_refuses_a_group_info_that_lies(lie: str) -> None:
    """When it begins and when it follows."""
    town = Town("ann", "ben", "cem")
    engine, state = town.devices["ann"].engine, town.states["ann"]
    with pytest.raises(Malformed):
        observe(group_info_message(LIES[lie][1](state, town.devices["ann"].key)))
    group = observe(engine.group_info(state))
    made = engine.commit(state, now_s=NOW)
    assert made.state.pending is not None
    false_info = group_info_message(LIES[lie][1](made.state.pending.after, town.devices["ann"].key))
    with pytest.raises(Malformed):
        group.follow(made.commit, false_info, None, now_s=NOW)


def test_an_observer_refuses_false_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path leaf that is not signed, or that stands for another device; and a commit without the path it needs."""
    town = Town("ann", "ben")
    engine, state = town.devices["ann"].engine, town.states["ann"]
    group = observe(engine.group_info(state))
    genuine = groups._leaf_signer

    def as_another(group: Group, public: bytes, signer: Signer) -> Callable[[bytes], bytes]:
        leaf = replace(ratchet_tree.member_at(group.tree, 0), identity=b"another")
        return genuine(replace(group, tree=(leaf, *group.tree[1:])), public, signer)

    def by_another(group: Group, public: bytes, _signer: Signer) -> Callable[[bytes], bytes]:
        return genuine(group, public, Device("ben").key)

    for false, why in ((as_another, PolicyRefused), (by_another, BadSignature)):
        with monkeypatch.context() as patch:
            patch.setattr(groups, "_leaf_signer", false)
            made = engine.commit(state, now_s=NOW)
        with pytest.raises(why):
            group.follow(made.commit, made.group_info, None, now_s=NOW)
    with pytest.raises(Malformed, match="needs an update path"):
        group.follow(signed(town, "ann", commit_of()), made.group_info, None, now_s=NOW)
    message = town.device("cem").package()[0]
    pathless = signed(town, "ann", commit_of(Add(parse_key_package(message))))
    adding = engine.commit(state, now_s=NOW, adds=[message])
    assert adding.welcome is not None
    with pytest.raises(Malformed):
        group.follow(pathless, adding.group_info, adding.welcome, now_s=NOW)


# --- the rest -------------------------------------------------------------------------------------------------------


def test_what_is_blank_in_between_knows_nothing() -> None:
    """A blank node between a node and its unmerged leaf lists nobody, and the tree is in order."""
    town = Town("ann", "ben", "cem", "dan", "eva")
    town.change("cem", remove=("ben",))
    town.change("eva", add=("fay",))
    above = town.states["fay"].tree[3]
    assert isinstance(above, ParentNode)
    assert (above.unmerged_leaves, town.states["fay"].tree[1]) == ((1,), None)
    town.change("fay")
    assert town.agree()


def test_a_message_may_go_without_padding() -> None:
    """For whoever pads elsewhere; by default every length within a bucket looks the same."""
    sizes = {}
    for pad in (True, False):
        town = Town("ann", "ben", settings=Settings(pad=pad))
        messages = [town.say("ann", bytes(length)) for length in (0, 100, 180)]
        sizes[pad] = {len(message) for message in messages}
        for message in messages:
            town.states["ben"] = town.devices["ben"].engine.process(town.states["ben"], message).state
    assert len(sizes[True]) == 1
    assert len(sizes[False]) == 3


def test_a_commit_waits_for_its_answer() -> None:
    """No second one meanwhile, and none is applied that was not made."""
    town = Town("ann", "ben")
    engine = town.devices["ann"].engine
    with pytest.raises(PolicyRefused):
        engine.apply_own(town.states["ann"])
    waiting = engine.commit(town.states["ann"], now_s=NOW).state
    with pytest.raises(PolicyRefused):
        engine.commit(waiting, now_s=NOW)


def test_an_oversized_message_is_refused_unread() -> None:
    """More than a MiB."""
    town = Town("ann", "ben")
    with pytest.raises(Malformed, match="larger"):
        town.devices["ben"].engine.process(town.states["ben"], b"\0\1\0\2" + bytes(1024 * 1024))


def test_a_handshake_is_not_one_of_another_kind() -> None:
    """Key packages and Welcomes are not messages to a group."""
    town = Town("ann", "ben")
    with pytest.raises(Malformed):
        town.devices["ben"].engine.process(town.states["ben"], town.device("cem").package()[0])


def test_secret_trees_end_where_they_must() -> None:
    """The last generation, a leaf beyond the tree, a secret that is gone."""
    with pytest.raises(Malformed, match="used up"):
        Ratchet(2**32 - 1, bytes(32)).step()
    with pytest.raises(Malformed, match="not in the tree"):
        SecretTree.of(bytes(32), 2).opened(2)
    with pytest.raises(Replay):
        SecretTree(2, {}, {}).opened(0)


def test_paths_end_where_they_must() -> None:
    """Blank nodes, unreachable leaves, missing keys, secrets of the wrong length or of another key."""
    town = Town("ann", "ben", "cem", "dan")
    made = town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW)
    state = town.states["ben"]
    content = groups.hear(state, made.commit, Rules(authenticate=anybody, roster=anything)).verified.content.body
    assert isinstance(content, Commit)
    assert content.path is not None
    merged = treekem.merge_path(state.tree, 0, content.path, new_leaves=())
    update = content.path

    def decrypt(path: Any = update, *, own_leaf: int = 1, keys: Any = state.keys) -> treekem.PathSecrets:
        return treekem.decrypt_path(merged, path, own_leaf=own_leaf, keys=keys, new_leaves=(), group_context=b"")

    with pytest.raises(Malformed, match="not reach"):
        decrypt(own_leaf=200)
    with pytest.raises(Malformed, match="not encrypted to this"):
        decrypt(keys={})
    with pytest.raises(BadTag):
        decrypt()
    leaf = ratchet_tree.member_at(state.tree, 1)
    sealed = encrypt_with_label(leaf.encryption_key, hpke_info(b"UpdatePathNode", b""), b"short", b"e" * 32)
    first = replace(update.nodes[0], ciphertexts=(sealed,))
    with pytest.raises(Malformed, match="length"):
        decrypt(replace(update, nodes=(first, *update.nodes[1:])))
    with pytest.raises(Malformed, match="public key"):
        treekem.checked_climb(merged.tree, b"s" * 32, [1])
    with pytest.raises(Malformed, match="blank"):
        treekem._key_at((None,), 0)


def test_stored_groups_are_read_strictly() -> None:
    """Nested answers, keys outside the tree, parts twice, too many parts, other versions."""
    town = Town("ann", "ben")
    engine, state = town.devices["ann"].engine, town.states["ann"]
    waiting = engine.commit(state, now_s=NOW).state
    assert waiting.pending is not None
    nested = replace(waiting, pending=replace(waiting.pending, after=waiting))
    twice = encode_group(replace(state, keys={0: b"k" * 32, 1: b"k" * 32})).replace(
        b"\0\0\0\1 " + b"k" * 32, b"\0\0\0\0 " + b"k" * 32
    )
    many = replace(state, secret_tree=SecretTree(2, {at: bytes(32) for at in range(1025)}, {}))
    for data in (
        encode_group(nested),
        encode_group(replace(state, keys={99: bytes(32)})),
        encode_group(replace(state, own_leaf=9)),
        twice,
        encode_group(many),
        b"\x02" + encode_group(state)[1:],
        encode_group(state) + b"\0",
        b"",
    ):
        with pytest.raises(Malformed):
            decode_group(data)
    with pytest.raises(Unsupported, match="suite"):
        read_group_context(Reader(b"\0\1\0\2"))


def test_small_parts_are_read_strictly() -> None:
    """Pre-shared key ids, group secrets, messages that end within a length, sender data of a size that none has."""
    with pytest.raises(Malformed, match="unknown type"):
        read_psk_id(Reader(b"\x03"))
    with pytest.raises(Malformed, match="too many"):
        read_group_secrets(GroupSecrets(bytes(32), None, (PSK_ID,) * 257).encode())
    with pytest.raises(Malformed):
        parse_private_message(b"\0\1\0\2\x41")
    town = Town("ann", "ben")
    head = b"\0\1\0\2" + vector(town.states["ben"].context.group_id) + bytes(7) + b"\1\1" + vector(b"")
    with pytest.raises(Malformed, match="impossible size"):
        town.devices["ben"].engine.process(town.states["ben"], head + vector(bytes(65)) + vector(bytes(300)))


def test_small_questions_are_answered() -> None:
    """What the SDK asks about states and records; and how things print."""
    town = Town("ann", "ben")
    device = town.device("cem")
    made = device.engine.new_key_package(not_before=NOW, not_after=NOW + DAY, last_resort=True)
    assert device.engine.key_package_ref(made.secret) == made.ref
    assert device.engine.is_last_resort(made.secret)
    assert not device.engine.is_last_resort(device.package()[1])
    engine, state = town.devices["ben"].engine, town.states["ben"]
    assert (engine.group_id(state), engine.own_leaf(state), engine.is_active(state)) == (bytes(range(16)), 1, True)
    assert engine.own_generation(state) == 0
    done = engine.process(state, town.say("ann", b"never printed"))
    assert isinstance(done.event, Application)
    heard = groups.hear(state, town.say("ann", b"never printed"), Rules(authenticate=anybody, roster=anything))
    path = treekem.climb(b"s" * 32, [1])
    own = groups.OwnPackage(parse_key_package(made.message), b"i" * 32, b"l" * 32)
    new_path = treekem.new_path(
        state.tree, 1, path_secret=b"s" * 32, sign_leaf=lambda _: ratchet_tree.member_at(state.tree, 1).encoded
    )
    hand = groups.Hand(signer=device.key, random=bytes)
    key, _ = Ratchet(0, b"r" * 32).step()
    hidden = [done.event, heard, path, own, new_path, hand, key, GroupSecrets(b"j" * 32, b"p" * 32)]
    hidden += [epoch_from_secret(bytes(32)), Rules(authenticate=anybody, roster=anything)]
    shown = " ".join(map(repr, hidden))
    assert "never printed" not in shown
    for secret in (b"s", b"i", b"l", b"j", b"p", b"r"):
        assert repr(secret * 32)[2:-1] not in shown
