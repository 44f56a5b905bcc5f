"""Writes Kith's own vectors, always the same bytes. `python tests/vectors/make_golden.py` after a protocol change."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kith.protocol import cbor, changes, ephemeral
from kith.protocol import content as mimi
from kith.protocol.content import MimiContent, MultiPart, NullPart, Part, SinglePart
from kith.protocol.franking import BatchProof, ReportItem, SingleProof, Unverified, build_aad, sign_batch
from kith.protocol.identity import (
    DeviceEntry,
    DeviceList,
    Identity,
    Manifest,
    ManifestEntry,
    SignedEntry,
    append_entry,
    first_manifest,
    sign_certificate,
    sign_device_list,
)
from kith.protocol.signing import public_bytes, sign_with_label
from kith.protocol.uris import device_uri
from kith.protocol.wire import vector
from protocol.franked import (
    ALICE,
    ALICE_PHONE,
    BOB,
    BOB_PHONE,
    OTHER_ROOM,
    ROOM,
    SERVER,
    Hub,
    context,
    conversation,
    said,
    seeded,
    uuid,
)
from vectors.attachments import attachments
from vectors.key_log import key_log

SALT = bytes(range(16))
EARLIER = b"\x01" + b"\x11" * 31
ADDED = 1_700_000_000_000

Json = dict[str, Any]

# --- content --------------------------------------------------------------------------------------------------------


def _content(part: Part, **how: Any) -> MimiContent:
    return MimiContent(**{"salt": SALT, "extensions": {1: ALICE, 2: ROOM}, "part": part, **how})


def _words(body: str, kind: str = mimi.MARKDOWN) -> SinglePart:
    return SinglePart(content_type=kind, content=body.encode())


PICTURE = mimi.ExternalPart(
    content_type="image/png",
    url="/api/v1/blobs/1",
    expires=0,
    size=2**53 + 1,
    enc_alg=2,
    key=b"k" * 32,
    nonce=b"n" * 12,
    aad=b"",
    hash_alg=1,
    content_hash=b"h" * 32,
    description="a kite",
    filename="kite.png",
)


def _nested(levels: int) -> Part:
    part: Part = NullPart()
    for _ in range(levels - 1):
        part = MultiPart(semantics=mimi.PROCESS_ALL, parts=(part, NullPart()))
    return part


def _valid_contents() -> list[tuple[str, MimiContent]]:
    everybody = {1: ALICE, 2: ROOM}
    return [
        ("text", _content(_words("hello"))),
        ("empty text", _content(_words(""))),
        ("other scripts", _content(_words("Grüße, 你好, שלום, 🪁"))),
        ("reply", _content(_words("yes"), in_reply_to=EARLIER)),
        ("edit", _content(_words("better"), replaces=EARLIER)),
        ("delete", _content(NullPart(), replaces=EARLIER)),
        ("reaction", _content(replace(_words("❤", mimi.PLAIN), disposition=mimi.REACTION), in_reply_to=EARLIER)),
        ("topic", _content(_words("on topic"), topic_id=b"topic")),
        ("expires after reading", _content(_words("soon gone"), expires=mimi.Expires(relative=True, time=60))),
        ("expires at", _content(_words("later gone"), expires=mimi.Expires(relative=False, time=2**32 - 1))),
        ("external part", _content(PICTURE)),
        ("choose one", _content(MultiPart(semantics=0, parts=(PICTURE, _words("a"), _words("b"))))),
        ("single unit with an unknown part", _content(MultiPart(semantics=1, parts=(_words("a"), PICTURE)))),
        ("process all", _content(MultiPart(semantics=2, parts=(_words("a"), PICTURE, _words("b"))))),
        ("four levels", _content(_nested(4))),
        ("last seen and forwarded", _content(_words("seen"), extensions={**everybody, -1: EARLIER, -3: 4})),
        ("tree head", _content(_words("gossip"), extensions={**everybody, -2: [1000, b"r" * 32]})),
        (
            "keys in bytewise order",
            _content(
                _words("order"), extensions={**everybody, 23: 0, 24: 0, 300: 0, -1: EARLIER, -25: 0, "a": 0, "aa": 0}
            ),
        ),
        (
            "unknown extensions",
            _content(_words("kept"), extensions={**everybody, 77: {"a": [1, None, False, -7]}, "k" * 255: b""}),
        ),
        ("largest extension", _content(_words("full"), extensions={**everybody, 9: b"v" * 4092})),
        ("2048 items", _content(NullPart(), extensions={**everybody, 9: [None] * (cbor.MAX_ITEMS - 17)})),
        ("unknown media type", _content(_words("<b>", "text/html"))),
        ("text that is not UTF-8", _content(SinglePart(content_type=mimi.PLAIN, content=b"\xff"))),
    ]


def _wire(**changed: Any) -> bytes:
    names = ("salt", "replaces", "topic", "expires", "reply", "extensions", "part")
    part = [1, "", 1, "text/plain", b"x"]
    whole: dict[str, Any] = dict(zip(names, (SALT, None, b"", None, None, {1: ALICE, 2: ROOM}, part), strict=True))
    return cbor.encode([*{**whole, **changed}.values()])


def _one_item_too_many() -> bytes:
    """The valid content of 2048 items with one more null in its list, which Kith's own encoder refuses to make."""
    count = cbor.MAX_ITEMS - 17
    most = mimi.encode(_content(NullPart(), extensions={1: ALICE, 2: ROOM, 9: [None] * count}))
    head = b"\x09\x99"
    full, over = head + count.to_bytes(2, "big"), head + (count + 1).to_bytes(2, "big") + b"\xf6"
    return most.replace(full, over)


