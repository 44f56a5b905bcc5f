"""The official MLS vectors (mlswg/mls-implementations) against Kith's engine: suite 1, and the cases of no suite.

One function for each file, from a case to whether everything in it holds. Nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol.mls import crypto, group, key_schedule, private_message, ratchet_tree, tree_math, treekem
from kith.protocol.mls.codec import ANY_SUITE, RFC9420, HpkeCiphertext
from kith.protocol.mls.crypto import hpke_info
from kith.protocol.mls.engine import Settings
from kith.protocol.mls.framing import (
    COMMIT,
    encode_private,
    framed_content,
    parse_private,
    parse_public_message,
    read_framed_content,
)
from kith.protocol.mls.group_info import group_info_message, parse_signed_group_info, read_group_info
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.mls.key_schedule import GroupContext, PskId
from kith.protocol.mls.leaf_node import (
    Capabilities,
    LeafNode,
    Lifetime,
    from_commit,
    from_lifetime,
    leaf_fields,
    leaf_place,
    read_leaf,
)
from kith.protocol.mls.private_message import Epoch
from kith.protocol.mls.proposals import Add, Remove, Update, read_commit, read_proposal, read_update_path
from kith.protocol.mls.public_message import Verified, protect_public, sign_content, verify_public
from kith.protocol.mls.secret_tree import SecretTree, sender_data_key
from kith.protocol.mls.suite import WireFormat, as_message
from kith.protocol.mls.welcome import open_group_info, open_group_secrets, parse_welcome, read_group_secrets
from kith.protocol.signing import Signer, public_bytes, sign_with_label, verify_with_label
from kith.protocol.wire import Reader, length_prefix, vector

Case = dict[str, Any]
unhex = bytes.fromhex


def counter(start: int = 1) -> Callable[[int], bytes]:
    """Bytes that differ at every call; what is made with them is only read again here."""
    state = start

    def draw(size: int) -> bytes:
        nonlocal state
        state += 1
        return crypto.sha256(state.to_bytes(8, "big"))[:size]

    return draw


# --- codec ----------------------------------------------------------------------------------------------------------


def deserialization(case: Case) -> bool:
    """A length is read, and written the same."""
    header = unhex(case["vlbytes_header"])
    length: int = case["length"]
    return Reader(header).varint() == length and length_prefix(length) == header


def messages(case: Case) -> bool:
    """Every kind of message is read and written again from its fields."""
    raw = {name: unhex(value) for name, value in case.items()}
    packages = parse_key_package(raw["mls_key_package"], ANY_SUITE)
    info = parse_signed_group_info(raw["mls_group_info"], ANY_SUITE)
    secrets = read_group_secrets(raw["group_secrets"])
    tree = ratchet_tree.read_tree(raw["ratchet_tree"], ANY_SUITE)
    commit = Reader(raw["commit"])
    same = [
        as_message(WireFormat.KEY_PACKAGE, packages.encode()) == raw["mls_key_package"],
        group_info_message(info.encode()) == raw["mls_group_info"],
        parse_welcome(raw["mls_welcome"], ANY_SUITE).encode() == raw["mls_welcome"],
        secrets.encode() == raw["group_secrets"],
        all(node is None or node.encode() == node.encoded for node in tree),
        ratchet_tree.encode_tree(tree) == raw["ratchet_tree"],
        read_commit(commit, ANY_SUITE).encode() == raw["commit"] and commit.left == 0,
        encode_private(*parse_private(raw["private_message"])) == raw["private_message"],
    ]
    for name in ("application", "proposal", "commit"):
        public = raw[f"public_message_{name}"]
        same.append(parse_public_message(public, ANY_SUITE).encode() == public)
    return all(same) and all(_proposal(raw[f"{name}_proposal"], kind) for kind, name in _PROPOSALS)


_PROPOSALS = (
    (1, "add"),
    (2, "update"),
    (3, "remove"),
    (4, "pre_shared_key"),
    (5, "re_init"),
    (6, "external_init"),
    (7, "group_context_extensions"),
)


def _proposal(body: bytes, kind: int) -> bool:
    raw = kind.to_bytes(2, "big") + body
    reader = Reader(raw)
    return read_proposal(reader, ANY_SUITE).encode() == raw and reader.left == 0


# --- cryptography ---------------------------------------------------------------------------------------------------


def crypto_basics(case: Case) -> bool:
    """Every labelled function; signatures and HPKE also made here and read here."""
    ref, expand, derive = case["ref_hash"], case["expand_with_label"], case["derive_secret"]
    tree, sign, seal = case["derive_tree_secret"], case["sign_with_label"], case["encrypt_with_label"]
    private = Ed25519PrivateKey.from_private_bytes(unhex(sign["priv"]))
    content, public = unhex(sign["content"]), unhex(sign["pub"])
    info, plaintext = hpke_info(seal["label"].encode(), unhex(seal["context"])), unhex(seal["plaintext"])
    sealed = HpkeCiphertext(unhex(seal["kem_output"]), unhex(seal["ciphertext"]))
    resealed = crypto.encrypt_with_label(unhex(seal["pub"]), info, plaintext, bytes(range(32)))
    return all(
        (
            crypto.ref_hash(ref["label"].encode(), unhex(ref["value"])).hex() == ref["out"],
            crypto.expand_with_label(
                unhex(expand["secret"]), expand["label"].encode(), unhex(expand["context"]), expand["length"]
            ).hex()
            == expand["out"],
            crypto.derive_secret(unhex(derive["secret"]), derive["label"].encode()).hex() == derive["out"],
            crypto.derive_tree_secret(
                unhex(tree["secret"]), tree["label"].encode(), tree["generation"], tree["length"]
            ).hex()
            == tree["out"],
            verify_with_label(public, sign["label"], content, unhex(sign["signature"])),
            verify_with_label(public, sign["label"], content, sign_with_label(private, sign["label"], content)),
            crypto.decrypt_with_label(unhex(seal["priv"]), info, sealed) == plaintext,
            crypto.decrypt_with_label(unhex(seal["priv"]), info, resealed) == plaintext,
        )
    )


def key_schedule_epochs(case: Case) -> bool:
    """Every secret of every epoch, exporter and external key included."""
    init = unhex(case["initial_init_secret"])
    good = True
    for number, epoch in enumerate(case["epochs"]):
        context = GroupContext(
            unhex(case["group_id"]), number, unhex(epoch["tree_hash"]), unhex(epoch["confirmed_transcript_hash"])
        ).encode()
        joiner = key_schedule.joiner_secret(init, unhex(epoch["commit_secret"]), context)
        new = key_schedule.epoch_from_joiner(joiner, unhex(epoch["psk_secret"]), context)
        secrets, export = new.secrets, epoch["exporter"]
        made = {
            "group_context": context,
            "joiner_secret": joiner,
            "welcome_secret": key_schedule.welcome_secret(joiner, unhex(epoch["psk_secret"])),
            "init_secret": secrets.init,
            "sender_data_secret": secrets.sender_data,
            "encryption_secret": new.encryption,
            "exporter_secret": secrets.exporter,
            "epoch_authenticator": secrets.authenticator,
            "external_secret": new.external,
            "confirmation_key": secrets.confirmation_key,
            "membership_key": secrets.membership_key,
            "resumption_psk": secrets.resumption_psk,
            "external_pub": key_schedule.external_public_key(new.external),
        }
        exported = secrets.export(export["label"].encode(), unhex(export["context"]), export["length"])
        good &= all(value.hex() == epoch[name] for name, value in made.items())
        good &= new.welcome.hex() == epoch["welcome_secret"] and exported.hex() == export["secret"]
        init = secrets.init
    return good


def psk_secret(case: Case) -> bool:
    """External pre-shared keys, in order."""
    psks = [
        (PskId(key_schedule.EXTERNAL, unhex(one["psk_id"]), unhex(one["psk_nonce"])), unhex(one["psk"]))
        for one in case["psks"]
    ]
    wanted: str = case["psk_secret"]
    return key_schedule.psk_secret(psks).hex() == wanted


def secret_tree(case: Case) -> bool:
    """Key and nonce of every generation listed, reached in order and by a jump, and the sender data key."""
    hidden = case["sender_data"]
    key, nonce = sender_data_key(unhex(hidden["sender_data_secret"]), unhex(hidden["ciphertext"]))
    good: bool = (key.hex(), nonce.hex()) == (hidden["key"], hidden["nonce"])
    tree = SecretTree.of(unhex(case["encryption_secret"]), len(case["leaves"]))
    for leaf, generations in enumerate(case["leaves"]):
        for wanted in generations:
            for kind in ("handshake", "application"):
                made, tree = tree.take(
                    leaf, wanted["generation"], application=kind == "application", window=0, forward=10_000
                )
                good &= (made.key.hex(), made.nonce.hex()) == (wanted[f"{kind}_key"], wanted[f"{kind}_nonce"])
    return good


def transcript_hashes(case: Case) -> bool:
    """Both hashes, and the tag between them."""
    reader = Reader(unhex(case["authenticated_content"]))
    wire_format = WireFormat(reader.u16())
    content = read_framed_content(reader, RFC9420)
    verified = Verified(wire_format, content, reader.fixed_vector(64), reader.vector())
    reader.done()
    before = unhex(case["interim_transcript_hash_before"])
    confirmed = key_schedule.confirmed_transcript_hash(before, verified.transcript_input())
    tag = verified.confirmation_tag
    if content.content_type != COMMIT or tag is None:
        return False
    interim = key_schedule.interim_transcript_hash(confirmed, tag)
    return all(
        (
            confirmed.hex() == case["confirmed_transcript_hash_after"],
            crypto.mac(unhex(case["confirmation_key"]), confirmed) == tag,
            interim.hex() == case["interim_transcript_hash_after"],
        )
    )


# --- messages of a group --------------------------------------------------------------------------------------------


def a_leaf(signer: Ed25519PrivateKey, encryption_key: bytes) -> LeafNode:
    """A leaf for a tree in which only its signature key matters."""
    fields = leaf_fields(
        encryption_key=encryption_key,
        signature_key=public_bytes(signer),
        identity=encryption_key,
        capabilities=Capabilities(),
        source=from_lifetime(Lifetime(0, 1)),
    )
    return read_leaf(Reader(fields + vector(sign_with_label(signer, "LeafNodeTBS", fields))))


def message_protection(case: Case) -> bool:
    """Proposal, commit and application message: theirs are read, ours are made and read, in both framings."""
    signer = Ed25519PrivateKey.from_private_bytes(unhex(case["signature_priv"]))
    context = GroupContext(
        unhex(case["group_id"]),
        case["epoch"],
        unhex(case["tree_hash"]),
        unhex(case["confirmed_transcript_hash"]),
    )
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    leaves = a_leaf(other, b"o" * 32), a_leaf(signer, b"s" * 32)
    epoch = Epoch(
        context.encode(),
        unhex(case["sender_data_secret"]),
        SecretTree.of(unhex(case["encryption_secret"]), 2),
        (leaves[0], None, leaves[1]),
    )
    good = True
    for kind in ("proposal", "commit", "application"):
        wanted = unhex(case[kind])
        theirs = _unprotected(unhex(case[f"{kind}_priv"]), epoch)
        good &= theirs.content.sender_leaf == 1 and _body(theirs) == wanted
        ours = _reprotected(theirs, context, epoch, signer)
        good &= _body(_unprotected(ours, epoch)) == wanted
        if kind != "application":
            good &= _public(case, kind, context, epoch, signer) == wanted
    return good


def _body(verified: Verified) -> bytes:
    body = verified.content.body
    return body if isinstance(body, bytes) else body.encode()


def _unprotected(message: bytes, epoch: Epoch) -> Verified:
    return private_message.unprotect(parse_private(message), epoch, dialect=RFC9420, window=0, forward=1000).verified


def _reprotected(theirs: Verified, context: GroupContext, epoch: Epoch, signer: Signer) -> bytes:
    content = framed_content(context.group_id, context.epoch, 1, b"aad", theirs.content.body)
    signature = sign_content(WireFormat.PRIVATE_MESSAGE, content, epoch.context, signer)
    verified = Verified(WireFormat.PRIVATE_MESSAGE, content, signature, theirs.confirmation_tag)
    return private_message.protect(
        verified,
        sender_data_secret=epoch.sender_data_secret,
        secret_tree=epoch.secret_tree,
        reuse_guard=b"abcd",
        pad=True,
    ).message


def _public(case: Case, kind: str, context: GroupContext, epoch: Epoch, signer: Ed25519PrivateKey) -> bytes:
    key = unhex(case["membership_key"])

    def read(message: bytes) -> Verified:
        return verify_public(
            parse_public_message(message, RFC9420),
            membership_key=key,
            group_context=epoch.context,
            signature_key=public_bytes(signer),
        )

    theirs = read(unhex(case[f"{kind}_pub"]))
    content = framed_content(context.group_id, context.epoch, 1, b"aad", theirs.content.body)
    signature = sign_content(WireFormat.PUBLIC_MESSAGE, content, epoch.context, signer)
    verified = Verified(WireFormat.PUBLIC_MESSAGE, content, signature, theirs.confirmation_tag)
    ours = read(protect_public(verified, membership_key=key, group_context=epoch.context))
    return _body(ours) if _body(ours) == _body(theirs) else b"differ"


# --- trees ----------------------------------------------------------------------------------------------------------


def tree_math_relations(case: Case) -> bool:
    """Root, children, parent and sibling of every place."""
    leaves, nodes = case["n_leaves"], case["n_nodes"]
    top = tree_math.root(leaves)
    relations: tuple[tuple[str, Callable[[int], int], Callable[[int], bool]], ...] = (
        ("left", tree_math.left, lambda place: place % 2 == 1),
        ("right", tree_math.right, lambda place: place % 2 == 1),
        ("parent", tree_math.parent, lambda place: place != top),
        ("sibling", tree_math.sibling, lambda place: place != top),
    )
    return (
        tree_math.width(leaves) == nodes
        and top == case["root"]
        and all(
            [relation(place) if has(place) else None for place in range(nodes)] == case[name]
            for name, relation, has in relations
        )
    )


def tree_operations(case: Case) -> bool:
    """One proposal applied to a tree, with the hashes before and after."""
    tree = ratchet_tree.read_tree(unhex(case["tree_before"]))
    good: bool = ratchet_tree.tree_hash(tree).hex() == case["tree_hash_before"]
    proposal = read_proposal(Reader(unhex(case["proposal"])), RFC9420)
    match proposal:
        case Add(package):
            tree, _ = ratchet_tree.with_leaf_added(tree, package.leaf)
        case Update(leaf):
            tree = ratchet_tree.with_leaf_replaced(tree, case["proposal_sender"], leaf)
        case Remove(index):
            tree = ratchet_tree.with_leaf_removed(tree, index)
        case _:
            return False
    return all(
        (
            good,
            ratchet_tree.encode_tree(tree).hex() == case["tree_after"],
            ratchet_tree.tree_hash(tree).hex() == case["tree_hash_after"],
        )
    )


def tree_validation(case: Case) -> bool:
    """Resolutions, tree hashes, parent hashes and leaf signatures."""
    tree = ratchet_tree.read_tree(unhex(case["tree"]))
    hashes = ratchet_tree.check_tree(tree, unhex(case["group_id"]))
    return all(
        (
            [value.hex() for value in hashes] == case["tree_hashes"],
            [ratchet_tree.resolution(tree, place) for place in range(len(tree))] == case["resolutions"],
            ratchet_tree.encode_tree(tree).hex() == case["tree"],
        )
    )


def treekem_paths(case: Case) -> bool:
    """Their paths are followed by every member; ours are made by every member and followed by every other."""
    tree = ratchet_tree.read_tree(unhex(case["ratchet_tree"]))
    good, keys = True, {}
    for one in case["leaves_private"]:
        keys[one["index"]] = {2 * one["index"]: unhex(one["encryption_priv"])}
        for step in one["path_secrets"]:
            private, public = treekem.node_key(unhex(step["path_secret"]))
            node = tree[step["node"]]
            good &= node is not None and node.encryption_key == public
            keys[one["index"]][step["node"]] = private
    signers = {
        one["index"]: Ed25519PrivateKey.from_private_bytes(unhex(one["signature_priv"]))
        for one in case["leaves_private"]
    }
    for theirs in case["update_paths"]:
        good &= _followed(case, tree, keys, theirs)
    return good and all(_made(case, tree, keys, sender, signer) for sender, signer in signers.items())


def _context(case: Case, tree_hash: bytes) -> bytes:
    transcript = unhex(case["confirmed_transcript_hash"])
    return GroupContext(unhex(case["group_id"]), case["epoch"], tree_hash, transcript).encode()


def _followed(case: Case, tree: ratchet_tree.Tree, keys: dict[int, dict[int, bytes]], theirs: Case) -> bool:
    reader = Reader(unhex(theirs["update_path"]))
    update = read_update_path(reader)
    reader.done()
    sender = theirs["sender"]
    good: bool = update.leaf.verify_signature(unhex(case["group_id"]), sender)
    merged = treekem.merge_path(tree, sender, update, new_leaves=())
    root = merged.hashes[len(tree) // 2]
    good &= root.hex() == theirs["tree_hash_after"]
    for leaf, own in keys.items():
        if leaf == sender:
            continue
        secrets = treekem.decrypt_path(
            merged, update, own_leaf=leaf, keys=own, new_leaves=(), group_context=_context(case, root)
        )
        good &= secrets.secrets[0][1].hex() == theirs["path_secrets"][leaf]
        good &= secrets.commit_secret.hex() == theirs["commit_secret"]
    return good


def _made(
    case: Case, tree: ratchet_tree.Tree, keys: dict[int, dict[int, bytes]], sender: int, signer: Ed25519PrivateKey
) -> bool:
    draw = counter(1000 * sender)
    group_id = unhex(case["group_id"])
    before = ratchet_tree.leaf_at(tree, sender)
    assert before is not None

    def sign_leaf(parent_hash: bytes) -> bytes:
        fields = leaf_fields(
            encryption_key=crypto.derive_key_pair(draw(32))[1],
            signature_key=before.signature_key,
            identity=before.identity,
            capabilities=before.capabilities,
            source=from_commit(parent_hash),
            extensions=before.extensions,
        )
        return fields + vector(sign_with_label(signer, "LeafNodeTBS", fields + leaf_place(group_id, sender)))

    made = treekem.new_path(tree, sender, path_secret=draw(32), sign_leaf=sign_leaf)
    context = _context(case, made.hashes[len(tree) // 2])
    update = treekem.encrypt_path(made, group_context=context, new_leaves=(), random=draw)
    merged = treekem.merge_path(tree, sender, update, new_leaves=())
    good = merged.tree == made.tree and merged.hashes == made.hashes and update.leaf.verify_signature(group_id, sender)
    for leaf, own in keys.items():
        if leaf != sender:
            secrets = treekem.decrypt_path(
                merged, update, own_leaf=leaf, keys=own, new_leaves=(), group_context=context
            )
            good &= secrets.commit_secret == made.secrets.commit_secret
    return good


# --- joining --------------------------------------------------------------------------------------------------------


def welcome(case: Case) -> bool:
    """Secrets and GroupInfo open, its signature and its confirmation tag are right."""
    parsed = parse_welcome(unhex(case["welcome"]))
    package = parse_key_package(unhex(case["key_package"]))
    secrets = open_group_secrets(parsed, package.ref, unhex(case["init_priv"]))
    encoded = open_group_info(parsed, key_schedule.welcome_secret(secrets.joiner, key_schedule.ZERO))
    info = read_group_info(Reader(encoded))
    new = key_schedule.epoch_from_joiner(secrets.joiner, key_schedule.ZERO, info.group_context)
    return (
        info.encode() == encoded
        and info.verify_signature(unhex(case["signer_pub"]))
        and new.secrets.confirmation_tag(info.context.confirmed_transcript_hash) == info.confirmation_tag
    )


EVERYTHING = Settings(
    lifetime_s=None, proposals=RFC9420.proposals, by_reference=True, extensions=frozenset(range(2**16))
)
"""All of RFC 9420 that the passive clients meet; Kith's own settings refuse most of it."""


