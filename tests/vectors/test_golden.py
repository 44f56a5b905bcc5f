"""Frozen bytes: what was published once is still produced, still accepted, and its forgeries still refused."""

from pathlib import Path
from typing import Any

import pytest

from kith.protocol import changes, ephemeral
from kith.protocol import content as mimi
from kith.protocol.content import WrongSalt
from kith.protocol.emoji import is_one_emoji
from kith.protocol.franking import Proof, ReportItem, Unverified, assess, build_aad, parse_aad, verify_proof
from kith.protocol.identity import (
    DeviceList,
    Identity,
    Manifest,
    SignedEntry,
    continues,
    verify_certificate,
    verify_device_list,
    verify_manifest,
)
from kith.protocol.wire import Malformed
from vectors import make_golden
from vectors.make_golden import FILES, rendered
from vectors.shared import GOLDEN, golden

CONTENT, IDENTITY, FRANKING, WORDS = (golden(name) for name in ("content", "identity", "franking_extra", "words"))


def raw(text: str) -> bytes:
    """Bytes from hex."""
    return bytes.fromhex(text)


def named(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    """One test per case, under its name."""
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


@pytest.mark.parametrize("name", FILES)
def test_the_committed_bytes_are_still_what_the_code_makes(name: str) -> None:
    """A difference is a change of the protocol: make it on purpose, with make_golden.py."""
    assert (Path(GOLDEN) / f"{name}.json").read_text("utf-8") == rendered(name)


@named(CONTENT["valid"])
def test_frozen_content_is_read(case: dict[str, Any]) -> None:
    """It decodes, encodes to itself, and has its id and its words."""
    m = raw(case["bytes"])
    content = mimi.decode(m)
    assert mimi.encode(content) == m
    assert (content.sender_uri, content.room_uri) == (case["sender_uri"], case["room_uri"])
    assert mimi.message_id(content.sender_uri, content.room_uri, m, content.salt).hex() == case["message_id"]
    assert mimi.plain_text(content) == case["plain_text"]


@named(CONTENT["invalid"])
def test_frozen_broken_content_is_refused(case: dict[str, Any]) -> None:
    """Refused, and a wrong salt is told from everything else."""
    with pytest.raises(Malformed) as refusal:
        mimi.decode(raw(case["bytes"]))
    assert isinstance(refusal.value, WrongSalt) == (case["why"] == "salt")


@pytest.mark.parametrize("case", WORDS["emoji"], ids=lambda case: ascii(case["text"]))
def test_frozen_emoji_are_told_from_everything_else(case: dict[str, Any]) -> None:
    """One sequence of at most 32 bytes, and nothing beside it."""
    assert is_one_emoji(case["text"]) is case["one"]


@named(WORDS["contents"])
def test_frozen_changes_and_signals_are_read(case: dict[str, Any]) -> None:
    """The bytes alone say what a message does to others, to the room, or nothing."""
    content = mimi.decode(raw(case["bytes"]))
    assert mimi.encode(content) == raw(case["bytes"])
    assert make_golden._change(content) == case["change"]
    assert make_golden._signal(content) == case["signal"]
    assert ephemeral.misplaced(content.part) is case["misplaced"]
    assert changes.timer_of(content) == case["timer"]
    assert content.times_forwarded == case["forwarded"]
    assert changes.chats_at_once(content.times_forwarded) == case["chats_at_once"]


def test_frozen_identity_certificate_and_list_verify() -> None:
    """They are read, re-encoded and verified from the file alone."""
    identity = IDENTITY["identity"]
    assert Identity.decode(raw(identity["bytes"])) == Identity(identity["account_uri"], identity["device_uri"])
    paper = IDENTITY["certificate"]
    assert verify_certificate(
        raw(paper["aik_public"]),
        paper["account_uri"],
        paper["device_uri"],
        raw(paper["mls_key"]),
        paper["added_ms"],
        raw(paper["signature"]),
    )
    listed = IDENTITY["device_list"]
    devices = DeviceList.decode(raw(listed["bytes"]))
    assert devices.encode() == raw(listed["bytes"])
    assert [entry.device_uri for entry in devices.entries] == [entry["device_uri"] for entry in listed["entries"]]
    assert verify_device_list(raw(listed["aik_public"]), raw(listed["bytes"]), raw(listed["signature"]))


@named(IDENTITY["bad_identities"])
def test_frozen_broken_identities_are_refused(case: dict[str, Any]) -> None:
    """Wrong order, kind, server or spelling."""
    with pytest.raises(Malformed):
        Identity.decode(raw(case["bytes"]))


@named(IDENTITY["bad_device_lists"])
def test_frozen_broken_device_lists_are_refused(case: dict[str, Any]) -> None:
    """Contradictions, other servers, too many devices."""
    with pytest.raises(Malformed):
        DeviceList.decode(raw(case["bytes"]))


def entries(listed: list[dict[str, str]]) -> list[SignedEntry]:
    """Signed entries from JSON."""
    return [SignedEntry(raw(one["entry"]), raw(one["signature"])) for one in listed]


def test_the_frozen_manifest_serves_its_keys() -> None:
    """Every hub key id has the key that the file says."""
    manifest = verify_manifest(entries(IDENTITY["manifest"]["entries"]))
    for served in IDENTITY["manifest"]["served"]:
        key = manifest.key_for(served["hub_key_id"])
        assert (key.hex() if key else None) == served["public_key"]


@named(IDENTITY["bad_manifests"])
def test_frozen_broken_manifests_are_refused(case: dict[str, Any]) -> None:
    """Each breaks the chain in one place."""
    with pytest.raises(Malformed):
        verify_manifest(entries(case["entries"]))


@named(IDENTITY["continues"])
def test_a_frozen_manifest_continues_its_pin_or_not(case: dict[str, Any]) -> None:
    """Growing is fine; losing or replacing an entry is not."""
    old, new = (verify_manifest(entries(case[which])) for which in ("old", "new"))
    assert isinstance(old, Manifest)
    assert continues(old, new) is case["continues"]


def test_the_frozen_aad_is_read() -> None:
    """The tag there and back."""
    aad = FRANKING["aad"]
    assert parse_aad(raw(aad["bytes"])) == raw(aad["tag"])
    assert build_aad(raw(aad["tag"])) == raw(aad["bytes"])


@named(FRANKING["bad_aads"])
def test_frozen_broken_aads_are_refused(case: dict[str, Any]) -> None:
    """No tag, half a tag, something beside it."""
    with pytest.raises(Malformed):
        parse_aad(raw(case["bytes"]))


@pytest.mark.parametrize("batch", FRANKING["batches"], ids=lambda batch: f"batch of {batch['size']}")
def test_frozen_batches_verify(batch: dict[str, Any]) -> None:
    """Every proof proves its own message and no other."""
    proofs = [Proof.decode(raw(proof)) for proof in batch["proofs"]]
    for at, tbs in enumerate(batch["tbs"]):
        verdicts = [verify_proof(raw(FRANKING["sign_pub"]), raw(tbs), proof) for proof in proofs]
        assert verdicts == [index == at for index in range(len(proofs))]


@named(FRANKING["bad_proofs"])
def test_frozen_broken_proofs_prove_nothing(case: dict[str, Any]) -> None:
    """They have the form of a proof and are none."""
    assert not verify_proof(raw(FRANKING["sign_pub"]), raw(case["tbs"]), Proof.decode(raw(case["proof"])))


def judge(items: list[str], room_uri: str, head: int) -> Any:
    """The frozen hub's judgement."""
    hub_keys = {FRANKING["hub_key_id"]: raw(FRANKING["hub_key"])}
    signing = {FRANKING["hub_key_id"]: raw(FRANKING["sign_pub"])}
    return assess(
        [ReportItem.decode(raw(item)) for item in items],
        room_uri=room_uri,
        room_head_seq=head,
        hub_key=hub_keys.get,
        signing_key=signing.get,
        was_member=lambda _seq: True,
    )


def test_the_frozen_report_is_judged_as_ever() -> None:
    """Order, gaps, tail, class, ids and words."""
    report = FRANKING["report"]
    found = judge(report["items"], report["room_uri"], report["room_head_seq"])
    assert [result.exhibit.context.room_seq for result in found.results] == report["order"]
    assert [[gap.first, gap.last] for gap in found.gaps] == report["gaps"]
    assert (found.omitted_tail, found.report_class) == (report["omitted_tail"], report["class"])
    assert [one.message_id.hex() for one in found.verified] == report["message_ids"]
    assert [mimi.plain_text(one.content) for one in found.verified] == report["texts"]


@named(FRANKING["unverified"])
def test_frozen_forgeries_stay_claims(case: dict[str, Any]) -> None:
    """Each with the reason that the profile gives."""
    result = judge([case["item"]], FRANKING["report"]["room_uri"], 10).results[0]
    assert isinstance(result, Unverified)
    assert result.reason == case["reason"]
