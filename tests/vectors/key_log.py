"""The key log's frozen bytes: proofs of an honest log, and what a lying one would have to show."""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from kith.protocol import transparency as kt
from kith.protocol.signing import public_bytes, sign_with_label
from protocol.franked import seeded, uuid
from protocol.trees import Tree

Json = dict[str, Any]

HOUR: Final = 3_600_000
BEGAN: Final = 1_700_000_000_000
KEY, ENDORSER = seeded(0x31), seeded(0x32)
CONFIGURATION = kt.Configuration(public_bytes(KEY), 60_000, 2 * HOUR, 24 * HOUR)
ANN, BEN, NOBODY = (kt.label_of(uuid(number)) for number in (0xA, 0xB, 0xC))


def _made(name: str, size: int = 32) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:size]


def _value(label: bytes, version: int) -> bytes:
    name = f"{label.hex()} {version}"
    return kt.key_value(_made(f"aik {name}"), _made(f"list {name}") * 3, _made(f"signature {name}") * 2)


def _commitment(label: bytes, version: int) -> bytes:
    opening = _made(f"opening {label.hex()} {version}", kt.OPENING)
    return kt.commitment(opening, label, version, _value(label, version))


def _log() -> Tree:
    """Ann's six versions with Ben's one between them, an entry an hour, and an idle one at the end."""
    tree, hours = Tree(), itertools.count()
    for label, version in [*((ANN, v) for v in range(3)), (BEN, 0), *((ANN, v) for v in range(3, 6))]:
        tree.add(kt.search_key(label, version), _commitment(label, version), BEGAN + next(hours) * HOUR)
    tree.append(BEGAN + next(hours) * HOUR)
    return tree


TREE = _log()
SIZE = len(TREE.entries)


def _root(size: int = SIZE) -> bytes:
    return kt.log_root(TREE.subtree, size)


