"""What must never be believed: the lessons of other engines, numbered as in the standard's list of negative tests."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from kith.protocol.mls import commit as commits
from kith.protocol.mls import group as groups
from kith.protocol.mls import private_message, treekem
from kith.protocol.mls.client import MlsClient
from kith.protocol.mls.codec import Extension
from kith.protocol.mls.crypto import aead_seal
from kith.protocol.mls.engine import Application, Committed, Random, RosterChange, Settings
from kith.protocol.mls.framing import APPLICATION, PrivateHeader, encode_private, framed_content
from kith.protocol.mls.group import Group
from kith.protocol.mls.key_package import key_package_fields
from kith.protocol.mls.leaf_node import Capabilities, LeafNode, Lifetime, from_lifetime, leaf_fields, read_leaf
from kith.protocol.mls.proposals import UpdatePath, UpdatePathNode
from kith.protocol.mls.public_message import sign_content
from kith.protocol.mls.ratchet_tree import encode_tree
from kith.protocol.mls.refusals import BadSignature, BadTag, PolicyRefused, Replay, TooOld, Unsupported, WrongEpoch
from kith.protocol.mls.secret_tree import SecretTree, sender_data_key
from kith.protocol.mls.suite import WireFormat, as_message
from kith.protocol.signing import Signer, public_bytes, sign_with_label
from kith.protocol.wire import Malformed, Reader, vector
from mls.people import DAY, GROUP_ID, NOW, Chance, Device, Town, anything, identity_of


def read(town: Town, by: str, message: bytes) -> bytes:
    """The text of a message; the reader's state is advanced."""
    done = town.devices[by].engine.process(town.states[by], message)
    assert isinstance(done.event, Application)
    town.states[by] = done.state
    return done.event.plaintext


def refused(town: Town, by: str, message: bytes, why: type[Malformed]) -> None:
    """The message is refused for this reason, and nothing has changed."""
    before = town.devices[by].engine.serialise(town.states[by])
    with pytest.raises(Malformed) as refusal:
        town.devices[by].engine.process(town.states[by], message)
    assert type(refusal.value) is why, refusal.value
    assert town.devices[by].engine.serialise(town.states[by]) == before


def sealed(state: Group, leaf: int, plain: bytes, aad: bytes = b"") -> bytes:
    """What any member can make: these bytes under the next key of any leaf."""
    key, _ = state.secret_tree.step(leaf, application=True)
    header = PrivateHeader(state.context.group_id, state.epoch, APPLICATION, aad)
    clear = vector(header.group_id) + header.epoch.to_bytes(8, "big") + bytes((APPLICATION,))
    ciphertext = aead_seal(key.key, private_message.guarded(key.nonce, b"grd!"), plain, clear + vector(aad))
    data_key, data_nonce = sender_data_key(state.secrets.sender_data, ciphertext)
    data = leaf.to_bytes(4, "big") + key.generation.to_bytes(4, "big") + b"grd!"
    return encode_private(header, aead_seal(data_key, data_nonce, data, clear), ciphertext)


def signature_over(state: Group, leaf: int, text: bytes, signer: Signer) -> bytes:
    """A signature over an application message of this leaf."""
    content = framed_content(state.context.group_id, state.epoch, leaf, b"", text)
    return sign_content(WireFormat.PRIVATE_MESSAGE, content, state.encoded_context, signer)


# --- who said it (1, 2) ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tail", "why"), [(b"", Malformed), (vector(b""), Malformed), (vector(bytes(64)), BadSignature)]
)
def test_01_a_message_without_a_signature_is_refused(tail: bytes, why: type[Malformed]) -> None:
    """A member who knows all keys says something in another's name; the genuine message then still opens."""
    town = Town("ann", "ben", "cem")
    forged = sealed(town.states["cem"], town.leaf("ann"), vector(b"I am ann") + tail)
    refused(town, "ben", forged, why)
    assert read(town, "ben", town.say("ann", b"I am")) == b"I am"


def test_02_a_message_signed_by_another_member_is_refused() -> None:
    """The signature must be that of the leaf that the sender data name."""
    town = Town("ann", "ben", "cem")
    state, leaf = town.states["cem"], town.leaf("ann")
    signature = signature_over(state, leaf, b"I am ann", town.devices["cem"].key)
    refused(town, "ben", sealed(state, leaf, vector(b"I am ann") + vector(signature)), BadSignature)
    own = signature_over(state, leaf, b"I am ann", town.devices["ann"].key)
    assert read(town, "ben", sealed(state, leaf, vector(b"I am ann") + vector(own))) == b"I am ann"