EXTERNAL = [6, "", 2, "image/png", "u", 0, 1, 2, b"k", b"n", b"", 1, b"h", "d", "f"]


def _invalid_contents() -> list[tuple[str, bytes, str]]:
    plain = _wire()
    ordered = _wire(extensions={1: ALICE, 2: ROOM, 100: 0, -4: 0})
    everybody: dict[Any, Any] = {1: ALICE, 2: ROOM}
    cases = [
        ("empty", b""),
        ("cut short", plain[:-1]),
        ("trailing byte", plain + b"\0"),
        ("array head not minimal", b"\x98\x07" + plain[1:]),
        ("integer not minimal", plain.replace(b"\x85\x01\x60", b"\x85\x18\x01\x60")),
        ("indefinite bytes", plain.replace(b"\x41x", b"\x5f\x41x\xff")),
        ("undefined for null", plain.replace(b"\xf6\x40\xf6", b"\xf6\x40\xf7")),
        ("keys length-first", ordered.replace(b"\x18\x64\x00\x23\x00", b"\x23\x00\x18\x64\x00")),
        ("duplicate key", _wire(extensions={**everybody, 3: 0}).replace(b"\x03\x00", b"\x02\x00")),
        ("text not UTF-8", plain.replace(b"text/plain", b"text/plai\xff")),
        ("byte order mark before a text", plain.replace(b"\x6atext/plain", b"\x6d\xef\xbb\xbftext/plain")),
        ("floating point", _wire(extensions={**everybody, 9: 0}).replace(b"\x09\x00", b"\x09\xf9\x3c\x00")),
        ("tag", _wire(extensions={**everybody, 9: 0}).replace(b"\x09\x00", b"\x09\xc1\x00")),
        ("byte string as key", _wire(extensions={**everybody, 9: {"a": 0}}).replace(b"\x61a\x00", b"\x41a\x00")),
        ("six elements", cbor.encode([SALT, None, b"", None, None, everybody])),
        ("salt is text", _wire(salt="text of 16 bytes")),
        ("replaces 31 bytes", _wire(replaces=b"i" * 31)),
        ("expiry of 33 bits", _wire(expires=[True, 2**32])),
        ("expiry 1 for true", _wire(expires=[1, 5])),
        ("no sender", _wire(extensions={2: ROOM})),
        ("no room", _wire(extensions={1: ALICE})),
        ("empty text key", _wire(extensions={**everybody, "": 0})),
        ("text key of 256 bytes", _wire(extensions={**everybody, "k" * 256: 0})),
        ("extension of 4096 bytes", _wire(extensions={**everybody, 9: b"v" * 4093})),
        ("last seen null", _wire(extensions={**everybody, -1: None})),
        ("last seen 31 bytes", _wire(extensions={**everybody, -1: b"i" * 31})),
        ("forwarded null", _wire(extensions={**everybody, -3: None})),
        ("forwarded negative", _wire(extensions={**everybody, -3: -1})),
        ("disposition 256", _wire(part=[256, "", 0])),
        ("disposition true", _wire(part=[True, "", 0])),
        ("cardinality 4", _wire(part=[1, "", 4])),
        ("null part with a body", _wire(part=[1, "", 0, b""])),
        ("external part of 14 elements", _wire(part=EXTERNAL[:-1])),
        ("external part of 16 elements", _wire(part=[*EXTERNAL, 0])),
        ("multi part of one", _wire(part=[1, "", 3, 0, [[1, "", 0]]])),
        ("semantics 3", _wire(part=[1, "", 3, 3, [[1, "", 0], [1, "", 0]]])),
        ("five levels", _wire(part=mimi._part_value(_nested(5)))),
        ("2049 items", _one_item_too_many()),
        ("nested arrays", b"\x81" * 5000),
        ("array of four billion", b"\x9a\xff\xff\xff\xff" + bytes(20)),
    ]
    salts = [(f"salt of {size} bytes", _wire(salt=bytes(size)), "salt") for size in (0, 15, 17)]
    return [(name, data, "cbor") for name, data in cases] + salts


