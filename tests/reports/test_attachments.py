"""Attachments of reports: evidence is the message and its part, and the committed key and hash decide."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from kith.ledger.database import Reader, Tx
from kith.ledger.decision import Decision
from kith.ledger.signals import Changed
from kith.protocol import content as mimi
from kith.protocol.attachments import (
    AttachmentRefusedError,
    Hashing,
    Media,
    Opener,
    Outgoing,
    Sealed,
    Sealer,
    shown_of,
    with_files,
)
from kith.protocol.franking import ReportItem
from kith.protocol.uris import account_uri, room_uri
from kith.reports import attachments, evidence, flows, looks, review
from kith.reports.desk import Desk
from kith.reports.evidence import Parties
from reports.world import HOST, World

PICTURE = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000100000000c08020000") + bytes(300)
"""The head of a PNG of 16 by 12 pixels; nobody here decodes it."""


class Shelf:
    """Ciphertexts in memory, as messaging keeps them."""

    def __init__(self) -> None:
        self.there: dict[str, bytes] = {}
        self.owners: dict[str, str] = {}
        self.holders: dict[str, set[str]] = {}
        self.away = False

    def put(self, owner: str, data: bytes) -> str:
        """An upload."""
        blob = secrets.token_urlsafe(16)
        self.there[blob], self.owners[blob] = data, owner
        return blob

    def expire(self, blob: str) -> None:
        """Nobody finds it any more; held bytes stay."""
        del self.owners[blob]
        if not self.holders.get(blob):
            del self.there[blob]

    def hold(self, _: Tx, blob: str, size: int, holder: str) -> bool:
        """As `flows.blobs.hold`."""
        if blob not in self.owners or len(self.there[blob]) != size:
            return False
        self.holders.setdefault(blob, set()).add(holder)
        return True

    def release(self, _: Tx, holder: str) -> None:
        """As `flows.blobs.release`."""
        for blob, holders in list(self.holders.items()):
            holders.discard(holder)
            if not holders and blob not in self.owners:
                self.there.pop(blob, None)

    def is_own(self, _: Reader, account: str, blob: str) -> bool:
        """Whether she uploaded it."""
        return self.owners.get(blob) == account

    async def is_there(self, blob: str, size: int) -> bool | None:
        """By its length; nobody knows while the shelf is away."""
        return None if self.away else len(self.there.get(blob, b"")) == size

    async def read(self, blob: str, size: int, start: int, stop: int) -> AsyncIterator[bytes]:
        """In odd pieces, so that nothing leans on their size."""
        if len(self.there.get(blob, b"")) != size:
            raise AttachmentRefusedError("attachment_missing")
        for at in range(start, stop, 77):
            yield self.there[blob][at : min(at + 77, stop)]


class Scene:
    """Ann and Ben have a chat; Ben sends files, Ann reports."""

    def __init__(self, world: World) -> None:
        self.world, self.shelf = world, Shelf()
        world.desk = Desk(world.desk.key, world.desk.limits, server=HOST, blobs=self.shelf)
        self.ann, self.ben = world.account("ann"), world.account("ben")
        self.chat = world.hub.chat(self.ann, self.ben)

    def sealed(self, plain: bytes) -> tuple[Sealed, bytes]:
        """A file of Ben's, uploaded."""
        key, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
        sealer = Sealer(key, nonce, len(plain))
        data = sealer.update(plain) + b"".join(sealer.finish())
        sums = sealer.sums()
        blob = self.shelf.put(self.ben, data)
        made = Sealed(blob=blob, expires=0, size=len(data), key=key, nonce=nonce, content_hash=sums.content_hash)
        return made, data

    def send(
        self, sealed: Sealed, length: int, kind: str = "image/png", chunks: tuple[bytes, ...] | None = None
    ) -> ReportItem:
        """Ben's message with this file."""
        salt = self.world.hub.random.randbytes(16)
        sender, room = account_uri(HOST, self.ben), room_uri(HOST, self.chat.room)
        words = mimi.text("look", salt=salt, sender_uri=sender, room_uri=room)
        file = Outgoing(
            sealed=sealed,
            media=Media(length=length, chunks=chunks),
            media_type=kind,
            name="secret name.png",
            inline=True,
        )
        content = mimi.encode(with_files(words, [file], HOST))
        context = self.world.hub._context(self.chat, self.ben, len(self.chat.items) + 1, 1)
        [item] = self.world.hub.frank([content], [context])
        self.chat.items.append(item)
        return item

    def report(self) -> Any:
        """Ann reports all of it."""
        return self.world.report(self.chat, self.ann, self.ben)

    def offer(self, filed: Any, blob: str, who: str = "") -> attachments.Offer:
        """What a device hands in for the first missing part."""
        lack = filed.missing[0]
        return attachments.Offer(
            account=who or self.ann, report=filed.report, message=lack.message, part=lack.part, blob=blob
        )

    def opens(self) -> Callable[[int], tuple[str, bytes]]:
        """A reviewer who holds the case: opens the part of exhibit n; what it looks like, and its bytes."""
        staff = self.world.staff(f"rita{secrets.token_hex(3)}", "reviewer", "child-safety")
        [case] = [row.case for row in self.world.open_cases()]
        assert self.world.do(review.claim, staff, case, self.world.desk.limits).allowed
        exhibits = [row.exhibit for row in self.world.exhibits(case)]

        def look(number: int) -> tuple[str, bytes]:
            found = self.world.do(review.open_attachment, staff, case, (exhibits[number], 2), self.world.desk)
            assert not isinstance(found, Decision), found
            seen = asyncio.run(attachments.verify(self.shelf, found.blob, found.opened))
            return seen.media_type if seen else "", asyncio.run(self.read(found))

        return look

    async def read(self, found: review.Attachment) -> bytes:
        """The whole of it, and the same from the middle on."""
        assert found.blob is not None
        length = found.opened.length
        whole = b"".join([p async for p in attachments.read(self.shelf, found.blob, found.opened, 0, length)])
        middle = length // 2 + 1
        rest = b"".join([p async for p in attachments.read(self.shelf, found.blob, found.opened, middle, length)])
        assert whole[middle:] == rest
        return whole


