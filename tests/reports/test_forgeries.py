"""Forged reports: each single change gets its own reason, and nothing true is doubted."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.protocol import content as mimi
from kith.protocol import franking
from kith.protocol.franking import BatchProof, ReportItem, SingleProof
from kith.protocol.uris import account_uri
from kith.protocol.wire import Malformed
from kith.reports import evidence
from reports.forging import FORGERIES, LONGEST_PATH, Forge, Scene, Tally, judge_many, judge_one

FORGED_IN_CI = 2_800


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_single_change_is_named_for_what_it_is(forge: Forge) -> None:
    """Each kind of forgery is refused as proof, for its own reason, beside items that stay verified."""
    tally = Tally()
    for seed in range(10):
        judge_one(Scene(seed), forge, FORGERIES[forge], tally)
    assert tally.forgeries == 10
    assert tally.clean, tally


def test_thousands_of_forgeries_prove_nothing_and_true_items_always_verify() -> None:
    """All kinds in turn, in many scenes; `forging.py` as a program judges as many as one likes."""
    tally, kinds = judge_many(FORGED_IN_CI)
    assert tally.forgeries == FORGED_IN_CI
    assert set(kinds) == {forge.__name__ for forge in FORGERIES}
    assert tally.true_items > FORGED_IN_CI
    assert tally.clean, tally


def test_the_tally_would_notice_an_accepted_forgery() -> None:
    """Control: a `forgery` that changes nothing that is proven must count as accepted."""
    tally = Tally()
    scene = Scene(3)

    def harmless(_: Scene, item: ReportItem) -> ReportItem:
        return next(other for other in scene.chat.items if other != item)

    judge_one(scene, harmless, "frank_mismatch", tally)
    assert not tally.clean


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_a_true_report_is_full_whatever_its_order(seed: int) -> None:
    """Any true selection verifies entirely, sorted by place, and its gaps and tail add up to what it leaves out."""
    scene = Scene(seed)
    items = scene.some()
    examined = scene.judge(items)
    places = [exhibit.room_seq for exhibit in examined.exhibits]
    assert examined.report_class == "FULL"
    assert places == sorted(item.context.room_seq for item in items)
    before = min(item.context.room_seq for item in items) - 1
    missing = sum(gap.missing for gap in examined.gaps)
    assert examined.omitted_tail is not None
    assert before + len(items) + missing + examined.omitted_tail == len(scene.chat.items)


def test_single_and_batch_proofs_stand_in_one_full_report() -> None:
    """Every message is verified, whichever way it was signed, under both keys of the server."""
    scene = Scene(1)
    for key, texts in ((1, ["alone"]), (1, ["one", "two", "three"]), (2, ["alone too"]), (2, ["four", "five"])):
        scene.hub.say(scene.chat, scene.them, *texts, hub_key_id=key)
    items = scene.chat.items[-7:]
    assert [type(item.proof) for item in items] == [SingleProof, *[BatchProof] * 3, SingleProof, *[BatchProof] * 2]
    examined = scene.judge(items)
    assert examined.report_class == "FULL"
    assert all(exhibit.verified for exhibit in examined.exhibits)


def test_a_path_is_bounded_before_anything_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node more than any batch can need is no item; as many as there can be cost that many hashes."""
    scene = Scene(1)
    item, node = scene.chat.items[0], bytes(32)
    hashed: list[bytes] = []
    honest = franking._node

    def counted(left: bytes, right: bytes) -> bytes:
        hashed.append(left + right)
        return honest(left, right)

    monkeypatch.setattr(franking, "_node", counted)
    for nodes in (LONGEST_PATH + 1, 2_000):
        deep = replace(item, proof=BatchProof(0, 2**32 - 1, (node,) * nodes, bytes(64)))
        with pytest.raises(Malformed, match="Message 1 of the report"):
            evidence.read_items([base64.b64encode(deep.encode()).decode()])
    assert hashed == []
    deepest = replace(item, proof=BatchProof(0, 2**32 - 1, (node,) * LONGEST_PATH, bytes(64)))
    assert [exhibit.flaw for exhibit in scene.judge([deepest]).exhibits] == ["signature"]
    assert len(hashed) == LONGEST_PATH


def test_the_same_message_twice_counts_once() -> None:
    """The second copy is a duplicate; the first stays proof."""
    scene = Scene(1)
    item = scene.chat.items[0]
    examined = scene.judge([item, item])
    assert [exhibit.flaw for exhibit in examined.exhibits] == [None, "duplicate_seq"]