# --- used keys (3, 4, 5, 13) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [0, 8])
def test_03_a_replay_is_refused(window: int) -> None:
    """At once, after later messages, and from a window."""
    town = Town("ann", "ben", settings=Settings(out_of_order=window))
    first, second = town.say("ann", b"1"), town.say("ann", b"2")
    assert read(town, "ben", first) == b"1"
    refused(town, "ben", first, Replay)
    assert read(town, "ben", second) == b"2"
    refused(town, "ben", first, Replay)
    refused(town, "ben", second, Replay)


def test_03_an_own_message_that_comes_back_is_refused() -> None:
    """Its key was used for sending."""
    town = Town("ann", "ben")
    refused(town, "ann", town.say("ann", b"echo"), Replay)


def test_03_a_commit_is_not_followed_twice() -> None:
    """Its epoch is over; our own comes back as one of an epoch that is over, or while it is pending as our own."""
    town = Town("ann", "ben")
    made = town.change("ann").commit
    refused(town, "ben", made, TooOld)
    refused(town, "ann", made, TooOld)
    pending = town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW)
    refused(town, "ann", pending.commit, PolicyRefused)


def restart(town: Town, name: str) -> None:
    """From the stored state."""
    engine = town.devices[name].engine
    town.states[name] = engine.restore(engine.serialise(town.states[name]))


def test_04_a_replay_after_a_restart_is_refused() -> None:
    """The positions are part of the state."""
    town = Town("ann", "ben", settings=Settings(out_of_order=4))
    messages = [town.say("ann", b"1"), town.say("ann", b"2"), town.say("ann", b"3")]
    assert read(town, "ben", messages[2]) == b"3"
    assert read(town, "ben", messages[0]) == b"1"
    restart(town, "ben")
    refused(town, "ben", messages[2], Replay)
    refused(town, "ben", messages[0], Replay)
    assert read(town, "ben", messages[1]) == b"2"


def test_05_a_restart_does_not_rewind_the_ratchet() -> None:
    """Two sends around a restart use different generations."""
    town = Town("ann", "ben")
    first = town.say("ann", b"1")
    restart(town, "ann")
    second = town.say("ann", b"2")
    assert town.devices["ann"].engine.own_generation(town.states["ann"]) == 2
    assert [read(town, "ben", message) for message in (first, second)] == [b"1", b"2"]


def test_05_an_older_state_is_not_restored() -> None:
    """It would use the same keys again; every change counts, and the count is kept beside the state."""
    town = Town("ann", "ben")
    engine = town.devices["ann"].engine
    old = engine.serialise(town.states["ann"])
    town.say("ann", b"1")
    with pytest.raises(PolicyRefused):
        engine.restore(old, at_least=engine.revision(town.states["ann"]))
    assert engine.restore(old, at_least=engine.revision(town.states["ann"]) - 1).epoch == 1


def revisions(town: Town) -> list[int]:
    """The revisions of ann's state through every kind of change."""
    ann, ben = town.devices["ann"].engine, town.devices["ben"].engine
    states = [town.states["ann"]]
    states.append(ann.protect(states[-1], b"").state)
    states.append(ann.process(states[-1], town.say("ben", b"")).state)
    pending = ann.commit(states[-1], now_s=NOW).state
    states += [pending, ann.discard_own(pending)]
    states.append(ann.commit(states[-1], now_s=NOW).state)
    states.append(ann.protect(states[-1], b"").state)
    states.append(ann.apply_own(states[-1]))
    assert ben.epoch(town.states["ben"]) == 1
    return [ann.revision(state) for state in states]


def test_05_every_change_raises_the_revision() -> None:
    """Sending, reading, committing, discarding, applying."""
    found = revisions(Town("ann", "ben"))
    assert found == sorted(set(found))


def secrets_of(tree: SecretTree, leaf: int, generations: int) -> list[bytes]:
    """Every secret from which the keys of these generations follow, and the keys."""
    found = list(tree.nodes.values())
    opened = tree.opened(leaf)
    ratchet = opened.ratchets[leaf].application
    for _ in range(generations):
        key, after = ratchet.step()
        found += [ratchet.secret, key.key, key.nonce]
        ratchet = after
    return found