def passive_client(case: Case) -> bool:
    """Join by a Welcome, then follow commits with proposals by reference and pre-shared keys."""
    external = {unhex(one["psk_id"]): unhex(one["psk"]) for one in case["external_psks"]}
    resumption: dict[int, bytes] = {}

    def pre_shared_key(psk: PskId) -> bytes | None:
        return external.get(psk.psk_id) if psk.type == key_schedule.EXTERNAL else resumption.get(psk.epoch)

    rules = group.Rules(
        authenticate=lambda _identity, _key: True,
        roster=lambda _change: None,
        settings=EVERYTHING,
        pre_shared_key=pre_shared_key,
    )
    package = parse_key_package(unhex(case["key_package"]))
    own = group.OwnPackage(package, unhex(case["init_priv"]), unhex(case["encryption_priv"]))
    tree = None if case["ratchet_tree"] is None else unhex(case["ratchet_tree"])
    member = group.join(unhex(case["welcome"]), own, rules, ratchet_tree=tree)
    good: bool = member.secrets.authenticator.hex() == case["initial_epoch_authenticator"]
    for epoch in case["epochs"]:
        resumption[member.epoch] = member.secrets.resumption_psk
        for proposal in epoch["proposals"]:
            heard = group.hear(member, unhex(proposal), rules)
            member, _ = group.remember_proposal(heard.group, heard.verified, rules)
        heard = group.hear(member, unhex(epoch["commit"]), rules)
        member = group.follow(heard.group, heard, rules).group
        good &= member.secrets.authenticator.hex() == epoch["epoch_authenticator"]
    return good


FILES: tuple[tuple[str, Callable[[Case], bool]], ...] = (
    ("crypto-basics", crypto_basics),
    ("deserialization", deserialization),
    ("key-schedule", key_schedule_epochs),
    ("message-protection", message_protection),
    ("messages", messages),
    ("passive-client-handling-commit", passive_client),
    ("passive-client-random", passive_client),
    ("passive-client-welcome", passive_client),
    ("psk_secret", psk_secret),
    ("secret-tree", secret_tree),
    ("transcript-hashes", transcript_hashes),
    ("tree-math", tree_math_relations),
    ("tree-operations", tree_operations),
    ("tree-validation", tree_validation),
    ("treekem", treekem_paths),
    ("welcome", welcome),
)
"""Every file of the set, and what its cases must satisfy."""

EXPECTED = 395
"""71 cases of suite 1 and 324 of no suite."""


def counted(cases: list[Case]) -> list[Case]:
    """The cases that count: suite 1, and those without a suite."""
    return [case for case in cases if case.get("cipher_suite", 1) == 1]
