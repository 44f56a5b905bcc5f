"""Every decoder of the engine with what must hold for any bytes: refused as Malformed, or written again the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from kith.protocol.mls import ratchet_tree
from kith.protocol.mls.codec import ANY_SUITE, KITH, RFC9420, Dialect
from kith.protocol.mls.framing import encode_private, parse_commit, parse_private, parse_public_message
from kith.protocol.mls.group_info import group_info_message, parse_group_info, parse_signed_group_info
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.mls.observer import observe
from kith.protocol.mls.proposals import read_commit, read_proposal
from kith.protocol.mls.state import decode_group, decode_own_package, encode_group, encode_own_package
from kith.protocol.mls.suite import WireFormat, as_message
from kith.protocol.mls.welcome import parse_welcome, read_group_secrets
from kith.protocol.wire import Malformed, Reader
from mls.people import NOW, Town
from vectors.shared import vectors_folder

Again = Callable[[bytes], bytes]


def _public(dialect: Dialect) -> Again:
    return lambda data: parse_public_message(data, dialect).encode()


def _commit(data: bytes) -> bytes:
    reader = Reader(data)
    again = read_commit(reader, RFC9420).encode()
    reader.done()
    return again


def _proposal(data: bytes) -> bytes:
    reader = Reader(data)
    again = read_proposal(reader, RFC9420).encode()
    reader.done()
    return again


def _tree(data: bytes) -> bytes:
    tree = ratchet_tree.read_tree(data)
    with suppress(Malformed):  # most trees that can be read are not in order: saying so must not crash
        ratchet_tree.check_tree(tree, b"group")
    assert all(node is None or node.encode() == node.encoded for node in tree)
    return ratchet_tree.encode_tree(tree)


def _group_info(data: bytes) -> bytes:
    parse_group_info(data)
    observe(data)
    return data


def _header(data: bytes) -> bytes:
    parse_commit(data)
    return data


def _own_package(data: bytes) -> bytes:
    own, last_resort = decode_own_package(data)
    return encode_own_package(own, last_resort=last_resort)


DECODERS: tuple[Again, ...] = (
    lambda data: encode_private(*parse_private(data)),
    _public(KITH),
    _public(RFC9420),
    _public(ANY_SUITE),
    _header,
    lambda data: as_message(WireFormat.KEY_PACKAGE, parse_key_package(data).encode()),
    lambda data: parse_welcome(data).encode(),
    lambda data: group_info_message(parse_signed_group_info(data).encode()),
    _group_info,
    _tree,
    lambda data: read_group_secrets(data).encode(),
    _commit,
    _proposal,
    lambda data: encode_group(decode_group(data)),
    _own_package,
)


def check(data: bytes) -> None:
    """The first byte chooses the decoder, the rest is its input."""
    if not data:
        return
    again = DECODERS[data[0] % len(DECODERS)]
    try:
        assert again(data[1:]) == data[1:]
    except Malformed:
        return


def seeds() -> Iterator[bytes]:
    """Real bytes for every decoder: our own, and the official messages where they are."""
    town = Town("ann", "ben", "cem")
    ann = town.devices["ann"].engine
    message, secret = town.device("dan").package()
    made = ann.commit(town.states["ann"], now_s=NOW, adds=[message], removes=[1])
    assert made.welcome is not None
    state = town.states["ann"]
    mail = town.say("ann", b"text", b"data")
    tree = ratchet_tree.encode_tree(state.tree)
    body = parse_public_message(made.commit).content.body
    assert not isinstance(body, bytes)
    ours = {0: mail, 5: message, 6: made.welcome, 7: made.group_info, 8: made.group_info, 9: tree, 11: body.encode()}
    ours |= dict.fromkeys(range(1, 5), made.commit) | {13: ann.serialise(made.state), 14: secret}
    yield from (bytes((at,)) + data for at, data in ours.items())
    yield from _official(vectors_folder() / "mls" / "messages.json")


def _official(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    places = {
        "private_message": 0,
        "public_message_proposal": 3,
        "public_message_commit": 3,
        "mls_key_package": 5,
        "mls_welcome": 6,
        "mls_group_info": 7,
        "ratchet_tree": 9,
        "group_secrets": 10,
        "commit": 11,
    }
    for case in json.loads(path.read_text("utf-8"))[:60:6]:
        for name, at in places.items():
            yield bytes((at,)) + bytes.fromhex(case[name])