@pytest.fixture
def scene(world: World) -> Scene:
    """An empty chat."""
    return Scene(world)


def test_a_reported_photo_opens_for_the_reviewer_also_after_its_sender_took_it_back(scene: Scene) -> None:
    """Held from the report on; without the hold (a chat nobody reported) the bytes go."""
    sealed, _ = scene.sealed(PICTURE)
    unreported, _ = scene.sealed(b"nobody reports this")
    scene.send(sealed, len(PICTURE))
    assert scene.report().missing == ()
    scene.shelf.expire(sealed.blob)
    scene.shelf.expire(unreported.blob)
    assert unreported.blob not in scene.shelf.there
    assert scene.opens()(0) == ("image/png", PICTURE)


def test_a_substituted_blob_is_found_out_and_the_words_stay_proven(scene: Scene) -> None:
    """Bytes of the same length under the same id: the part proves nothing, the message still does."""
    sealed, data = scene.sealed(PICTURE)
    scene.send(sealed, len(PICTURE))
    filed = scene.report()
    scene.shelf.there[sealed.blob] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(AttachmentRefusedError, match="attachment_hash"):
        scene.opens()(0)
    assert filed.report_class == "FULL"


def test_what_a_player_shows_by_its_pieces_opens_for_the_reviewer_whatever_its_sender_said_of_the_whole(
    scene: Scene,
) -> None:
    """A wrong hash or tag of the whole hides nothing; pieces that were not committed to stay out."""
    sealed, data = scene.sealed(PICTURE)
    pieces = (hashlib.sha256(data).digest(),)
    untrue = replace(sealed, content_hash=bytes(32))
    broken = data[:-1] + bytes([data[-1] ^ 1])
    tagless = replace(sealed, blob=scene.shelf.put(scene.ben, broken), content_hash=hashlib.sha256(broken).digest())
    scene.send(untrue, len(PICTURE), chunks=pieces)
    scene.send(tagless, len(PICTURE), chunks=(hashlib.sha256(broken).digest(),))
    scene.send(untrue, len(PICTURE))
    scene.send(untrue, len(PICTURE), chunks=(bytes(32),))
    scene.report()
    look = scene.opens()
    assert look(0) == look(1) == ("image/png", PICTURE)
    for number in (2, 3):
        with pytest.raises(AttachmentRefusedError, match="attachment_hash"):
            look(number)