def test_13_no_used_key_can_be_found_in_a_stored_state() -> None:
    """Neither the keys of read messages, nor what they follow from, also beside a key that is kept for a late one."""
    town = Town("ann", "ben", settings=Settings(out_of_order=4))
    secrets = secrets_of(town.states["ben"].secret_tree, 0, 4)
    messages = [town.say("ann", bytes((at,))) for at in range(4)]
    for at in (0, 1, 3):
        read(town, "ben", messages[at])
    stored = town.devices["ben"].engine.serialise(town.states["ben"])
    kept = [secret for secret in secrets if secret in stored]
    assert kept == secrets[-5:-3]  # key and nonce of generation 2, and not its ratchet secret
    read(town, "ben", messages[2])
    stored = town.devices["ben"].engine.serialise(town.states["ben"])
    assert not any(secret in stored for secret in secrets)


@pytest.mark.parametrize("by", ["ann", "ben"])
def test_13_no_secret_of_a_past_epoch_can_be_found_in_a_stored_state(by: str) -> None:
    """Key schedule, secret tree, and the private keys that a rotation replaced."""
    town = Town("ann", "ben")
    town.say(by, b"so that there are ratchets")
    old = {name: town.states[name] for name in town.states}
    town.change("ann")
    town.change("ben")
    stored = town.devices[by].engine.serialise(town.states[by])
    before = old[by]
    ratchets = [one.secret for pair in before.secret_tree.ratchets.values() for one in pair]
    gone = [*before.keys.values(), *before.secret_tree.nodes.values(), *ratchets]
    gone += [getattr(before.secrets, name) for name in before.secrets.__slots__]
    assert gone
    assert not any(secret in stored for secret in gone)


def test_13_a_removed_device_keeps_no_secret() -> None:
    """Nothing of the last epoch is left in its state."""
    town = Town("ann", "ben", "cem")
    ben = town.devices["ben"].engine
    before = town.states["ben"]
    made = town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, removes=[1])
    stored = ben.serialise(ben.process(before, made.commit).state)
    gone = [*before.keys.values(), *before.secret_tree.nodes.values(), before.secrets.exporter, before.secrets.init]
    assert not any(secret in stored for secret in gone)
    assert not ben.is_active(ben.restore(stored))


# --- the committer's leaf and path (7, 8, 18) -----------------------------------------------------------------------


def with_leaf_signed_by(monkeypatch: pytest.MonkeyPatch, signer: Signer | None) -> None:
    """Commits are made with a path leaf that this key signs, or with 64 zero bytes."""
    genuine = groups._leaf_signer

    class Unsigned:
        def sign(self, _data: bytes, /) -> bytes:
            return bytes(64)

    def leaf_signer(group: Group, leaf_public: bytes, _own: Signer) -> Callable[[bytes], bytes]:
        return genuine(group, leaf_public, Unsigned() if signer is None else signer)

    monkeypatch.setattr(groups, "_leaf_signer", leaf_signer)


@pytest.mark.parametrize("signed_by", [None, "ben"])
def test_07_a_commit_with_a_wrongly_signed_leaf_is_refused(
    monkeypatch: pytest.MonkeyPatch, signed_by: str | None
) -> None:
    """Not signed, or by somebody else; that ts-mls and mls-rs accept ours is in `test_differential`."""
    town = Town("ann", "ben", "cem")
    ann = town.devices["ann"].engine
    with monkeypatch.context() as patch:
        with_leaf_signed_by(patch, None if signed_by is None else town.devices[signed_by].key)
        forged = ann.commit(town.states["ann"], now_s=NOW)
    refused(town, "cem", forged.commit, BadSignature)
    town.change("ann")
    assert town.agree()


def test_08_a_creator_follows_the_paths_of_others() -> None:
    """Also those made before it ever committed again."""
    town = Town("ann", "ben", "cem")
    for name in ("ben", "cem", "ben"):
        town.change(name)
    assert town.agree()