def _flip(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _configurations() -> Json:
    good = CONFIGURATION.encode()
    bad = {
        "another suite": _flip(good, 1),
        "another mode": _flip(good, 2),
        "a key of 31 bytes": good[:3] + b"\0\x1f" + good[6:],
        "a VRF key": good[:37] + b"\0\1\0" + good[39:],
        "a maximum lifetime": good[:-1] + b"\1" + bytes(8),
        "cut short": good[:-1],
        "trailing byte": good + b"\0",
    }
    return {
        "configuration": {
            "key": CONFIGURATION.signature_key.hex(),
            "max_ahead_ms": CONFIGURATION.max_ahead_ms,
            "max_behind_ms": CONFIGURATION.max_behind_ms,
            "window_ms": CONFIGURATION.window_ms,
            "bytes": good.hex(),
            "endorser": public_bytes(ENDORSER).hex(),
            "endorsement": sign_with_label(ENDORSER, kt.ENDORSED, good).hex(),
        },
        "bad_configurations": [{"name": name, "bytes": data.hex()} for name, data in bad.items()],
    }


def _heads() -> Json:
    root = _root()
    signature = kt.sign_head(KEY, CONFIGURATION, SIZE, root)
    stranger = kt.sign_head(seeded(0x33), CONFIGURATION, SIZE, root)
    other = kt.sign_head(KEY, replace(CONFIGURATION, window_ms=HOUR), SIZE, root)
    bad = [
        ("another size", SIZE + 1, root, signature),
        ("another root", SIZE, _flip(root), signature),
        ("a byte of the signature", SIZE, root, _flip(signature)),
        ("signature cut", SIZE, root, signature[:-1]),
        ("another log's key", SIZE, root, stranger),
        ("another configuration", SIZE, root, other),
    ]
    return {
        "head": {"size": SIZE, "root": root.hex(), "signature": signature.hex()},
        "bad_heads": [
            {"name": name, "size": size, "root": one.hex(), "signature": made.hex()} for name, size, one, made in bad
        ],
    }


def _logged() -> list[Json]:
    return [
        {
            "label": label.hex(),
            "version": version,
            "opening": _made(f"opening {label.hex()} {version}", kt.OPENING).hex(),
            "value": _value(label, version).hex(),
            "search_key": kt.search_key(label, version).hex(),
            "commitment": _commitment(label, version).hex(),
        }
        for label, version in ((ANN, 0), (ANN, 5), (BEN, 0))
    ]


# --- searches in the prefix tree ------------------------------------------------------------------------------------


def _searches() -> Json:
    places = [(ANN, 0), (ANN, 5), (BEN, 0), *((label, v) for label in (ANN, NOBODY) for v in range(6, 14))]
    keys = [kt.search_key(label, version) for label, version in places]
    found = [(key, TREE.look_up(key)) for key in keys]
    good = [
        {
            "key": key.hex(),
            "root": TREE.root.hex(),
            "search": lookup.encode(key).hex(),
            "commitment": held.hex() if (held := lookup.proves(TREE.root, key)) else None,
        }
        for key, lookup in found
    ]
    key, lookup = found[0]
    other, absent = next((k, one) for k, one in found if one.proves(TREE.root, k) is None)
    shown = lookup.encode(key)
    bad = {
        "another commitment": (key, _flip(shown, 2)),
        "another sibling": (key, _flip(shown, len(shown) - 1)),
        "another depth": (key, _flip(shown, 1)),
        "an unknown result": (key, b"\4" + shown[1:]),
        "cut short": (key, shown[:-1]),
        "trailing byte": (key, shown + b"\0"),
        "absent, though it is there": (key, absent.encode(other)),
        "found, though it is absent": (other, shown),
        "nothing there, with the siblings of what is": (key, b"\3" + shown[1:2] + shown[34:]),
    }
    return {
        "searches": good,
        "bad_searches": [
            {"name": name, "key": one.hex(), "root": TREE.root.hex(), "search": data.hex()}
            for name, (one, data) in bad.items()
        ],
    }


# --- entries --------------------------------------------------------------------------------------------------------


def _entry(entry: kt.Entry) -> Json:
    return {
        "position": entry.position,
        "timestamp_ms": entry.timestamp_ms,
        "prefix_root": entry.prefix_root.hex(),
        "path": [node.hex() for node in entry.path],
        "greatest": entry.greatest,
        "lookups": [lookup.hex() for lookup in entry.lookups],
    }


def _entries() -> Json:
    last = SIZE - 1
    asked = [
        (last, ANN, 6, 0),
        (last, ANN, 6, 4),
        (last, BEN, 1, 0),
        (last, NOBODY, 0, 0),
        (0, ANN, 1, 0),
        (2, BEN, 0, 0),
    ]
    good = [(label, since, TREE.entry(position, label, held, since)) for position, label, held, since in asked]
    entry = good[0][2]
    older, fewer = TREE.entry(2, ANN, 3), TREE.entry(last, ANN, 5)
    changes: dict[str, kt.Entry] = {
        "another time": replace(entry, timestamp_ms=entry.timestamp_ms + 1),
        "another position": replace(entry, position=last - 1),
        "a position beyond the log": replace(entry, position=SIZE),
        "another prefix tree": replace(entry, prefix_root=_flip(entry.prefix_root)),
        "a path too short": replace(entry, path=entry.path[:-1]),
        "a path too long": replace(entry, path=(*entry.path, entry.path[0])),
        "another node in the path": replace(entry, path=(_flip(entry.path[0]), *entry.path[1:])),
        "the newest version hidden": fewer,
        "a newer version than there is": TREE.entry(last, ANN, 7),
        "more versions than an answer shows": replace(entry, greatest=kt.VERSIONS_SHOWN + 1),
        "more versions than can be": replace(entry, greatest=2**53),
        "less than no version": replace(entry, greatest=-1),
        "no versions at all": TREE.entry(last, ANN, 0),
        "a search too few": replace(entry, lookups=entry.lookups[:-1]),
        "a search too many": replace(entry, lookups=(*entry.lookups, entry.lookups[-1])),
        "searches in another order": replace(entry, lookups=entry.lookups[::-1]),
        "an older prefix tree in the newest place": replace(older, position=last, timestamp_ms=entry.timestamp_ms),
    }
    return {
        "entries": [
            {
                "size": SIZE,
                "root": _root().hex(),
                "label": label.hex(),
                "since": since,
                "entry": _entry(one),
                "versions": {str(version): held.hex() for version, held in one.versions(label, since).items()},
            }
            for label, since, one in good
        ],
        "bad_entries": [
            {"name": name, "size": SIZE, "root": _root().hex(), "label": ANN.hex(), "since": 0, "entry": _entry(one)}
            for name, one in changes.items()
        ],
    }


# --- the log over time ----------------------------------------------------------------------------------------------


def _extension(first: int, second: int, change: Callable[[list[bytes]], list[bytes]] = lambda proof: proof) -> Json:
    return {
        "first": first,
        "old": _root(first).hex(),
        "second": second,
        "new": _root(second).hex(),
        "proof": [node.hex() for node in change(kt.consistency(TREE.subtree, first, second))],
    }


def _extensions() -> Json:
    bad = {
        "a proof too short": _extension(3, 7, lambda proof: proof[:-1]),
        "a proof too long": _extension(3, 7, lambda proof: [*proof, proof[0]]),
        "another node": _extension(3, 7, lambda proof: [_flip(proof[0]), *proof[1:]]),
        "another beginning": {**_extension(3, 7), "old": _root(4).hex()},
        "another end": {**_extension(3, 7), "new": _root(8).hex()},
        "shorter than before": {**_extension(3, 7), "first": 7, "second": 3},
        "from nothing": {**_extension(3, 7), "first": 0},
        "the same size with another root": {**_extension(7, 7), "old": _root(6).hex()},
    }
    pairs = [(first, second) for second in range(1, SIZE + 1) for first in range(1, second + 1)]
    return {
        "extensions": [_extension(first, second) for first, second in pairs],
        "bad_extensions": [{"name": name, **one} for name, one in bad.items()],
    }


def _walks() -> list[Json]:
    """Which entries everybody checks: even hours, a burst, and long silences."""
    shapes = {
        "an entry an hour": list(range(0, 60 * HOUR, HOUR)),
        "a burst between silences": [0, *range(50 * HOUR, 50 * HOUR + 20), 90 * HOUR, 91 * HOUR, 200 * HOUR],
        "one entry": [0],
        "all at once": [0] * 9,
    }
    walks = []
    for name, offsets in shapes.items():
        times = [BEGAN + offset for offset in offsets]
        for after, upto in ((-1, len(times) - 1), (len(times) // 3, len(times) - 1), (-1, len(times) // 2)):
            found = kt.distinguished(len(times), CONFIGURATION.window_ms, times[-1], times.__getitem__, after, upto)
            walks.append({"name": name, "times": times, "after": after, "upto": upto, "positions": list(found)})
    return walks


def key_log() -> Json:
    """The content of key_log.json."""
    greatest = [*range(9), 62, 63, 64, 255, kt.MAX_VERSION]
    return {
        **_configurations(),
        **_heads(),
        "logged": _logged(),
        "ladders": [{"greatest": one, "versions": kt.ladder(one)} for one in greatest],
        **_searches(),
        **_entries(),
        **_extensions(),
        "walks": _walks(),
    }