def test_what_a_player_shows_by_its_pieces_is_taken_from_a_reporter_as_well(scene: Scene) -> None:
    """The server has it no more, and the sender's hash of the whole is another one; a piece changed is refused."""
    sealed, data = scene.sealed(PICTURE)
    scene.send(replace(sealed, content_hash=bytes(32)), len(PICTURE), chunks=(hashlib.sha256(data).digest(),))
    scene.shelf.expire(sealed.blob)
    filed = scene.report()
    for handed, genuine in ((data[:-1] + bytes([data[-1] ^ 1]), False), (data, True)):
        blob = scene.shelf.put(scene.ann, handed)
        wanted = scene.world.ask(attachments.wanted, scene.shelf, scene.offer(filed, blob))
        assert asyncio.run(attachments.is_genuine(scene.shelf, blob, wanted)) is genuine


def test_a_key_swapped_inside_the_message_breaks_its_frank(scene: Scene) -> None:
    """The key is committed: another one is another message, which the server never accepted."""
    sealed, _ = scene.sealed(PICTURE)
    item = scene.send(sealed, len(PICTURE))
    content = mimi.decode(item.content)
    assert isinstance(content.part, mimi.MultiPart)
    words, file = content.part.parts
    assert isinstance(file, mimi.ExternalPart)
    forged = replace(content, part=replace(content.part, parts=(words, replace(file, key=secrets.token_bytes(32)))))
    parties = Parties(server=HOST, reporter=scene.ann, reported=scene.ben, room=scene.chat.room)
    [exhibit] = scene.world.hub.examine([replace(item, content=mimi.encode(forged))], parties).exhibits
    assert (exhibit.flaw, exhibit.parts) == ("frank_mismatch", ())


def test_a_key_that_does_not_open_the_committed_bytes_is_said_so(scene: Scene) -> None:
    """A sender may commit to a wrong key: then nobody saw anything, and neither does the reviewer."""
    sealed, _ = scene.sealed(PICTURE)
    scene.send(replace(sealed, key=secrets.token_bytes(32)), len(PICTURE))
    scene.report()
    with pytest.raises(AttachmentRefusedError, match="attachment_decrypt"):
        scene.opens()(0)


def test_one_ciphertext_under_two_keys_is_two_pieces_of_evidence(scene: Scene) -> None:
    """AES-GCM commits to no key: both messages are reported, each opens to its own file (Dodis et al., CRYPTO 2018)."""
    one, other, nonce, data = salamander()
    blob = scene.shelf.put(scene.ben, data)
    seal = {"blob": blob, "expires": 0, "size": len(data), "nonce": nonce, "content_hash": sha256(data)}
    for key in (one, other):
        scene.send(Sealed(key=key, **seal), len(data) - 16, "application/octet-stream")  # type: ignore[arg-type]
    assert scene.report().missing == ()
    look = scene.opens()
    assert look(0)[1] != look(1)[1]
    assert len(look(0)[1]) == len(look(1)[1]) == len(data) - 16


def test_parts_that_nobody_is_shown_do_not_displace_one_that_is(scene: Scene) -> None:
    """Ten alternatives to a word come first; what the chat shows is the file behind them, and that one is kept."""
    sealed, _ = scene.sealed(PICTURE)
    salt = scene.world.hub.random.randbytes(16)
    sender, room = account_uri(HOST, scene.ben), room_uri(HOST, scene.chat.room)
    words = mimi.text("look", salt=salt, sender_uri=sender, room_uri=room)
    file = Outgoing(sealed=sealed, media=Media(length=len(PICTURE)), media_type="image/png")
    made = with_files(words, [file], HOST).part
    assert isinstance(made, mimi.MultiPart)
    word, external = made.parts
    unseen = mimi.MultiPart(semantics=mimi.CHOOSE_ONE, parts=(word, *[external] * attachments.MAX_PARTS))
    content = replace(words, part=mimi.MultiPart(semantics=mimi.PROCESS_ALL, parts=(unseen, external)))
    [shown] = shown_of(content, HOST).files
    context = scene.world.hub._context(scene.chat, scene.ben, 1, 1)
    [item] = scene.world.hub.frank([mimi.encode(content)], [context])
    kept = attachments.parts_of(item, HOST)
    assert len(kept) == attachments.MAX_PARTS
    assert shown.part in {one.part for one in kept}