def altered_path(change: Callable[[UpdatePath, Group], UpdatePath], town: Town) -> bytes:
    """A commit by ann, signed in order, whose path was changed before."""
    genuine = treekem.encrypt_path
    state = town.states["ann"]

    def encrypt_path(
        made: treekem.NewPath, *, group_context: bytes, new_leaves: frozenset[int], random: Random
    ) -> UpdatePath:
        update = genuine(made, group_context=group_context, new_leaves=new_leaves, random=random)
        return change(update, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(treekem, "encrypt_path", encrypt_path)
        return town.devices["ann"].engine.commit(state, now_s=NOW).commit


def node(update: UpdatePath, at: int, key: bytes) -> UpdatePath:
    """The path with another key at one place."""
    nodes = list(update.nodes)
    nodes[at] = UpdatePathNode(key, nodes[at].ciphertexts)
    return replace(update, nodes=tuple(nodes))


ALTERED: dict[str, Callable[[UpdatePath, Group], UpdatePath]] = {
    "one key twice": lambda update, _: node(update, 0, update.nodes[1].encryption_key),
    "the leaf's key above it": lambda update, _: node(update, 0, update.leaf.encryption_key),
    "a key of the tree": lambda update, state: node(update, 0, state.tree[2].encryption_key if state.tree[2] else b""),
    "another new key": lambda update, _: node(update, 0, b"n" * 32),
    "a point of small order": lambda update, _: node(update, 0, bytes(32)),
    "too short": lambda update, _: replace(update, nodes=update.nodes[:-1]),
    "too long": lambda update, _: replace(update, nodes=(*update.nodes, update.nodes[-1])),
    "too few secrets": lambda update, _: replace(
        update, nodes=(UpdatePathNode(update.nodes[0].encryption_key, ()), *update.nodes[1:])
    ),
    "swapped secrets": lambda update, _: replace(
        update,
        nodes=(
            UpdatePathNode(update.nodes[0].encryption_key, update.nodes[1].ciphertexts[:1]),
            *update.nodes[1:],
        ),
    ),
}


@pytest.mark.parametrize("how", ALTERED)
def test_18_a_path_that_does_not_fit_is_refused(how: str) -> None:
    """Repeated keys, known keys, wrong lengths, wrong secrets; all signed by the committer."""
    town = Town("ann", "ben", "cem", "dan")
    for name in ("ben", "cem", "dan", "ann"):
        town.change(name)
    forged = altered_path(ALTERED[how], town)
    before = town.states["ben"]
    with pytest.raises(Malformed):
        town.devices["ben"].engine.process(before, forged)
    town.change("ann")
    assert town.agree()


def test_18_a_key_package_with_an_unusable_key_is_refused() -> None:
    """A point of small order, as leaf key or as init key: nobody could encrypt to it."""
    town = Town("ann", "ben")
    device = town.device("cem")
    for usable, unusable in ((b"\x09" + bytes(31), b"\x01" + bytes(31)), (bytes(32), b"\x09" + bytes(31))):
        fields = leaf_fields(
            encryption_key=usable,
            signature_key=public_bytes(device.key),
            identity=device.identity,
            capabilities=Capabilities(),
            source=from_lifetime(Lifetime(NOW, NOW + DAY)),
        )
        leaf = read_leaf(Reader(fields + vector(sign_with_label(device.key, "LeafNodeTBS", fields))))
        offered = key_package_fields(unusable, leaf)
        message = as_message(
            WireFormat.KEY_PACKAGE, offered + vector(sign_with_label(device.key, "KeyPackageTBS", offered))
        )
        with pytest.raises(Malformed, match="usable"):
            town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=[message])


def without_checks(patch: pytest.MonkeyPatch) -> None:
    """A committer that does not look."""
    for module in (commits, groups):
        patch.setattr(module, "check_identities", lambda _tree: None)
        patch.setattr(module, "check_keys_unique", lambda _tree: None)


def test_18_a_device_or_a_key_is_in_a_group_only_once() -> None:
    """An Add of a device that is there, of its key under another name, or of one package twice: made and received."""
    town = Town("ann", "ben", "cem")
    ann = town.devices["ann"].engine
    again = town.devices["ben"].package()[0]
    other_name = MlsClient(
        identity=identity_of("another name"),
        signature_key=public_bytes(town.devices["ben"].key),
        signer=town.devices["ben"].key,
        random=Chance("another name"),
        authenticate=lambda _identity, _key: True,
        roster=anything,
    )
    renamed = other_name.new_key_package(not_before=NOW, not_after=NOW + DAY).message
    twice = town.device("dan").package()[0]
    for adds in ([again], [renamed], [twice, twice]):
        with pytest.raises(Malformed):
            ann.commit(town.states["ann"], now_s=NOW, adds=adds)
        with pytest.MonkeyPatch.context() as patch:
            without_checks(patch)
            if adds == [twice, twice]:
                continue
            forged = ann.commit(town.states["ann"], now_s=NOW, adds=adds)
        with pytest.raises(Malformed):
            town.devices["cem"].engine.process(town.states["cem"], forged.commit)


# --- what is authenticated and who signs (6, 9, 10) -----------------------------------------------------------------


def test_06_members_export_the_same_secrets() -> None:
    """For empty and other contexts; that ts-mls and mls-rs export the same is in `test_differential`."""
    town = Town("ann", "ben")
    ann, ben = (town.devices[name].engine for name in ("ann", "ben"))
    found = set()
    for label, context, length in (
        (b"", b"", 16),
        (b"a", b"", 16),
        (b"a", b"c", 16),
        (b"a", b"c", 8160),
        (b"", b"", 0),
    ):
        exported = ann.exporter(town.states["ann"], label, context, length)
        assert exported == ben.exporter(town.states["ben"], label, context, length)
        assert len(exported) == length
        found.add(exported[:16])
    assert len(found) == 5
    with pytest.raises(Malformed):
        ann.exporter(town.states["ann"], b"", b"", 8161)