def content() -> Json:
    """The content of content.json."""
    valid = []
    for name, made in _valid_contents():
        m = mimi.encode(made)
        valid.append(
            {
                "name": name,
                "bytes": m.hex(),
                "message_id": mimi.message_id(ALICE, ROOM, m, SALT).hex(),
                "sender_uri": ALICE,
                "room_uri": ROOM,
                "plain_text": mimi.plain_text(made),
            }
        )
    invalid = [{"name": name, "bytes": data.hex(), "why": why} for name, data, why in _invalid_contents()]
    return {"valid": valid, "invalid": invalid}


# --- words ----------------------------------------------------------------------------------------------------------

ONE_EMOJI = [
    "👍",
    "❤️",
    "❤",
    "😂",
    "😮",
    "😢",
    "🙏",
    "👍🏽",
    "☺️",
    "©",
    "©️",
    "▶️",
    "🇺🇦",
    "🇽🇽",
    "1️⃣",
    "#⃣",
    "*️⃣",
    "👩\u200d💻",
    "🧑🏿\u200d🚀",
    "👨\u200d👩\u200d👧\u200d👦",
    "🏳️\u200d🌈",
    "🏴\u200d☠️",
    "🫱🏻\u200d🫲🏿",
    "🀄",
    "🟠",
    "🪁",
    "🫶",
    "❤️\u200d🔥",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "🏴",
]
NOT_ONE_EMOJI = [
    "",
    "a",
    "1",
    "#",
    "ok",
    "👍👍",
    "👍 ",
    " 👍",
    "👍\n",
    "❤\ufe0e",
    "\ufe0f",
    "\u200d",
    "👍\u200d",
    "\u200d👍",
    "👩\u200d\u200d💻",
    "👍\ufe0f🏽",
    "👍🏽🏽",
    "🏽",
    "🇺",
    "🇺🇦🇺",
    "1\ufe0f",
    "11\u20e3",
    "👍\U000e0067\U000e007f",
    "\U0001f3f4\U000e0067",
    "\U0001f3f4\U000e007f",
    "\U0001f3f4\U000e0067\U000e007fx",
    "→",
    "★x",
    "👩🏻‍❤️‍💋‍👨🏻",  # 35 bytes
    "👨‍👩‍👧‍👦‍👦‍👦",
    "<b>👍</b>",
]


def _reaction(*symbols: str, **how: Any) -> MimiContent:
    parts = tuple(replace(_words(one, mimi.PLAIN), disposition=mimi.REACTION) for one in symbols)
    part: Part = parts[0] if len(parts) == 1 else MultiPart(semantics=mimi.PROCESS_ALL, parts=parts)
    return _content(part, **{"in_reply_to": EARLIER, **how})


def _session(kind: str, body: bytes, **how: Any) -> MimiContent:
    return _content(SinglePart(content_type=kind, content=body, disposition=mimi.SESSION), **how)