def test_an_expired_blob_is_handed_in_again_by_the_reporter_alone(scene: Scene) -> None:
    """The hash decides: other bytes, another person and another report add nothing."""
    sealed, data = scene.sealed(PICTURE)
    scene.send(sealed, len(PICTURE))
    scene.shelf.expire(sealed.blob)
    filed = scene.report()
    assert [lack.part for lack in filed.missing] == [2]
    with pytest.raises(AttachmentRefusedError, match="attachment_missing"):
        scene.opens()(0)
    wrong = scene.shelf.put(scene.ann, bytes(len(data)))
    right = scene.shelf.put(scene.ann, data)
    theirs = scene.shelf.put(scene.ben, data)

    def genuine(offer: attachments.Offer) -> bool:
        wanted = scene.world.ask(attachments.wanted, scene.shelf, offer)
        return wanted is not None and asyncio.run(attachments.is_genuine(scene.shelf, offer.blob, wanted))

    assert not genuine(scene.offer(filed, wrong))
    assert not genuine(scene.offer(filed, theirs))
    assert not genuine(scene.offer(filed, theirs, who=scene.ben))
    assert not genuine(replace(scene.offer(filed, right), part=0))
    assert genuine(scene.offer(filed, right))
    assert scene.world.do(attachments.hand_in, scene.shelf, scene.offer(filed, right))
    scene.shelf.expire(right)
    assert scene.world.ask(attachments.missing, filed.report) == []


def test_evidence_that_is_lost_after_it_was_held_is_asked_for_again(scene: Scene) -> None:
    """Gone with a disk: it counts as missing, its reporter hears of it, and her copy mends it. Twice is not worse."""
    sealed, data = scene.sealed(PICTURE)
    kept, _ = scene.sealed(PICTURE)
    for one in (sealed, kept):
        scene.send(one, len(PICTURE))
    filed = scene.report()
    heard = list[object]()
    scene.world.database.listeners.append(heard.append)
    assert look_after(scene) == 0
    assert scene.world.ask(attachments.missing, filed.report) == []
    del scene.shelf.there[sealed.blob]
    scene.shelf.away = True
    assert look_after(scene) == 0, "a storage that does not answer has lost nothing"
    scene.shelf.away = False
    assert (look_after(scene), look_after(scene)) == (1, 0)
    assert heard.count(Changed(scene.ann, "reports")) == 1
    [lack] = scene.world.ask(attachments.missing, filed.report)
    [own] = scene.world.ask(flows.your_reports, scene.ann)
    assert own["missing"] == [{"message_id": lack.message.hex(), "part": 2}]
    copy = scene.shelf.put(scene.ann, data)
    offer = scene.offer(filed._replace(missing=(lack,)), copy)
    assert scene.world.do(attachments.hand_in, scene.shelf, offer)
    assert scene.world.ask(attachments.missing, filed.report) == []
    assert scene.opens()(0) == ("image/png", PICTURE)


def test_lost_evidence_counts_again_only_when_its_bytes_are_what_was_sent(scene: Scene) -> None:
    """A disk that comes back brings it; a rotten file of the right length does not."""
    sealed, data = scene.sealed(PICTURE)
    scene.send(sealed, len(PICTURE))
    filed = scene.report()
    del scene.shelf.there[sealed.blob]
    assert look_after(scene) == 1
    scene.shelf.there[sealed.blob] = bytes(len(data))
    assert look_after(scene) == 0
    assert len(scene.world.ask(attachments.missing, filed.report)) == 1
    scene.shelf.there[sealed.blob] = data
    assert look_after(scene) == 0
    assert scene.world.ask(attachments.missing, filed.report) == []