def test_09_altered_authenticated_data_are_refused() -> None:
    """They travel in clear and arrive as they were sent, or not at all."""
    town = Town("ann", "ben")
    message = town.say("ann", b"text", b"authenticated data")
    altered = message.replace(b"authenticated data", b"authenticated dat4")
    refused(town, "ben", altered, BadTag)
    done = town.devices["ben"].engine.process(town.states["ben"], message)
    assert isinstance(done.event, Application)
    assert done.event.authenticated_data == b"authenticated data"


def test_10_nothing_is_said_without_a_signature_key() -> None:
    """Messages, commits, key packages and groups need one; reading does not."""
    town = Town("ann", "ben")
    silent = MlsClient(
        identity=town.devices["ben"].identity,
        signature_key=public_bytes(town.devices["ben"].key),
        signer=None,
        random=Chance("silent"),
        authenticate=lambda _identity, _key: True,
        roster=anything,
    )
    attempts: list[Callable[[], object]] = [
        lambda: silent.protect(town.states["ben"], b"text"),
        lambda: silent.commit(town.states["ben"], now_s=NOW),
        lambda: silent.new_key_package(not_before=NOW, not_after=NOW + DAY),
        lambda: silent.create_group(GROUP_ID, not_before=NOW, not_after=NOW + DAY),
        lambda: silent.group_info(town.states["ben"]),
    ]
    for attempt in attempts:
        with pytest.raises(PolicyRefused):
            attempt()
    assert isinstance(silent.process(town.states["ben"], town.say("ann", b"text")).event, Application)


# --- mutations and trailing bytes (11, 15, 19) ----------------------------------------------------------------------


@dataclass
class Genuine:
    """Bytes of one kind, and how to believe them: raises, or returns what proves that they were believed."""

    data: bytes
    believe: Callable[[bytes], object]


def genuine(kind: str) -> Genuine:
    """A fresh example."""
    town = Town("ann", "ben", "cem")
    ann, ben = town.devices["ann"].engine, town.devices["ben"].engine
    message, secret = town.device("dan").package()
    if kind == "message":
        return Genuine(town.say("ann", b"text", b"data"), lambda data: ben.process(town.states["ben"], data).event)
    if kind == "key package":
        return Genuine(message, lambda data: ann.commit(town.states["ann"], now_s=NOW, adds=[data]))
    made = ann.commit(town.states["ann"], now_s=NOW, adds=[message], removes=[2], encrypted=kind == "private commit")
    if kind == "welcome":
        assert made.welcome is not None
        return Genuine(made.welcome, lambda data: town.devices["dan"].engine.join(data, secret).epoch)
    return Genuine(made.commit, lambda data: ben.process(town.states["ben"], data).event)


def mutations(data: bytes, count: int = 213) -> list[bytes]:
    """Bit flips, truncations, insertions, garbage; none of them equal to the original."""
    chance = random.Random(7)
    found: list[bytes] = []
    while len(found) < count:
        at, how = chance.randrange(len(data)), len(found) % 5
        if how < 2:
            changed = bytearray(data)
            changed[at] ^= 1 << chance.randrange(8)
            found.append(bytes(changed))
        elif how == 2:
            found.append(data[:at])
        elif how == 3:
            found.append(data[:at] + chance.randbytes(1 + at % 40) + data[at:])
        else:
            found.append(chance.randbytes(len(data)) if at % 2 else data[:4] + chance.randbytes(at))
    return [mutation for mutation in found if mutation != data]


KINDS = ("message", "public commit", "private commit", "welcome", "key package")


@pytest.mark.parametrize("kind", KINDS)
def test_11_no_mutation_is_believed_and_the_genuine_one_still_is(kind: str) -> None:
    """Refused with a typed error, in bounded time, and nothing is burnt."""
    example = genuine(kind)
    changed = mutations(example.data)
    assert len(changed) >= 200
    start = time.monotonic()
    for mutation in changed:
        with pytest.raises(Malformed):
            example.believe(mutation)
    assert time.monotonic() - start < 60
    assert example.believe(example.data) is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"\0", b"\xff" * 100])