def _doing() -> list[tuple[str, MimiContent]]:
    """Contents that do something to an earlier message, to the room, or pass something on; and near misses."""
    who: dict[str, Any] = {"salt": SALT, "sender_uri": ALICE, "room_uri": ROOM}
    picture = _content(
        MultiPart(semantics=2, parts=(_words("look"), PICTURE)), extensions={1: BOB, 2: OTHER_ROOM, -4: []}
    )
    read = tuple((bytes([1, n]) + b"\x22" * 30, 2) for n in range(16))
    pair: list[cbor.Value] = [EARLIER, 2]
    return [
        ("an edit", mimi.edit(EARLIER, "better", **who)),
        ("an edit of attachments", _content(picture.part, replaces=EARLIER)),
        ("a deletion", mimi.delete(EARLIER, **who)),
        ("nothing, about nothing", _content(NullPart())),
        ("nothing, as an answer", _content(NullPart(), in_reply_to=EARLIER)),
        ("a reaction", mimi.reaction(EARLIER, "❤️", **who)),
        ("another reaction in its place", _reaction("😂", replaces=EARLIER, in_reply_to=None)),
        ("two reactions", _reaction("❤️", "😂")),
        ("the same reaction twice", _reaction("❤️", "❤️")),
        ("six reactions", _reaction(*"👍❤😂😮😢🙏")),
        ("seven reactions are an answer", _reaction(*"👍❤😂😮😢🙏🎉")),
        ("a word as a reaction is an answer", _reaction("thanks")),
        ("emoji and a word are an answer", _reaction("❤️", "thanks")),
        ("two emoji in one text are an answer", _reaction("❤️❤️")),
        ("a reaction to nothing", _reaction("❤️", in_reply_to=None)),
        ("an emoji that is an answer", _content(_words("❤️"), in_reply_to=EARLIER)),
        ("a word in place of a reaction is an edit", _reaction("thanks", replaces=EARLIER, in_reply_to=None)),
        ("passed on once", changes.forward(_content(_words("news"), in_reply_to=EARLIER, topic_id=b"t"), **who)),
        (
            "passed on again, with a picture",
            changes.forward(replace(picture, extensions={**picture.extensions, -3: 4, 9: 0}), **who),
        ),
        *((f"timer {seconds}", changes.timer(seconds, **who)) for seconds in changes.TIMES),
        ("timer of no allowed length", _session(changes.TIMER, b"299")),
        ("timer with a leading zero", _session(changes.TIMER, b"0300")),
        ("timer in words", _session(changes.TIMER, b"five minutes")),
        ("typing", ephemeral.typing(**who)),
        ("typing with a body", _session(ephemeral.TYPING, b"x")),
        ("typing, to be rendered", _content(SinglePart(content_type=ephemeral.TYPING, content=b""))),
        ("one receipt", ephemeral.receipts(((EARLIER, 2),), **who)),
        ("sixteen receipts", ephemeral.receipts(read, **who)),
        ("seventeen receipts", _session(ephemeral.STATUS, cbor.encode([pair] * 17))),
        ("no receipts", _session(ephemeral.STATUS, cbor.encode([]))),
        ("a receipt of status 7", _session(ephemeral.STATUS, cbor.encode([[EARLIER, 7]]))),
        ("a receipt of a short id", _session(ephemeral.STATUS, cbor.encode([[EARLIER[:-1], 2]]))),
        ("a receipt of three", _session(ephemeral.STATUS, cbor.encode([[*pair, 0]]))),
        ("a receipt that is true", _session(ephemeral.STATUS, cbor.encode([[EARLIER, True]]))),
        ("receipts with a byte after them", _session(ephemeral.STATUS, cbor.encode([pair]) + b"\0")),
        ("a receipt that replaces", _session(ephemeral.STATUS, cbor.encode([pair]), replaces=EARLIER)),
        ("typing beside a text", _content(MultiPart(semantics=2, parts=(_words("a"), ephemeral.typing(**who).part)))),
        ("a plain text", _content(_words("hello"))),
    ]


def _change(content: MimiContent) -> Json | None:
    match changes.change_of(content):
        case changes.Edit(target):
            return {"what": "edit", "target": target.hex()}
        case changes.Withdraw(target):
            return {"what": "withdraw", "target": target.hex()}
        case changes.React(target, symbols, instead):
            return {"what": "react", "target": target.hex(), "symbols": list(symbols), "instead": instead}
        case None:
            return None


def _signal(content: MimiContent) -> Json | None:
    match ephemeral.signal_of(content):
        case ephemeral.Typing():
            return {"what": "typing"}
        case ephemeral.Receipts(of):
            return {"what": "receipts", "of": [[message.hex(), status] for message, status in of]}
        case None:
            return None