def look_after(scene: Scene) -> int:
    """As the daily chore does."""
    return asyncio.run(attachments.look_after(scene.world.database, scene.shelf))


def test_bytes_of_evidence_are_hashed_and_opened_beside_the_loop(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty-four megabytes handed in keep nobody's message waiting: no piece is worked on where messages are."""
    sealed, data = scene.sealed(PICTURE)
    scene.send(sealed, len(PICTURE))
    scene.report()
    where = set[int]()

    class Watched(Opener):
        def update(self, sealed: bytes) -> bytes:
            where.add(threading.get_ident())
            return super().update(sealed)

    class Counting(Hashing):
        def update(self, data: bytes) -> None:
            where.add(threading.get_ident())
            super().update(data)

    part = attachments.Wanted("exhibit", 2, len(data), sealed.content_hash)
    monkeypatch.setattr(attachments, "Opener", Watched)
    assert scene.opens()(0) == ("image/png", PICTURE)
    with monkeypatch.context() as counted:
        counted.setattr(attachments, "Hashing", Counting)
        assert asyncio.run(attachments.is_genuine(scene.shelf, sealed.blob, part))
    assert where
    assert threading.get_ident() not in where


def test_attachments_go_with_the_evidence_and_not_before(scene: Scene) -> None:
    """Destroying a case's evidence lets the bytes go; the control is the day before."""
    sealed, _ = scene.sealed(PICTURE)
    scene.send(sealed, len(PICTURE))
    scene.report()
    scene.shelf.expire(sealed.blob)
    [case] = [row.case for row in scene.world.open_cases()]
    assert sealed.blob in scene.shelf.there
    scene.world.do(attachments.release, scene.shelf, case)
    assert sealed.blob not in scene.shelf.there


def test_names_of_files_lie_in_the_database_only_sealed(scene: Scene) -> None:
    """A file's name is part of what was said."""
    sealed, _ = scene.sealed(PICTURE)
    item = scene.send(sealed, len(PICTURE))
    scene.report()
    assert b"secret name" in item.encode()
    on_disk = b"".join(file.read_bytes() for file in scene.world.path.parent.glob("kith.db*"))
    assert b"secret name" not in on_disk
    assert sealed.key not in on_disk


def test_only_the_holder_of_a_case_opens_its_attachments(scene: Scene) -> None:
    """A colleague is refused, and both are in the staff log."""
    sealed, _ = scene.sealed(PICTURE)
    scene.send(sealed, len(PICTURE))
    scene.report()
    scene.opens()(0)
    [case] = [row.case for row in scene.world.open_cases()]
    colleague = scene.world.staff("carl", "reviewer", "child-safety")
    exhibit = scene.world.exhibits(case)[0].exhibit
    refused = scene.world.do(review.open_attachment, colleague, case, (exhibit, 2), scene.world.desk)
    assert isinstance(refused, Decision)
    entries = [row for row in scene.world.raw("SELECT * FROM audit") if "attachment.read" in str(row)]
    assert len(entries) == 2


def test_a_ticket_serves_one_person_for_some_minutes() -> None:
    """Not a colleague, not later, and never more than so many at once."""
    viewing = attachments.Viewing(life_ms=1_000, most=2)
    opened: Any = object()
    ticket = attachments.Ticket("rita", "case", "b", opened, 1_000)
    first = viewing.admit(ticket, 0)
    assert viewing.found(first, "rita", 999) == ticket
    assert viewing.found(first, "carl", 0) is None
    assert viewing.found(first, "rita", 1_000) is None
    for _ in range(2):
        viewing.admit(ticket, 0)
    assert viewing.found(first, "rita", 0) is None
    viewing.admit(ticket._replace(until_ms=3_000), 2_000)
    assert len(viewing._tickets) == 1  # what is over is forgotten


def test_pictures_that_wait_to_be_fetched_fill_no_memory() -> None:
    """The oldest go first; what has no picture counts nothing, and one that is too large alone is still shown."""
    viewing = attachments.Viewing(most_bytes=100)

    def admit(size: int | None) -> str:
        painted = None if size is None else looks.Painted("image/png", bytes(size), 1, 1)
        opened: Any = object()
        return viewing.admit(attachments.Ticket("rita", "case", "b", opened, 1_000, painted), 0)

    names = [admit(60), admit(None), admit(30), admit(30)]
    assert [viewing.found(name, "rita", 0) is not None for name in names] == [False, True, True, True]
    assert viewing.found(admit(200), "rita", 0) is not None
    assert len(viewing._tickets) == 1


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\xff\xd8\xff", b"GIF89a", b"RIFF0000WEBPVP8X", b"\x89PNG\r\n\x1a\n"]),
)
def test_any_bytes_have_a_look_or_none(noise: bytes, start: bytes) -> None:
    """Nothing that a sender can make breaks the looking; markup is never shown."""
    seen = looks.look(start + noise, "image/svg+xml")
    assert seen is None or seen.media_type.partition("/")[0] in ("image", "video", "audio")
    assert looks.look(b"<svg onload=alert(1)>" + noise, "image/png") is None
    assert looks.look(b"<!doctype html>" + noise, "image/png") is None