def test_15_trailing_bytes_are_refused(kind: str, tail: bytes) -> None:
    """Everywhere."""
    example = genuine(kind)
    with pytest.raises(Malformed):
        example.believe(example.data + tail)


@pytest.mark.parametrize(
    "plain",
    [
        b"\x01",
        b"\0\0\0\0\0\0\0\x01",
        b"\0" * 100 + b"\x80",
    ],
)
def test_19_padding_that_is_not_zero_is_refused(plain: bytes) -> None:
    """It would be a channel that nobody sees."""
    town = Town("ann", "ben")
    state = town.states["ann"]
    signed = vector(b"text") + vector(signature_over(state, 0, b"text", town.devices["ann"].key))
    refused(town, "ben", sealed(state, 0, signed + plain), Malformed)
    assert read(town, "ben", sealed(state, 0, signed + bytes(len(plain)))) == b"text"


@pytest.mark.parametrize(
    "text",
    [
        b"\x40\x04text",  # four bytes announced in two
        b"\x80\0\0\x04text",  # in four
        b"\xc4text",  # the forbidden prefix
        b"\x84\0\0\0text",  # 64 MiB
        b"\x05text",  # into the signature
    ],
)
def test_19_a_length_that_is_not_what_it_says_is_refused(text: bytes) -> None:
    """Not minimal, beyond the data, or huge: at once, without memory for what was claimed."""
    town = Town("ann", "ben")
    state = town.states["ann"]
    signature = vector(signature_over(state, 0, b"text", town.devices["ann"].key))
    refused(town, "ben", sealed(state, 0, text + signature), Malformed)


def test_19_huge_claims_cost_nothing() -> None:
    """64 MiB announced at every place where a length may stand."""
    for kind in KINDS:
        example = genuine(kind)
        start = time.monotonic()
        for at in range(4, min(len(example.data), 120)):
            with pytest.raises(Malformed):
                example.believe(example.data[:at] + b"\x84\0\0\0" + example.data[at:])
        assert time.monotonic() - start < 60


# --- membership (12, 16, 20) ----------------------------------------------------------------------------------------


def test_16_a_removed_member_is_out() -> None:
    """It cannot read what comes, and what it says with its old state is refused."""
    town = Town("ann", "ben", "cem")
    ben, before = town.devices["ben"].engine, town.states["ben"]
    town.change("ann", remove=("ben",))
    message = town.say("ann", b"without ben")
    with pytest.raises(WrongEpoch):
        ben.process(before, message)
    late = ben.protect(before, b"still here?").message
    refused(town, "ann", late, TooOld)
    bold = replace(before, context=replace(before.context, epoch=2))
    bold = replace(bold, encoded_context=bold.context.encode())
    refused(town, "ann", ben.protect(bold, b"I pretend").message, BadTag)
    with pytest.raises(BadTag):
        ben.process(bold, message)
    refused(town, "ann", ben.commit(bold, now_s=NOW).commit, Malformed)


def knows_not(*names: str) -> Callable[[bytes, bytes], bool]:
    """A directory that does not know these."""
    unknown = {identity_of(name) for name in names}
    return lambda identity, _key: identity not in unknown


def test_20_a_credential_that_the_directory_does_not_know_is_refused() -> None:
    """At join, when adding, and in a commit of somebody else."""
    town = Town("ann", "ben")
    doubting = Device("cem", authenticate=knows_not("ben"))
    message, secret = doubting.package()
    made = town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=[message])
    assert made.welcome is not None
    with pytest.raises(PolicyRefused):
        doubting.engine.join(made.welcome, secret)
    careful = Device("ann", authenticate=knows_not("dan")).engine
    stranger = town.device("dan").package()[0]
    with pytest.raises(PolicyRefused):
        careful.commit(town.states["ann"], now_s=NOW, adds=[stranger])
    adding = town.devices["ben"].engine.commit(town.states["ben"], now_s=NOW, adds=[stranger])
    with pytest.raises(PolicyRefused):
        careful.process(town.states["ann"], adding.commit)
    rotating = town.devices["ben"].engine.commit(town.states["ben"], now_s=NOW)
    with pytest.raises(PolicyRefused):
        Device("ann", authenticate=knows_not("ben")).engine.process(town.states["ann"], rotating.commit)


