"""Franking: honest reports verify, forged ones never do (the profile's test list, pure parts)."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.protocol import content as mimi
from kith.protocol import franking
from kith.protocol.franking import (
    BatchProof,
    Context,
    Gap,
    Proof,
    ReportItem,
    SingleProof,
    Unverified,
    Verified,
    assess,
    build_aad,
    franking_tag,
    integrity_tbs,
    parse_aad,
    server_frank,
    sign_batch,
    sign_single,
    verify_item,
    verify_proof,
)
from kith.protocol.signing import public_bytes, sign_with_label
from kith.protocol.wire import Malformed
from protocol.franked import ALICE, BOB, BOB_PHONE, OTHER_ROOM, ROOM, Hub, context, conversation, said, seeded, uuid
from vectors.shared import shared_vector

HUB = Hub()
SIGNED = public_bytes(HUB.signer)


def reasons(items: list[ReportItem], hub: Hub = HUB, **how: Any) -> list[str]:
    """What an assessment says of each item, in room_seq order."""
    results = hub.assess(items, **how).results
    return [result.reason if isinstance(result, Unverified) else "verified" for result in results]


def honest(length: int = 10) -> list[ReportItem]:
    """A conversation in which every second message was signed in a batch of its own."""
    return [HUB.item(*turn) for turn in conversation(length)]


BOTH_KINDS = pytest.mark.parametrize("kind", [0, 1], ids=["single", "batch"])


def one(kind: int, m: bytes | None = None, at: Context | None = None) -> ReportItem:
    """One genuine exhibit whose proof is of this kind."""
    turn = (m or said("hello", number=1), at or context(3))
    return HUB.item(*turn) if kind == 0 else HUB.batch([*conversation(2), turn, *conversation(3)])[2]


# --- the shared vector ----------------------------------------------------------------------------------------------


def test_the_shared_vector_is_reproduced_byte_for_byte() -> None:
    """Every value of the profile's vector file follows from its inputs."""
    vector = json.loads(Path(shared_vector("franking/frank_vectors.json")).read_text("utf-8"))
    m, salt = bytes.fromhex(vector["content"]), bytes.fromhex(vector["salt"])
    content, ctx = mimi.decode(m), Context(**vector["ctx"])
    tag = franking_tag(salt, m)
    frank = server_frank(bytes.fromhex(vector["hub_key"]), tag, ctx)
    tbs = integrity_tbs(frank, ctx)
    proof = sign_single(seeded(0x24), tbs)
    assert mimi.encode(content) == m
    assert mimi.message_id(content.sender_uri, content.room_uri, m, salt).hex() == vector["message_id"]
    assert (tag.hex(), build_aad(tag).hex()) == (vector["franking_tag"], vector["aad"])
    assert (ctx.encode().hex(), frank.hex(), tbs.hex()) == (vector["ctx_bytes"], vector["server_frank"], vector["tbs"])
    assert proof.signature.hex() == vector["signature"]
    assert verify_proof(bytes.fromhex(vector["sign_pub"]), tbs, proof)


# --- the AAD --------------------------------------------------------------------------------------------------------


def test_an_aad_carries_exactly_one_tag() -> None:
    """The 36 bytes go there and back."""
    assert parse_aad(build_aad(b"t" * 32)) == b"t" * 32


@pytest.mark.parametrize(
    "aad",
    [
        b"",
        build_aad(b"t" * 32)[:-1],
        build_aad(b"t" * 32) + b"\0",
        bytes.fromhex("22002020") + b"t" * 31,
        bytes.fromhex("2200201f") + b"t" * 31,
        bytes.fromhex("23002120") + b"t" * 32,
        bytes.fromhex("40230020") + b" " + b"t" * 32,
        bytes.fromhex("402600202074") + b"t" * 31 + bytes.fromhex("002200"),
        bytes.fromhex("4046") + 2 * (bytes.fromhex("002020") + b"t" * 32),
    ],
    ids=["empty", "short", "trailing", "31 bytes", "31 framed", "other", "non-minimal", "second item", "twice"],
)
def test_any_other_aad_is_refused(aad: bytes) -> None:
    """No tag, a short tag, another component or a second one: no delivery."""
    with pytest.raises(Malformed):
        parse_aad(aad)


@given(st.binary(max_size=60))
def test_arbitrary_aad_is_a_tag_or_malformed(aad: bytes) -> None:
    """Parsing never raises anything else, and what it accepts is what would be built."""
    try:
        tag = parse_aad(aad)
    except Malformed:
        return
    assert build_aad(tag) == aad


