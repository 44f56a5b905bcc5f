"""Attachments: sealed in streams as AES-256-GCM seals the whole, opened only when they are what was committed to."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from kith.protocol import attachments as files
from kith.protocol import cbor
from kith.protocol import content as mimi
from kith.protocol.attachments import (
    CHUNK,
    TAG,
    AttachmentRefusedError,
    Media,
    Opener,
    Sealer,
    open_chunk,
    open_whole,
    padme,
    read_media,
    seal_chunk,
    sealed_size,
    shown_of,
)
from vectors.attachments import BLOB, KEY, NONCE, described, media_json, pattern, sealed
from vectors.shared import golden

GOLDEN = golden("attachments")


def named(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    """One test per case, under its name."""
    return pytest.mark.parametrize("case", cases, ids=[str(case.get("name", case.get("length"))) for case in cases])


@given(st.integers(0, files.MAX_SEALED))
def test_a_bucket_holds_its_length_wastes_little_and_is_its_own(length: int) -> None:
    """At most 12 % more for everything that has a tag."""
    bucket = padme(length)
    assert bucket >= length
    assert padme(bucket) == bucket
    assert bucket <= length * 1.12 or length < TAG


def test_buckets_say_little() -> None:
    """All lengths up to 64 MiB share a few hundred buckets."""
    buckets, length = set(), 16
    while length <= files.MAX_SEALED:
        length = padme(length)
        buckets.add(length)
        length += 1
    assert len(buckets) < 500


@named(GOLDEN["files"])
def test_a_file_becomes_the_frozen_bytes(case: dict[str, Any]) -> None:
    """Exactly AES-256-GCM of the padded file, whatever the pieces; it opens again."""
    plain = pattern(case["length"])
    ciphertext, sums = sealed(plain)
    assert ciphertext == AESGCM(KEY).encrypt(NONCE, plain.ljust(sealed_size(len(plain)) - TAG, b"\0"), None)
    assert len(ciphertext) == case["size"]
    assert sums.content_hash.hex() == case["content_hash"] == hashlib.sha256(ciphertext).hexdigest()
    assert [chunk.hex() for chunk in sums.chunks] == case["chunks"]
    assert case.get("ciphertext", ciphertext.hex()) == ciphertext.hex()
    assert open_whole(described(ciphertext), len(plain), ciphertext) == plain


@settings(max_examples=50)
@given(plain=st.binary(max_size=3000), cuts=st.lists(st.integers(1, 700), min_size=1, max_size=9))
def test_the_pieces_in_which_a_file_comes_make_no_difference(plain: bytes, cuts: list[int]) -> None:
    """Sealing and opening give the same bytes for any cuts."""
    sealer, made, at, turn = Sealer(KEY, NONCE, len(plain)), bytearray(), 0, 0
    while at < len(plain):
        made += sealer.update(plain[at : at + cuts[turn % len(cuts)]])
        at, turn = at + cuts[turn % len(cuts)], turn + 1
    made += b"".join(sealer.finish())
    assert (bytes(made), sealer.sums()) == sealed(plain)
    opener, opened, at, turn = Opener(described(bytes(made)), len(plain)), bytearray(), 0, 0
    while at < len(made):
        opened += opener.update(bytes(made[at : at + cuts[turn % len(cuts)]]))
        at, turn = at + cuts[turn % len(cuts)], turn + 1
    opener.finish()
    assert opened == plain


@named(GOLDEN["refused"])
def test_a_ciphertext_that_is_not_the_committed_one_is_refused(case: dict[str, Any]) -> None:
    """With its reason; the control is every file above."""
    said = {name: bytes.fromhex(case[name]) for name in ("key", "nonce", "content_hash")}
    file = described(b"", size=case["size"], **said)
    with pytest.raises(AttachmentRefusedError) as refused:
        open_whole(file, 100, bytes.fromhex(case["ciphertext"]))
    assert refused.value.reason == case["reason"]


@given(at=st.integers(0, 1023), bit=st.integers(0, 7))
def test_no_bit_of_a_ciphertext_can_change(at: int, bit: int) -> None:
    """By the hash, and by the tag where the hash was made to match."""
    good, _ = sealed(pattern(1000))
    bent = bytearray(good)
    bent[at] ^= 1 << bit
    for file, reason in ((described(good), "attachment_hash"), (described(bytes(bent)), "attachment_decrypt")):
        with pytest.raises(AttachmentRefusedError) as refused:
            open_whole(file, 1000, bytes(bent))
        assert refused.value.reason == reason


@pytest.mark.parametrize("length", [CHUNK - 16, CHUNK - 15, CHUNK, 2 * CHUNK + 12_345])
def test_a_chunk_opens_alone_when_its_hash_is_the_committed_one(length: int) -> None:
    """In any order; a bent, cut, swapped or unknown one never."""
    plain = pattern(length)
    ciphertext, sums = sealed(plain)
    file, media = described(ciphertext), Media(length=length, chunks=sums.chunks)
    pieces = [ciphertext[at : at + CHUNK] for at in range(0, len(ciphertext), CHUNK)]
    opened = {index: open_chunk(file, media, index, pieces[index]) for index in reversed(range(len(pieces)))}
    assert b"".join(opened[index] for index in range(len(pieces))) == plain
    bent = bytes([pieces[0][0] ^ 1]) + pieces[0][1:]
    for index, piece in ((0, bent), (0, pieces[0][:-1]), (len(pieces), b""), (-1, pieces[-1]), (1, pieces[0])):
        with pytest.raises(AttachmentRefusedError):
            open_chunk(file, media, index, piece)
    with pytest.raises(AttachmentRefusedError):
        open_chunk(file, Media(length=length), 0, pieces[0])


@pytest.mark.parametrize("length", [0, 1, CHUNK - 16, CHUNK - 15, CHUNK, 2 * CHUNK + 12_345])
def test_any_chunk_is_sealed_again_to_the_same_bytes_and_never_to_others(length: int) -> None:
    """So an upload goes on anywhere; a file that changed meanwhile is refused before a byte of it leaves."""
    plain = pattern(length)
    ciphertext, sums = sealed(plain)
    for index in range(len(sums.chunks)):
        at = index * CHUNK
        again = seal_chunk(KEY, NONCE, sums, index, plain[at : at + CHUNK], size=len(ciphertext))
        assert again == ciphertext[at : at + CHUNK]
    if plain:
        changed = bytes([plain[0] ^ 1]) + plain[1:CHUNK]
        with pytest.raises(AttachmentRefusedError):
            seal_chunk(KEY, NONCE, sums, 0, changed, size=len(ciphertext))


def test_a_sealer_takes_exactly_what_was_announced() -> None:
    """More or fewer bytes are a mistake of the caller, and so is a key of another length."""
    with pytest.raises(ValueError, match="more"):
        Sealer(KEY, NONCE, 3).update(b"four")
    with pytest.raises(ValueError, match="fewer"):
        list(Sealer(KEY, NONCE, 3).finish())
    for key, nonce in ((KEY[1:], NONCE), (KEY, NONCE + b"x")):
        with pytest.raises(ValueError, match="key of 32"):
            Sealer(key, nonce, 3)


@named(GOLDEN["messages"])
def test_words_and_files_of_a_frozen_message(case: dict[str, Any]) -> None:
    """As they are shown; what cannot be opened is shown, and never fetched."""
    shown = shown_of(mimi.decode(bytes.fromhex(case["bytes"])), GOLDEN["server"])
    assert shown.text == case["text"]
    assert [(one.part, one.name, one.sealed and one.sealed.blob) for one in shown.files] == [
        (file["part"], file["name"], file["blob"]) for file in case["files"]
    ]
    assert [one.media and media_json(one.media) for one in shown.files] == [file["media"] for file in case["files"]]
    assert all(one.sealed is None or one.sealed.blob == BLOB for one in shown.files)


@named(GOLDEN["media"])
def test_media_facts_that_lie_are_dropped(case: dict[str, Any]) -> None:
    """And the file stays a plain one."""
    [media] = read_media([cbor.decode(bytes.fromhex(case["value"]))], [case["size"]])
    assert (media and media_json(media)) == case["media"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.binary(max_size=70) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 9), inner, max_size=8),
    max_leaves=12,
)


@given(value=VALUES, sizes=st.lists(st.integers(0, 2**63), max_size=4))
def test_no_value_breaks_the_reading_of_facts(value: Any, sizes: list[int]) -> None:
    """One answer per part, and a length that fits in the ciphertext."""
    read = read_media(value, sizes)
    assert len(read) == len(sizes)
    assert all(media is None or 0 <= media.length <= size - TAG for media, size in zip(read, sizes, strict=True))


def test_keys_are_not_printed() -> None:
    """Neither in a log nor in a failure's text."""
    assert KEY.hex() not in repr(described(b"x" * 20))
    assert repr(KEY) not in repr(described(b"x" * 20))