def test_a_picture_larger_than_any_camera_makes_is_described_and_not_shown() -> None:
    """Its header says so before anything decodes it; the control is one that fits."""
    fits = PICTURE[:16] + (4_000).to_bytes(4) + (3_000).to_bytes(4) + PICTURE[24:]
    bomb = PICTURE[:16] + (30_000).to_bytes(4) + (30_000).to_bytes(4) + PICTURE[24:]
    assert looks.look(fits, "image/png") == looks.Look("picture", "image/png")
    assert looks.look(bomb, "image/png") is None


def test_a_file_is_never_printed_with_what_its_sender_called_it() -> None:
    """A repr in a log or a traceback names the part alone."""
    said = evidence.SaidFile(part=2, name="secret", media_type="image/png", description="words", size=9)
    assert repr(said) == "SaidFile(2, …)"


# --- one ciphertext, two keys -------------------------------------------------------------------------------------


def sha256(data: bytes) -> bytes:
    """The committed hash."""
    return hashlib.sha256(data).digest()


def block(key: bytes, plain: bytes) -> int:
    """AES of one block, as a number."""
    return int.from_bytes(Cipher(AES256(key), ECB()).encryptor().update(plain))  # noqa: S305  one block, by hand


def times(one: int, other: int) -> int:
    """Multiplication in GCM's field (SP 800-38D, algorithm 1)."""
    product = 0
    for bit in range(127, -1, -1):
        if one >> bit & 1:
            product ^= other
        other = other >> 1 ^ (0xE1 << 120 if other & 1 else 0)
    return product


def inverse(one: int) -> int:
    """one to the power of 2^128 - 2."""
    result, power = 1 << 127, one
    for _ in range(127):
        power = times(power, power)
        result = times(result, power)
    return result


def ghash(subkey: int, blocks: list[int]) -> int:
    """SP 800-38D, algorithm 2."""
    sum_ = 0
    for one in blocks:
        sum_ = times(sum_ ^ one, subkey)
    return sum_


def salamander() -> tuple[bytes, bytes, bytes, bytes]:
    """Two keys, a nonce, and a ciphertext with a tag that both of them open: the last block makes the tags equal."""
    keys, nonce = (secrets.token_bytes(32), secrets.token_bytes(32)), secrets.token_bytes(12)
    chosen = [int.from_bytes(secrets.token_bytes(16)) for _ in range(6)]
    lengths = (len(chosen) + 1) * 128
    subkeys = [block(key, bytes(16)) for key in keys]
    masks = [block(key, nonce + (1).to_bytes(4)) for key in keys]
    open_ = [ghash(h, [*chosen, 0, lengths]) ^ mask for h, mask in zip(subkeys, masks, strict=True)]
    weight = times(subkeys[0], subkeys[0]) ^ times(subkeys[1], subkeys[1])
    last = times(open_[0] ^ open_[1], inverse(weight))
    tag = ghash(subkeys[0], [*chosen, last, lengths]) ^ masks[0]
    return *keys, nonce, b"".join(one.to_bytes(16) for one in (*chosen, last, tag))