def test_a_tag_needs_a_salt_of_sixteen_bytes() -> None:
    """HMAC pads keys with zeros: a 17-byte salt ending in zero would open the same tag."""
    with pytest.raises(Malformed):
        franking_tag(b"s" * 16 + b"\0", b"content")
    with pytest.raises(Malformed):
        build_aad(b"t" * 31)


# --- contexts, proofs and items as bytes ----------------------------------------------------------------------------

numbers = st.integers(0, 2**64 - 1)
contexts = st.builds(
    Context, st.just(ALICE), st.just(ROOM), numbers, st.just(BOB_PHONE), numbers, numbers, st.integers(0, 2**32 - 1)
)


@given(contexts)
def test_a_context_survives_encoding(ctx: Context) -> None:
    """Encoding loses nothing."""
    assert Context.decode(ctx.encode()) == ctx


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": -1},
        {"room_seq": 2**64},
        {"hub_key_id": 2**32},
        {"accepted_timestamp": 2**64},
        {"sender_uri": "mimi://h.example/u/é"},
    ],
    ids=str,
)
def test_a_context_that_has_no_encoding_is_malformed(change: dict[str, Any]) -> None:
    """Numbers out of range and URIs beyond ASCII are refused, not truncated."""
    with pytest.raises(Malformed):
        Context(**{**_fields(context(1)), **change}).encode()


def _fields(ctx: Context) -> dict[str, Any]:
    return {name: getattr(ctx, name) for name in ctx.__struct_fields__}


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_value_or_malformed(data: bytes) -> None:
    """Decoders of the room raise nothing but Malformed, and re-encode what they accept."""
    for decoder in (Context.decode, Proof.decode, ReportItem.decode):
        try:
            value = decoder(data)
        except Malformed:
            continue
        assert value.encode() == data


@BOTH_KINDS
def test_an_item_survives_encoding(kind: int) -> None:
    """A report item goes there and back; a byte more or less is refused."""
    item = one(kind)
    encoded = item.encode()
    assert ReportItem.decode(encoded) == item
    for broken in (encoded[:-1], encoded + b"\0", b""):
        with pytest.raises(Malformed):
            ReportItem.decode(broken)


def test_an_item_does_not_print_what_was_said() -> None:
    """A log line with an exhibit in it betrays nothing."""
    assert "hello" not in repr(one(0))
    assert "hello" not in repr(HUB.assess([one(0)]).verified[0].content)


# --- batch proofs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 65])
def test_every_message_of_a_batch_verifies_with_its_own_proof_only(size: int) -> None:
    """One signature serves all, and no proof fits another message."""
    batch = [b"tbs %d" % index for index in range(size)]
    proofs = sign_batch(HUB.signer, batch)
    assert [isinstance(proof, SingleProof) for proof in proofs] == [size == 1] * size
    for index, tbs in enumerate(batch):
        assert verify_proof(SIGNED, tbs, Proof.decode(proofs[index].encode()))
        assert not verify_proof(SIGNED, tbs + b"!", proofs[index])
        assert size == 1 or not verify_proof(SIGNED, tbs, proofs[index - 1])


def test_an_empty_batch_has_no_proofs() -> None:
    """Nothing was accepted, nothing is signed."""
    assert sign_batch(HUB.signer, []) == []


def test_the_tree_has_the_shape_of_rfc_9162() -> None:
    """Three leaves: the first two are paired, the third is their sibling."""

    def sha(*parts: bytes) -> bytes:
        return hashlib.sha256(b"".join(parts)).digest()

    leaves = [sha(b"\0", tbs) for tbs in (b"a", b"b", b"c")]
    pair = sha(b"\1", leaves[0], leaves[1])
    paths = [proof.path for proof in sign_batch(HUB.signer, [b"a", b"b", b"c"]) if isinstance(proof, BatchProof)]
    assert paths == [(leaves[1], leaves[2]), (leaves[0], leaves[2]), (pair,)]