def _limits() -> list[Json]:
    day, hour = 24 * changes.HOUR_MS, changes.HOUR_MS
    ages = [0, day, day + 1, day + hour, day + hour + 1]
    return [
        {
            "age_ms": age,
            "edits": edits,
            "may_edit": changes.may_edit(ADDED, ADDED + age, edits),
            "may_delete": changes.may_delete(ADDED, ADDED + age),
            "edit_counts": changes.edit_counts(ADDED, ADDED + age, edits),
            "delete_counts": changes.delete_counts(ADDED, ADDED + age),
        }
        for age in ages
        for edits in (0, 9, 10)
    ]


def words() -> Json:
    """The content of words.json."""
    contents = [
        {
            "name": name,
            "bytes": mimi.encode(made).hex(),
            "change": _change(made),
            "signal": _signal(made),
            "misplaced": ephemeral.misplaced(made.part),
            "timer": changes.timer_of(made),
            "forwarded": made.times_forwarded,
            "chats_at_once": changes.chats_at_once(made.times_forwarded),
        }
        for name, made in _doing()
    ]
    emoji = [{"text": text, "one": one} for texts, one in ((ONE_EMOJI, True), (NOT_ONE_EMOJI, False)) for text in texts]
    return {"emoji": emoji, "contents": contents, "limits": _limits()}


# --- identity -------------------------------------------------------------------------------------------------------


def _manifest() -> Manifest:
    manifest = first_manifest(seeded(10), first_hub_key_id=1, created_ms=ADDED)
    for number, first in ((11, 8), (12, 20)):
        manifest = append_entry(
            manifest,
            signer=seeded(number - 1),
            public_key=public_bytes(seeded(number)),
            first_hub_key_id=first,
            created_ms=ADDED + number,
        )
    return manifest


def _resigned(entry: ManifestEntry, signer: int) -> SignedEntry:
    encoded = entry.encode()
    return SignedEntry(encoded, sign_with_label(seeded(signer), "KithKeyManifest", encoded))


def _bad_manifests(good: Manifest) -> list[tuple[str, Sequence[SignedEntry]]]:
    first, second, third = good.signed
    last = good.entries[2]
    return [
        ("empty", ()),
        ("first entry dropped", (second, third)),
        ("middle entry dropped", (first, third)),
        ("reversed", (third, second, first)),
        ("wrong signature", (first, second, replace(third, signature=second.signature))),
        ("signed by itself", (first, second, _resigned(last, 12))),
        ("signed by the first", (first, second, _resigned(last, 10))),
        ("range overlaps", (first, second, _resigned(replace(last, first_hub_key_id=8), 11))),
        ("time runs back", (first, second, _resigned(replace(last, created_ms=0), 11))),
        ("hash of another", (first, second, _resigned(replace(last, previous_hash=b"h" * 32), 11))),
        ("unknown kind", (first, second, _resigned(replace(last, kind=2), 11))),
        ("index skipped", (first, second, _resigned(replace(last, index=3), 11))),
        ("first has a predecessor", (_resigned(replace(good.entries[0], previous_hash=b"h" * 32), 10),)),
        ("trailing byte", (first, second, replace(third, entry=third.entry + b"\0"))),
    ]


def _entries(signed: Sequence[SignedEntry]) -> list[Json]:
    return [{"entry": one.entry.hex(), "signature": one.signature.hex()} for one in signed]


def _certificate() -> Json:
    signature = sign_certificate(seeded(1), ALICE, ALICE_PHONE, public_bytes(seeded(2)), ADDED)
    return {
        "aik_seed": (b"\x01" * 32).hex(),
        "aik_public": public_bytes(seeded(1)).hex(),
        "account_uri": ALICE,
        "device_uri": ALICE_PHONE,
        "mls_key": public_bytes(seeded(2)).hex(),
        "added_ms": ADDED,
        "signature": signature.hex(),
    }


def _device_list() -> Json:
    entries = (
        DeviceEntry(ALICE_PHONE, public_bytes(seeded(2)), ADDED),
        DeviceEntry(device_uri(SERVER, uuid(0xA2)), public_bytes(seeded(3)), ADDED + 5),
    )
    devices = DeviceList(ALICE, 2, ADDED + 6, entries)
    return {
        "aik_public": public_bytes(seeded(1)).hex(),
        "account_uri": ALICE,
        "version": 2,
        "signed_ms": ADDED + 6,
        "entries": [
            {"device_uri": one.device_uri, "mls_key": one.mls_key.hex(), "added_ms": one.added_ms} for one in entries
        ],
        "bytes": devices.encode().hex(),
        "signature": sign_device_list(seeded(1), devices).hex(),
    }