def test_two_true_messages_in_one_place_convict_the_server_not_a_person() -> None:
    """If the server vouched for two messages under one number, neither is proof, and it shows."""
    scene = Scene(1)
    first = scene.chat.items[0]
    [second] = scene.hub.frank([scene.hub.content(scene.chat, scene.them, "again")], [first.context])
    if first.context.sender_uri != account_uri("kith.test", scene.them):
        [second] = scene.hub.frank([scene.hub.content(scene.chat, scene.me, "again")], [first.context])
    examined = scene.judge([first, second])
    assert [exhibit.flaw for exhibit in examined.exhibits] == ["duplicate_seq", "duplicate_seq"]
    assert examined.equivocations == (first.context.room_seq,)


def test_who_was_not_in_the_chat_proves_nothing_about_it() -> None:
    """A stranger with somebody else's true messages, and a member for what was said before joining."""
    scene = Scene(2)
    scene.chat.members[scene.me] = (3, None)
    flaws = {exhibit.room_seq: exhibit.flaw for exhibit in scene.judge(scene.chat.items).exhibits}
    assert flaws[1] == flaws[2] == "not_member_at_seq"
    assert flaws[3] is None
    scene.chat.members[scene.me] = (1, 2)
    flaws = {exhibit.room_seq: exhibit.flaw for exhibit in scene.judge(scene.chat.items).exhibits}
    assert flaws[2] is None
    assert flaws[3] == "not_member_at_seq"


def test_thirty_one_items_are_refused_and_thirty_are_not() -> None:
    """The one limit on how much a report holds."""
    encoded = base64.b64encode(Scene(1).chat.items[0].encode()).decode()
    assert len(evidence.read_items([encoded] * 30)) == 30
    with pytest.raises(Malformed, match="at most 30"):
        evidence.read_items([encoded] * 31)


@given(seed=st.integers(0, 50), cut=st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None)
def test_a_cut_item_is_malformed_and_says_which(seed: int, cut: float) -> None:
    """Framing is what can be refused: an item that ends too early is no item."""
    whole = Scene(seed).chat.items[0].encode()
    short = base64.b64encode(whole[: int(len(whole) * cut)]).decode()
    true = base64.b64encode(whole).decode()
    with pytest.raises(Malformed, match="Message 2 of the report"):
        evidence.read_items([true, short])


@given(data=st.binary(max_size=2000))
@settings(max_examples=200, deadline=None)
def test_bytes_from_strangers_are_malformed_and_nothing_worse(data: bytes) -> None:
    """Random bytes never raise anything but Malformed."""
    with pytest.raises(Malformed):
        evidence.read_items([base64.b64encode(data).decode()])


@pytest.mark.parametrize("text", ["", "?", "AAA", "AAAA\n", "é", "A" * 200_000, "\ud800"])
def test_what_is_not_base64_is_malformed(text: str) -> None:
    """Also when it is long, or not ASCII."""
    with pytest.raises(Malformed, match="Message 1 of the report"):
        evidence.read_items([text])


def test_an_exhibit_reads_as_what_it_is() -> None:
    """Words for messages, the bytes as they stand for what is no message."""
    scene = Scene(4)
    assert evidence.read_exhibit(scene.chat.items[0].encode()).text.startswith("line ")
    broken = replace(scene.chat.items[0], content=b"not content")
    said = evidence.read_exhibit(broken.encode())
    assert (said.kind, said.text) == ("unreadable", "not content")


def test_a_files_name_cannot_dress_up_as_another_kind_of_file() -> None:
    """What turns the line around, breaks it or hides in it is spelt out; ordinary names stand as they are."""
    item = Scene(6).chat.items[0]
    sealed = {"url": "u", "expires": 0, "size": 9, "enc_alg": 1, "key": b"k", "nonce": b"n", "aad": b"", "hash_alg": 1}

    def read(name: str, kind: str = "image/png") -> list[tuple[str, str, int]]:
        part = mimi.ExternalPart(content_type=kind, content_hash=b"h", filename=name, **sealed)  # type: ignore[arg-type]
        content = replace(mimi.decode(item.content), part=part)
        files = evidence.read_exhibit(replace(item, content=mimi.encode(content)).encode()).files
        return [(file.name, file.media_type, file.size) for file in files]

    assert read("Zoë 👍.png") == [("Zoë 👍.png", "image/png", 9)]
    assert read("gpj.\u202eexe", "a\u2028b") == [("gpj.\\u{202e}exe", "a\\u{2028}b", 9)]
    assert read("") == [("", "image/png", 9)]


def test_nothing_prints_what_was_said() -> None:
    """A repr in a log or a traceback never quotes an exhibit."""
    scene = Scene(5)
    examined = scene.judge(scene.chat.items)
    shown = repr((examined, evidence.read_exhibit(scene.chat.items[0].encode()), scene.chat.items[0]))
    assert "line " not in shown