def batch_proof(index: int = 2, size: int = 5) -> tuple[bytes, BatchProof]:
    """A TBS and its genuine batch proof."""
    batch = [b"tbs %d" % number for number in range(size)]
    proof = sign_batch(HUB.signer, batch)[index]
    assert isinstance(proof, BatchProof)
    return batch[index], proof


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, leaf_index=3),
        lambda p: replace(p, leaf_index=5),
        lambda p: replace(p, leaf_index=2**32 - 1),
        lambda p: replace(p, batch_size=4),
        lambda p: replace(p, batch_size=6),
        lambda p: replace(p, batch_size=8),
        lambda p: replace(p, batch_size=0),
        lambda p: replace(p, batch_size=1),
        lambda p: replace(p, batch_size=2**32 - 1),
        lambda p: replace(p, path=p.path[:-1]),
        lambda p: replace(p, path=(*p.path, p.path[0])),
        lambda p: replace(p, path=p.path[::-1]),
        lambda p: replace(p, path=()),
        lambda p: replace(p, path=(p.path[0][:31], *p.path[1:])),
        lambda p: replace(p, signature=p.signature[:-1]),
        lambda p: replace(p, signature=b""),
        lambda p: SingleProof(p.signature),
    ],
)
def test_a_batch_proof_with_anything_changed_proves_nothing(change: Any) -> None:
    """Wrong index, size, path length, sibling order, signature or kind (test 45 of the profile)."""
    tbs, proof = batch_proof()
    assert verify_proof(SIGNED, tbs, proof)
    assert not verify_proof(SIGNED, tbs, change(proof))


def test_a_single_signature_is_not_a_batch_of_one() -> None:
    """Neither a relabelled single signature nor a real batch signature over one leaf is accepted as kind 1."""
    single = sign_single(HUB.signer, b"tbs")
    assert not verify_proof(SIGNED, b"tbs", BatchProof(0, 1, (), single.signature))
    root = franking.leaf_hash(b"tbs")
    signature = sign_with_label(HUB.signer, "FrankingBatchTBS", franking._batch_tbs(1, root))
    assert not verify_proof(SIGNED, b"tbs", BatchProof(0, 1, (), signature))


def test_an_inner_node_is_not_a_leaf() -> None:
    """A path cut short cannot present the hash of two messages as one message: not by size, not by hash."""
    batch = [b"a", b"b", b"c", b"d"]
    proof = sign_batch(HUB.signer, batch)[0]
    assert isinstance(proof, BatchProof)
    inner = franking.leaf_hash(b"a") + franking.leaf_hash(b"b")
    assert franking.leaf_hash(inner) != franking._node(inner[:32], inner[32:])
    assert not verify_proof(SIGNED, inner, BatchProof(0, 2, proof.path[1:], proof.signature))


def test_a_key_that_is_no_key_verifies_nothing() -> None:
    """Keys of the wrong length and points off the curve are refused quietly."""
    proof = sign_single(HUB.signer, b"tbs")
    assert not any(verify_proof(key, b"tbs", proof) for key in (b"", b"k" * 31, b"\xff" * 32, SIGNED + b"\0"))


# --- reports: the profile's list ------------------------------------------------------------------------------------


@pytest.mark.parametrize("batched", [False, True])
def test_an_honest_report_verifies_in_full(batched: bool) -> None:
    """1: ten messages, the reporter's own among them: all verified, no gaps, nothing omitted."""
    turns = conversation(10)
    report = HUB.assess(HUB.batch(turns) if batched else [HUB.item(*turn) for turn in turns])
    assert report.report_class == "FULL"
    assert (report.gaps, report.omitted_tail, report.equivocations) == ((), 0, ())
    assert [mimi.plain_text(result.content) for result in report.verified] == [f"message {n}" for n in range(1, 11)]
    m, ctx = turns[0]
    assert report.verified[0].message_id == mimi.message_id(ALICE, ROOM, m, m[2:18])
    assert report.verified[0].context == ctx
    assert report.unverified == ()


def test_left_out_messages_show_as_gaps_and_tail() -> None:
    """2: items 1-3 and 6-9 of 10 leave the gap (4, 5) and a tail of one."""
    items = honest()
    report = HUB.assess(items[:3] + items[5:9])
    assert report.gaps == (Gap(4, 5),)
    assert report.gaps[0].missing == 2
    assert report.omitted_tail == 1


def test_submitted_order_means_nothing() -> None:
    """3: a shuffled report is read in room order."""
    items = honest()
    assert HUB.assess(items[::-1]) == HUB.assess(items)