def test_20_a_roster_policy_has_the_last_word() -> None:
    """It sees who does what, and its sentence is the refusal: for joins, own commits and those of others."""
    seen: list[RosterChange] = []

    def refuse(change: RosterChange) -> str | None:
        seen.append(change)
        return "this room has an announced roster"

    town = Town("ann", "ben")
    strict = Device("ann", roster=refuse).engine
    stranger, secret = Device("dan", roster=refuse).package()
    adding = town.devices["ben"].engine.commit(town.states["ben"], now_s=NOW, adds=[stranger], removes=[0])
    assert adding.welcome is not None
    welcome = adding.welcome
    attempts: list[Callable[[], object]] = [
        lambda: strict.process(town.states["ann"], adding.commit),
        lambda: strict.commit(town.states["ann"], now_s=NOW),
        lambda: Device("dan", roster=refuse).engine.join(welcome, secret),
    ]
    for attempt in attempts:
        with pytest.raises(PolicyRefused, match="announced roster"):
            attempt()
    assert [(change.committer.leaf, change.own) for change in seen] == [(1, False), (0, True), (1, True)]
    assert [member.identity for member in seen[0].removed] == [identity_of("ann")]
    assert [member.identity for member in seen[0].added] == [identity_of("dan")]
    assert {member.identity for member in seen[0].after} == {identity_of("ben"), identity_of("dan")}