def _bad_device_lists() -> list[Json]:
    phone = DeviceEntry(ALICE_PHONE, b"k" * 32, ADDED)
    other = DeviceEntry(device_uri(SERVER, uuid(0xA2)), b"l" * 32, ADDED)
    head = vector(ALICE.encode()) + (1).to_bytes(8, "big") + ADDED.to_bytes(8, "big")

    def raw(*entries: DeviceEntry) -> bytes:
        return head + vector(b"".join(entry.encode() for entry in entries))

    foreign = replace(other, device_uri=device_uri("other.example", uuid(0xA2)))
    cases = [
        ("device twice", raw(phone, replace(other, device_uri=ALICE_PHONE))),
        ("key twice", raw(phone, replace(other, mls_key=phone.mls_key))),
        ("another server's device", raw(foreign)),
        ("trailing byte", raw(phone) + b"\0"),
        ("entry cut short", head + vector(phone.encode()[:-1])),
        ("account is a device", vector(ALICE_PHONE.encode()) + raw(phone)[len(vector(ALICE.encode())) :]),
        ("65 devices", raw(*(DeviceEntry(device_uri(SERVER, uuid(n)), n.to_bytes(32, "big"), 0) for n in range(65)))),
    ]
    return [{"name": name, "bytes": data.hex()} for name, data in cases]


def _bad_identities() -> list[Json]:
    account, phone = vector(ALICE.encode()), vector(ALICE_PHONE.encode())
    cases = [
        ("device missing", account),
        ("swapped", phone + account),
        ("trailing byte", account + phone + b"\0"),
        ("another server's device", account + vector(device_uri("other.example", uuid(1)).encode())),
        ("upper case", vector(ALICE.upper().encode()) + phone),
        ("length not minimal", b"\x40" + account + phone),
    ]
    return [{"name": name, "bytes": data.hex()} for name, data in cases]


def identity() -> Json:
    """The content of identity.json."""
    good = _manifest()
    shorter, foreign = good.signed[:2], first_manifest(seeded(50), first_hub_key_id=1, created_ms=ADDED).signed
    served = [
        {"hub_key_id": number, "public_key": key.hex() if key else None}
        for number in (0, 1, 7, 8, 19, 20, 2**32 - 1)
        for key in (good.key_for(number),)
    ]
    return {
        "identity": {
            "account_uri": ALICE,
            "device_uri": ALICE_PHONE,
            "bytes": Identity(ALICE, ALICE_PHONE).encode().hex(),
        },
        "bad_identities": _bad_identities(),
        "certificate": _certificate(),
        "device_list": _device_list(),
        "bad_device_lists": _bad_device_lists(),
        "manifest": {"entries": _entries(good.signed), "served": served},
        "bad_manifests": [{"name": name, "entries": _entries(signed)} for name, signed in _bad_manifests(good)],
        "continues": [
            {"name": name, "old": _entries(old), "new": _entries(new), "continues": answer}
            for name, old, new, answer in (
                ("unchanged", good.signed, good.signed, True),
                ("grown", shorter, good.signed, True),
                ("shrunk", good.signed, shorter, False),
                ("replaced", good.signed, foreign, False),
            )
        ],
    }


# --- franking -------------------------------------------------------------------------------------------------------

HUB = Hub()


def _batches() -> list[Json]:
    sizes = (1, 2, 3, 5, 8)
    batches = [[b"tbs %d of %d" % (index, size) for index in range(size)] for size in sizes]
    return [
        {
            "size": len(batch),
            "tbs": [tbs.hex() for tbs in batch],
            "proofs": [proof.encode().hex() for proof in sign_batch(HUB.signer, batch)],
        }
        for batch in batches
    ]


def _batch_proof() -> tuple[bytes, BatchProof]:
    batch = [b"tbs %d" % index for index in range(5)]
    proof = sign_batch(HUB.signer, batch)[2]
    if not isinstance(proof, BatchProof):
        raise TypeError("a batch of five has batch proofs")
    return batch[2], proof