@BOTH_KINDS
@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda m: m.replace(b"hello", b"jello"), "frank_mismatch"),
        (lambda m: m.replace(bytes(15) + b"\x01", bytes(15) + b"\x02"), "frank_mismatch"),
        (lambda m: b"\x87\x51" + m[2:18] + b"\0" + m[18:], "salt"),
        (lambda m: b"\x87\x4f" + m[2:17] + m[18:], "salt"),
        (lambda m: b"\x98\x07" + m[1:], "cbor"),
        (lambda m: m + b"\0", "cbor"),
        (lambda _m: b"", "cbor"),
        (lambda _m: said("never sent", number=9), "frank_mismatch"),
        (lambda _m: said("hello", number=1, sender=BOB), "sender_mismatch"),
        (lambda _m: said("hello", number=1, room=OTHER_ROOM), "room_mismatch"),
    ],
    ids=["text", "salt", "salt 17", "salt 15", "array head", "trailing", "empty", "never sent", "sender", "room"],
)
def test_an_altered_message_never_verifies(kind: int, alter: Any, reason: str) -> None:
    """4-8: altered text, altered salt, other salt lengths, non-deterministic CBOR, a stolen frank."""
    item = one(kind)
    altered = replace(item, content=alter(item.content))
    assert reasons([altered]) == [reason]
    assert HUB.assess([altered]).report_class == "NONE"
    assert HUB.assess([altered]).omitted_tail is None


@BOTH_KINDS
def test_a_random_frank_never_verifies(kind: int) -> None:
    """9: a never-sent message with a frank out of thin air."""
    assert reasons([replace(one(kind), server_frank=b"r" * 32)]) == ["frank_mismatch"]


@BOTH_KINDS
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("sender_uri", BOB, "sender_mismatch"),
        ("room_uri", OTHER_ROOM, "room_mismatch"),
        ("accepted_timestamp", 1, "frank_mismatch"),
        ("sender_device", BOB_PHONE, "frank_mismatch"),
        ("epoch", 6, "frank_mismatch"),
        ("room_seq", 4, "frank_mismatch"),
        ("hub_key_id", 8, "key_expired"),
    ],
)
def test_each_field_of_the_context_is_bound(kind: int, name: str, value: object, reason: str) -> None:
    """10: each of the seven context fields altered alone."""
    item = one(kind)
    altered = Context(**{**_fields(item.context), name: value})
    assert reasons([replace(item, context=altered)]) == [reason]


@BOTH_KINDS
def test_a_message_of_another_room_does_not_count_here(kind: int) -> None:
    """11: a genuine exhibit replayed in the report of another room."""
    elsewhere = one(kind, said("hello", number=1, room=OTHER_ROOM), context(3, room=OTHER_ROOM))
    assert reasons([elsewhere]) == ["room_mismatch"]
    assert reasons([elsewhere], room=OTHER_ROOM) == ["verified"]


@BOTH_KINDS
def test_a_duplicate_counts_once(kind: int) -> None:
    """12: the same exhibit twice is one piece of evidence."""
    report = HUB.assess([one(kind), one(kind)])
    assert [type(result) for result in report.results].count(Verified) == 1
    assert [result.reason for result in report.unverified] == ["duplicate_seq"]
    assert (report.report_class, report.equivocations) == ("PARTIAL", ())


def test_a_forged_item_does_not_displace_a_genuine_one() -> None:
    """A claim with the number of a genuine message leaves that message verified, in either order."""
    genuine = one(0)
    forged = replace(genuine, content=said("never sent", number=9))
    for items in ([genuine, forged], [forged, genuine]):
        assert [result.exhibit for result in HUB.assess(items).verified] == [genuine]


def test_two_messages_under_one_number_accuse_the_hub() -> None:
    """A hub that vouches for two messages with one room_seq is caught, and neither counts against a member."""
    report = HUB.assess([one(0), one(0, said("something else", number=2)), one(0, at=context(4))])
    assert report.equivocations == (3,)
    assert [result.reason for result in report.unverified] == ["duplicate_seq", "duplicate_seq"]


@pytest.mark.parametrize("count", [0, 31])
def test_a_report_of_no_or_too_many_items_is_refused(count: int) -> None:
    """13: the framing of a report is 1 to 30 items."""
    with pytest.raises(Malformed):
        HUB.assess([one(0)] * count)


def test_thirty_items_are_a_report() -> None:
    """The limit itself is allowed."""
    assert HUB.assess(honest(30), head=30).report_class == "FULL"


def test_a_report_may_span_a_key_rotation() -> None:
    """14: each exhibit is judged with the key of its own period."""
    hub = Hub(hub_keys={7: b"a" * 32, 8: b"b" * 32})
    items = [hub.item(said("old", number=1), context(1, key=7)), hub.item(said("new", number=2), context(2, key=8))]
    assert reasons(items, hub) == ["verified", "verified"]


@BOTH_KINDS
def test_a_destroyed_key_leaves_only_a_claim(kind: int) -> None:
    """15: after the reportable window nothing can be proven any more."""
    assert reasons([one(kind)], Hub(hub_keys={})) == ["key_expired"]