def test_20_a_leaf_keeps_the_device_that_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member cannot become somebody else by a commit, whatever the directory says."""
    town = Town("ann", "ben")

    def leaf_signer(group: Group, leaf_public: bytes, signer: Signer) -> Callable[[bytes], bytes]:
        leaf = group.tree[0]
        assert isinstance(leaf, LeafNode)
        changed = replace(group, tree=(replace(leaf, identity=identity_of("cem")), *group.tree[1:]))
        return genuine_signer(changed, leaf_public, signer)

    genuine_signer = groups._leaf_signer
    with monkeypatch.context() as patch:
        patch.setattr(groups, "_leaf_signer", leaf_signer)
        forged = town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW)
    refused(town, "ben", forged.commit, PolicyRefused)


# --- time (14, 17) --------------------------------------------------------------------------------------------------


def package(not_before: int, not_after: int) -> bytes:
    """A key package with this lifetime, made by an engine without a limit."""
    made = Device("eve", settings=Settings(lifetime_s=None)).engine.new_key_package(
        not_before=not_before, not_after=not_after
    )
    return made.message


@pytest.mark.parametrize(
    ("not_before", "not_after"),
    [(0, 2**64 - 1), (NOW - 10, NOW - 1), (NOW + 1, NOW + 10), (NOW - DAY, NOW + 90 * DAY), (NOW + 1, NOW - 1)],
)
def test_14_a_lifetime_that_is_over_or_too_long_is_refused(not_before: int, not_after: int) -> None:
    """When adding; and without limit also in a commit of somebody else, and when making one."""
    town = Town("ann", "ben")
    message = package(not_before, not_after)
    with pytest.raises(PolicyRefused):
        town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=[message])
    loose = Device("ann", settings=Settings(lifetime_s=None)).engine
    if not_after - not_before > 90 * DAY:
        made = loose.commit(town.states["ann"], now_s=NOW, adds=[message])
        refused(town, "ben", made.commit, PolicyRefused)
        with pytest.raises(PolicyRefused):
            town.devices["ann"].engine.new_key_package(not_before=not_before, not_after=not_after)


def test_14_an_add_that_was_fresh_is_followed_later() -> None:
    """Whoever catches up does not refuse what expired meanwhile; no clock is asked."""
    town = Town("ann", "ben")
    made = town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=[package(NOW, NOW + 1)])
    assert town.devices["ben"].engine.process(town.states["ben"], made.commit).state.epoch == 2


def test_17_messages_of_other_epochs_are_refused_as_such() -> None:
    """Too old when its keys are gone, wrong epoch when it is not here yet, another group by policy."""
    town = Town("ann", "ben")
    old = town.say("ann", b"old")
    behind = town.states["ben"]
    town.change("ann")
    refused(town, "ben", old, TooOld)
    new = town.say("ann", b"new")
    with pytest.raises(WrongEpoch):
        town.devices["ben"].engine.process(behind, new)
    elsewhere = Device("cem").create(b"elsewhere")
    refused(town, "ben", Device("cem").engine.protect(elsewhere, b"hello").message, PolicyRefused)


def test_17_past_epochs_are_kept_as_long_as_settings_say() -> None:
    """Two epochs, then no longer; each message still only once."""
    town = Town("ann", "ben", settings=Settings(past_epochs=2))
    sent = []
    for _ in range(4):
        sent.append(town.say("ann", b"said"))
        town.change("ann")
    refused(town, "ben", sent[0], TooOld)
    refused(town, "ben", sent[1], TooOld)
    for message in sent[2:]:
        assert read(town, "ben", message) == b"said"
        refused(town, "ben", message, Replay)


def test_17_twelve_messages_in_reverse_order() -> None:
    """All within a window of eleven; with a smaller one the oldest are too old; without one they are given up."""
    town = Town("ann", "ben", settings=Settings(out_of_order=11))
    messages = [town.say("ann", bytes((at,))) for at in range(12)]
    assert [read(town, "ben", message)[0] for message in reversed(messages)] == list(range(11, -1, -1))
    for window, why in ((4, TooOld), (0, Replay)):
        town = Town("ann", "ben", settings=Settings(out_of_order=window))
        messages = [town.say("ann", bytes((at,))) for at in range(12)]
        read(town, "ben", messages[11])
        assert [read(town, "ben", messages[at])[0] for at in range(10, 10 - window, -1)] == list(
            range(10, 10 - window, -1)
        )
        refused(town, "ben", messages[10 - window], why)


def test_17_a_jump_forward_is_bounded() -> None:
    """2,000 by default; here 5."""
    town = Town("ann", "ben", settings=Settings(forward=5))
    messages = [town.say("ann", b"") for _ in range(7)]
    refused(town, "ben", messages[6], Malformed)
    assert read(town, "ben", messages[5]) == b""
    assert read(town, "ben", messages[6]) == b""


# --- what Kith's groups do not have ---------------------------------------------------------------------------------


def test_what_is_outside_is_refused_by_name() -> None:
    """Group extensions at creation and in a commit, and other proposals than Add and Remove."""
    town = Town("ann", "ben")
    loose = Device("ann", settings=Settings(proposals=frozenset({1, 3, 7}), extensions=frozenset({3}))).engine
    required = (Extension(3, vector(b"") + vector(b"") + vector(b"\0\1")),)
    made = loose.commit(town.states["ann"], now_s=NOW, extensions=required)
    with pytest.raises(Unsupported, match="group_context_extensions"):
        town.devices["ben"].engine.process(town.states["ben"], made.commit)
    with pytest.raises(Unsupported, match="extension of type 3"):
        town.devices["ann"].engine.create_group(GROUP_ID, not_before=NOW, not_after=NOW + DAY, extensions=required)
    with pytest.raises(Malformed):
        town.devices["ann"].engine.create_group(b"", not_before=NOW, not_after=NOW + DAY)


def test_a_group_has_at_most_so_many_devices() -> None:
    """Made and received."""
    town = Town("ann", "ben", settings=Settings(leaves=3))
    adds = [town.device(name).package()[0] for name in ("cem", "dan")]
    with pytest.raises(PolicyRefused, match="at most 3"):
        town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=adds)
    large: Committed[Group] = Device("ann").engine.commit(town.states["ann"], now_s=NOW, adds=adds)
    refused(town, "ben", large.commit, PolicyRefused)


def test_a_welcome_is_only_for_its_addressee() -> None:
    """Another's secret record, another package of ours, or a tree of another group."""
    town = Town("ann", "ben")
    message, secret = town.device("cem").package()
    _, other = town.device("cem").package()
    made = town.devices["ann"].engine.commit(town.states["ann"], now_s=NOW, adds=[message])
    assert made.welcome is not None
    with pytest.raises(Malformed):
        town.devices["cem"].engine.join(made.welcome, other)
    with pytest.raises(PolicyRefused):
        town.device("dan").engine.join(made.welcome, secret)
    with pytest.raises(Malformed):
        town.devices["cem"].engine.join(made.welcome, secret, ratchet_tree=encode_tree(town.states["ben"].tree))
    assert town.devices["cem"].engine.join(made.welcome, secret).epoch == 2


def test_secrets_are_never_printed() -> None:
    """No repr of anything that holds a secret shows one."""
    town = Town("ann", "ben", settings=Settings(out_of_order=2, past_epochs=1))
    town.say("ann", b"1")
    read(town, "ben", town.say("ann", b"2"))
    engine = town.devices["ben"].engine
    fresh = engine.new_key_package(not_before=NOW, not_after=NOW + DAY)
    state = engine.commit(town.states["ben"], now_s=NOW).state
    shown = " ".join(
        map(repr, (state, engine, fresh, state.secrets, state.secret_tree, state.pending, state.reading()))
    )
    shown += repr(state.secret_tree.ratchets)
    secrets = [*state.keys.values(), state.secrets.init, state.secrets.exporter, *state.secret_tree.nodes.values()]
    secrets += [pair.application.secret for pair in state.secret_tree.ratchets.values()]
    assert not any(secret.hex() in shown or repr(secret)[2:-1] in shown for secret in secrets)