def _bad_proofs() -> list[Json]:
    tbs, good = _batch_proof()
    alone = sign_batch(HUB.signer, [tbs])[0]
    changes: list[tuple[str, Callable[[BatchProof], BatchProof | SingleProof]]] = [
        ("index of a neighbour", lambda p: replace(p, leaf_index=3)),
        ("index beyond the batch", lambda p: replace(p, leaf_index=5)),
        ("batch of four", lambda p: replace(p, batch_size=4)),
        ("batch of six", lambda p: replace(p, batch_size=6)),
        ("batch of none", lambda p: replace(p, batch_size=0)),
        ("path too short", lambda p: replace(p, path=p.path[:-1])),
        ("path too long", lambda p: replace(p, path=(*p.path, p.path[0]))),
        ("siblings swapped", lambda p: replace(p, path=p.path[::-1])),
        ("signature cut", lambda p: replace(p, signature=p.signature[:-1])),
        ("batch as single", lambda p: SingleProof(p.signature)),
        ("single as batch", lambda _: BatchProof(0, 1, (), alone.signature)),
    ]
    return [{"name": name, "tbs": tbs.hex(), "proof": change(good).encode().hex()} for name, change in changes]


def _honest() -> list[ReportItem]:
    return HUB.batch(conversation(10))


def _report() -> Json:
    items = _honest()
    chosen = [items[index] for index in (7, 0, 1, 2, 5, 6, 8)]
    found = HUB.assess(chosen)
    return {
        "room_uri": ROOM,
        "room_head_seq": 10,
        "items": [item.encode().hex() for item in chosen],
        "order": [result.exhibit.context.room_seq for result in found.results],
        "gaps": [[gap.first, gap.last] for gap in found.gaps],
        "omitted_tail": found.omitted_tail,
        "class": found.report_class,
        "message_ids": [one.message_id.hex() for one in found.verified],
        "texts": [mimi.plain_text(one.content) for one in found.verified],
    }


def _unverified() -> list[Json]:
    item = HUB.item(said("hello", number=1), context(3))
    at = item.context
    cases = [
        ("text altered", replace(item, content=item.content.replace(b"hello", b"jello"))),
        ("salt of 17 bytes", replace(item, content=b"\x87\x51" + item.content[2:18] + b"\0" + item.content[18:])),
        ("array head not minimal", replace(item, content=b"\x98\x07" + item.content[1:])),
        ("never sent", replace(item, content=said("never sent", number=9))),
        ("another sender", replace(item, content=said("hello", number=1, sender=BOB))),
        ("another room", HUB.item(said("hello", number=1, room=OTHER_ROOM), context(3, room=OTHER_ROOM))),
        ("frank altered", replace(item, server_frank=b"r" * 32)),
        ("suite 2", replace(item, suite=2)),
        ("signature of another server", Hub(signer=seeded(0x77)).item(item.content, at)),
        ("unknown hub key", replace(item, context=context(3, key=8))),
        ("another device", replace(item, context=context(3, device=BOB_PHONE))),
        ("another position", replace(item, context=context(4))),
    ]
    judged = [(name, case, HUB.assess([case]).results[0]) for name, case in cases]
    return [
        {"name": name, "item": case.encode().hex(), "reason": result.reason}
        for name, case, result in judged
        if isinstance(result, Unverified)
    ]


def franking_extra() -> Json:
    """The content of franking_extra.json."""
    good = build_aad(b"t" * 32)
    bad = {
        "empty": b"",
        "cut short": good[:-1],
        "trailing byte": good + b"\0",
        "31-byte tag": bytes.fromhex("2200201f") + b"t" * 31,
        "another component": bytes.fromhex("23002120") + b"t" * 32,
        "length not minimal": bytes.fromhex("4023") + good[1:],
        "second component": bytes.fromhex("26") + good[1:] + bytes.fromhex("002200"),
        "same component twice": bytes.fromhex("4046") + 2 * good[1:],
    }
    return {
        "hub_key_id": 7,
        "hub_key": HUB.hub_keys[7].hex(),
        "sign_seed": (b"\x24" * 32).hex(),
        "sign_pub": public_bytes(HUB.signer).hex(),
        "aad": {"tag": (b"t" * 32).hex(), "bytes": good.hex()},
        "bad_aads": [{"name": name, "bytes": data.hex()} for name, data in bad.items()],
        "batches": _batches(),
        "bad_proofs": _bad_proofs(),
        "report": _report(),
        "unverified": _unverified(),
    }


FILES: dict[str, Callable[[], Json]] = {
    "content": content,
    "words": words,
    "identity": identity,
    "franking_extra": franking_extra,
    "key_log": key_log,
    "attachments": attachments,
}


def rendered(name: str) -> str:
    """The text of one file."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in FILES:
        (Path(__file__).resolve().parent / "golden" / f"{name}.json").write_text(rendered(name), "utf-8")