def judged(item: ReportItem, hub: Hub = HUB, *, member_from: int = 0) -> str:
    """What verify_item says about one exhibit of a reporter who joined at `member_from`."""
    result = verify_item(
        item,
        room_uri=ROOM,
        hub_key=hub.hub_keys.get,
        signing_key=hub.signing_key,
        was_member=lambda seq: seq >= member_from,
    )
    return result.reason if isinstance(result, Unverified) else "verified"


@BOTH_KINDS
def test_only_a_member_at_that_message_can_report_it(kind: int) -> None:
    """18: what was sent before the reporter joined is not theirs to prove."""
    assert judged(one(kind), member_from=3) == "verified"
    assert judged(one(kind), member_from=4) == "not_member_at_seq"


@BOTH_KINDS
@pytest.mark.parametrize("suite", [0, 2, 0xFFFF])
def test_another_suite_proves_nothing(kind: int, suite: int) -> None:
    """19: the suite is part of what was signed."""
    assert judged(replace(one(kind), suite=suite)) == "signature"


@BOTH_KINDS
def test_another_servers_key_proves_nothing(kind: int) -> None:
    """20: neither a foreign signing key nor a foreign hub key is accepted."""
    assert judged(one(kind), Hub(signer=seeded(0x77))) == "signature"
    assert judged(one(kind), Hub(hub_keys={7: b"x" * 32})) == "frank_mismatch"


@BOTH_KINDS
def test_an_unknown_signing_key_proves_nothing(kind: int) -> None:
    """A hub key without a public key in the manifest gives a claim, not a crash."""
    always, never = (lambda _seq: True), (lambda _key: None)
    result = verify_item(one(kind), room_uri=ROOM, hub_key=HUB.hub_keys.get, signing_key=never, was_member=always)
    assert isinstance(result, Unverified)
    assert result.reason == "signature"


@BOTH_KINDS
def test_a_truncated_frank_or_signature_never_verifies(kind: int) -> None:
    """21: cut anywhere, an exhibit is malformed or a claim."""
    item = one(kind)
    assert judged(replace(item, proof=replace(item.proof, signature=item.proof.signature[:-1]))) == "signature"
    with pytest.raises(Malformed):
        replace(item, server_frank=item.server_frank[:-1]).encode()


# --- laws -----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([one(0), one(1)]), st.integers(0, 10**6), st.integers(1, 255))
def test_any_single_changed_byte_never_verifies(item: ReportItem, at: int, change: int) -> None:
    """Wherever one byte of an exhibit differs, it is malformed or unverified."""
    encoded = bytearray(item.encode())
    encoded[at % len(encoded)] ^= change
    try:
        altered = ReportItem.decode(bytes(encoded))
    except Malformed:
        return
    assert judged(altered) != "verified"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30, unique=True), st.randoms(use_true_random=False))
def test_gaps_and_tail_account_for_every_missing_message(chosen: list[int], chance: Random) -> None:
    """Reported, missing between and missing after add up to the room, whatever was chosen and in which order."""
    turns = conversation(40)
    items = [HUB.item(*turns[seq - 1]) for seq in chosen]
    chance.shuffle(items)
    report = HUB.assess(items, head=40)
    missing = sum(gap.missing for gap in report.gaps)
    assert report.omitted_tail is not None
    assert len(report.verified) + missing + report.omitted_tail + (min(chosen) - 1) == 40


def test_nobody_else_makes_verified_evidence() -> None:
    """Evidence is made by verification alone, also not by copying with changes."""
    item = one(0)
    genuine = HUB.assess([item]).verified[0]
    with pytest.raises(TypeError):
        Verified(item, genuine.content, genuine.message_id, object())
    with pytest.raises(ValueError, match="seal"):
        replace(genuine, message_id=b"")  # type: ignore[call-arg]  # what is tested
    assert not hasattr(Unverified(item, "cbor"), "message_id")


def test_an_empty_room_head_gives_no_negative_tail() -> None:
    """A head that lags behind the evidence counts as nothing omitted."""
    assert HUB.assess([one(0)], head=0).omitted_tail == 0


def test_assess_takes_the_facts_it_names() -> None:
    """The reporter's membership is asked for by room_seq and decides per item."""
    report = assess(
        honest(4),
        room_uri=ROOM,
        room_head_seq=4,
        hub_key=HUB.hub_keys.get,
        signing_key=HUB.signing_key,
        was_member=lambda seq: seq > 2,
    )
    assert report.report_class == "PARTIAL"
    assert [result.reason for result in report.unverified] == ["not_member_at_seq"] * 2
    assert uuid(0xA) in report.verified[0].context.sender_uri
