"""A server that lies in its key log: each lie is refused, and what speaks against the server stays visible."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.protocol import identity
from kith.protocol import transparency as kt
from kith.protocol.identity import DeviceEntry, DeviceList
from kith.protocol.signing import public_bytes, sign_with_label
from kith.protocol.uris import account_uri, device_uri
from kith.sdk import answers
from kith.sdk.errors import Unverified
from kith.sdk.key_log import FORKED, NEW_DEVICE, OTHER_KEYS, STALE, KeyLog
from kith.sdk.records import HeardHead
from kith.sdk.vault import Vault
from protocol.trees import Tree
from sdk.meeting import CHEAP

HOST = "kith.test"
ANN, BEN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
PHONE, TABLET = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
START = 1_767_225_600_000
DAY = 86_400_000
OPENING = b"o" * 16


class Server:
    """Keeps a log, signs heads, answers as the real one."""

    def __init__(self) -> None:
        self.manifest_key, self.key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.manifest = identity.first_manifest(self.manifest_key, first_hub_key_id=1, created_ms=START)
        self.configuration = kt.Configuration(public_bytes(self.key), 60_000, 3_600_000, DAY)
        self.tree, self.now = Tree(), START
        self.values: dict[str, list[bytes]] = {}
        self.ghost = -1
        self.born: dict[str, list[int]] = {}

    def endorsed(self) -> answers.LogEndorsed:
        """The configuration, as kith.json shows it."""
        encoded = self.configuration.encode()
        return answers.LogEndorsed(encoded, sign_with_label(self.manifest_key, kt.ENDORSED, encoded))

    def fork(self) -> Server:
        """Another log that is the same until now, under the same key."""
        other = copy.copy(self)
        other.tree, other.values = copy.deepcopy(self.tree), copy.deepcopy(self.values)
        other.born = copy.deepcopy(self.born)
        return other

    def log(self, account: str, value: bytes) -> None:
        """The next version of somebody's keys."""
        versions = self.values.setdefault(account, [])
        label, version = kt.label_of(account), len(versions)
        commitment = kt.commitment(OPENING, label, version, value)
        self.born.setdefault(account, []).append(len(self.tree.entries))
        self.tree.add(kt.search_key(label, version), commitment, self.now)
        versions.append(value)

    def wait(self, ms: int) -> None:
        """Time passes, with an entry that says so."""
        self.now += ms
        self.tree.append(self.now)

    def head(self, first: int = 0, size: int | None = None) -> answers.Head:
        """The signed head of a size, which continues the one of size `first`."""
        size = len(self.tree.entries) if size is None else size
        root = kt.log_root(self.tree.subtree, size)
        proof = kt.consistency(self.tree.subtree, first, size) if 0 < first <= size else []
        return answers.Head(size, root, kt.sign_head(self.key, self.configuration, size, root), proof)

    def entry(self, account: str, position: int, since: int) -> answers.LogEntry:
        """An entry with one account's versions."""
        held = sum(at <= position for at in self.born.get(account, [])) + (position == self.ghost)
        made = self.tree.entry(position, kt.label_of(account), held, since)
        return answers.LogEntry(
            made.position, made.timestamp_ms, made.prefix_root, list(made.path), made.greatest, list(made.lookups)
        )

    def proof(self, account: str, first: int) -> answers.KeysProof:
        """As the devices answer carries it."""
        version = len(self.values[account]) - 1
        newest = self.entry(account, len(self.tree.entries) - 1, version)
        return answers.KeysProof(self.head(first), newest, answers.Opening(version, OPENING))

    def watch(self, account: str, first: int, since: int, version: int) -> answers.Watch:
        """As the transparency answer carries it, with openings."""
        size, asked = len(self.tree.entries), set()

        def timestamp(position: int) -> int:
            asked.add(position)
            return self.tree.entries[position][0]

        list(kt.distinguished(size, DAY, self.now, timestamp, since))
        openings = [
            answers.Opening(number, OPENING, value)
            for number, value in enumerate(self.values.get(account, []))
            if number >= version
        ]
        return answers.Watch(
            self.head(first),
            self.entry(account, size - 1, version),
            size - 1,
            [self.entry(account, position, version) for position in sorted(asked)],
            openings,
        )


def listed(aik: Ed25519PrivateKey, version: int, *devices: str) -> bytes:
    """A value: identity key and a signed list of these devices."""
    entries = tuple(DeviceEntry(device_uri(HOST, one), one.encode()[:32], START) for one in devices)
    made = DeviceList(account_uri(HOST, ANN), version, START, entries)
    return kt.key_value(public_bytes(aik), made.encode(), identity.sign_device_list(aik, made))


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """A store."""
    opened = Vault.open(tmp_path / "store.kith", "a passphrase", CHEAP)
    yield opened
    opened.close()


@pytest.fixture
def server() -> Server:
    """With some entries of others."""
    made = Server()
    for number in range(5):
        made.log(f"0000000{number}-0000-4000-8000-000000000000", b"somebody")
    made.log(BEN, b"ben 0")
    return made


@pytest.fixture
def log(vault: Vault, server: Server) -> KeyLog:
    """What Ann's device knows after its first look."""
    made = KeyLog(vault, ANN)
    made.learn_configuration(server.endorsed(), server.manifest)
    return made


def see(log: KeyLog, server: Server, value: bytes) -> None:
    """Ann's device asks for Ben's keys."""
    log.check_keys(BEN, server.proof(BEN, log.size), value, server.now)


def look(log: KeyLog, server: Server, aik: Ed25519PrivateKey) -> None:
    """Ann's device looks at its own entries."""
    known = log.own()
    log.check_own(public_bytes(aik), PHONE, server.watch(ANN, log.size, known.position, known.next_version), server.now)


def alarms(log: KeyLog) -> list[str]:
    """What the person is shown."""
    return [one.text for _, one in log.alarms()]


def test_honest_keys_are_taken_again_and_again(log: KeyLog, server: Server) -> None:
    """The control of every test below."""
    for number in range(1, 4):
        see(log, server, server.values[BEN][-1])
        server.wait(DAY)
        server.log(BEN, b"ben %d" % number)
    see(log, server, b"ben 3")
    server.wait(DAY)
    server.wait(DAY)
    for account, seen in log.watched():
        answer = server.watch(account, log.size, seen.position - 1, seen.version)
        log.check_watched(account, seen, answer, server.now)
    assert log.watched() == []
    assert alarms(log) == []


def test_keys_that_are_not_in_the_log_are_refused(log: KeyLog, server: Server) -> None:
    """No proof at all, or a proof of other keys."""
    with pytest.raises(Unverified, match="not in its key log"):
        log.check_keys(BEN, None, b"ben 0", server.now)
    with pytest.raises(Unverified, match="other keys"):
        see(log, server, b"swapped")


def test_a_dropped_newest_version_is_refused(log: KeyLog, server: Server) -> None:
    """A log that forgets keys it showed, or shows older ones as the newest."""
    server.log(BEN, b"ben 1")
    see(log, server, b"ben 1")
    server.wait(1)
    older = server.proof(BEN, log.size)
    newest = server.entry(BEN, len(server.tree.entries) - 1, 0)
    false = answers.KeysProof(older.head, newest, answers.Opening(0, OPENING))
    with pytest.raises(Unverified, match="older keys"):
        log.check_keys(BEN, false, b"ben 0", server.now)


def test_a_tree_that_lost_a_version_is_refused(log: KeyLog, server: Server) -> None:
    """The log grows consistently, but its newest prefix tree was made anew without the version."""
    before = server.tree.root
    server.log(BEN, b"ben 1")
    see(log, server, b"ben 1")
    server.tree.root = before
    server.values[BEN].pop()
    server.born[BEN].pop()
    server.wait(1)
    with pytest.raises(Unverified, match="forgot"):
        see(log, server, b"ben 0")


def test_a_forked_log_is_refused_and_both_heads_are_kept(log: KeyLog, server: Server) -> None:
    """Another history of the same size, and a longer one."""
    other = server.fork()
    server.log(BEN, b"ben 1")
    see(log, server, b"ben 1")
    other.log(BEN, b"ben for Ann alone")
    for fork in (other, other):
        with pytest.raises(Unverified, match="does not continue"):
            see(log, fork, b"ben for Ann alone")
        fork.wait(1)
    [(_, alarm)] = log.alarms()
    assert alarm.text == FORKED
    assert len(alarm.evidence) == 2
    for one in alarm.evidence:
        assert kt.head_is_signed(kt.Configuration.decode(one.configuration), one.size, one.root, one.signature)


def test_a_rolled_back_head_is_refused(log: KeyLog, server: Server) -> None:
    """A true but older head."""
    old = server.fork()
    server.log(BEN, b"ben 1")
    see(log, server, b"ben 1")
    with pytest.raises(Unverified, match="shorter"):
        see(log, old, b"ben 0")
    assert alarms(log) == [FORKED]


def test_an_old_log_does_not_pass_for_the_present_one(log: KeyLog, server: Server) -> None:
    """Nor one of the future: the person is told until it is right; a clock some hours wrong is no matter."""
    for wrong, told in ((DAY // 2, []), (-2 * DAY, [STALE]), (0, []), (2 * DAY, [STALE])):
        log.check_keys(BEN, server.proof(BEN, log.size), b"ben 0", server.now + wrong)
        assert alarms(log) == told


def test_an_unsigned_head_and_another_configuration_are_refused(log: KeyLog, server: Server) -> None:
    """A head by another key; a second configuration, even an endorsed one."""
    other = server.fork()
    other.key = Ed25519PrivateKey.generate()
    with pytest.raises(Unverified, match="not signed"):
        see(log, other, b"ben 0")
    other.configuration = kt.Configuration(public_bytes(other.key), 60_000, 3_600_000, DAY)
    with pytest.raises(Unverified, match="another key log"):
        log.learn_configuration(other.endorsed(), server.manifest)
    assert alarms(log) == [FORKED]


def test_a_configuration_needs_the_servers_word(vault: Vault, server: Server) -> None:
    """Signed by nobody in the manifest, it is not pinned."""
    encoded = server.configuration.encode()
    forged = answers.LogEndorsed(encoded, sign_with_label(server.key, kt.ENDORSED, encoded))
    log = KeyLog(vault, ANN)
    with pytest.raises(Unverified, match="not endorsed"):
        log.learn_configuration(forged, server.manifest)
    assert log.record is None


def test_a_swapped_identity_key_raises_the_alarm_of_its_owner(log: KeyLog, server: Server) -> None:
    """The log holds keys for Ann that she did not make: everybody would write to somebody else."""
    aik, eve = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    server.log(ANN, listed(aik, 1, PHONE))
    look(log, server, aik)
    server.log(ANN, listed(aik, 2, PHONE))
    look(log, server, aik)
    assert alarms(log) == []
    server.log(ANN, listed(eve, 3, PHONE))
    with pytest.raises(Unverified, match="other keys"):
        look(log, server, aik)
    assert alarms(log) == [OTHER_KEYS]


def test_a_swap_that_was_taken_back_is_noticed_all_the_same(log: KeyLog, server: Server) -> None:
    """Every version is opened, not only the newest."""
    aik, eve = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    server.log(ANN, listed(aik, 1, PHONE))
    look(log, server, aik)
    server.log(ANN, listed(eve, 2, PHONE))
    server.log(ANN, listed(aik, 2, PHONE))
    with pytest.raises(Unverified):
        look(log, server, aik)
    assert alarms(log) == [OTHER_KEYS]


def test_a_version_that_is_not_opened_is_an_alarm(log: KeyLog, server: Server) -> None:
    """A forged device list that the server hides from its owner."""
    aik = Ed25519PrivateKey.generate()
    server.log(ANN, listed(aik, 1, PHONE))
    look(log, server, aik)
    server.log(ANN, b"hidden")
    known = log.own()
    answer = server.watch(ANN, log.size, known.position, known.next_version)
    silent = answers.Watch(answer.head, answer.newest, answer.upto, answer.checked, [])
    with pytest.raises(Unverified):
        log.check_own(public_bytes(aik), PHONE, silent, server.now)
    assert alarms(log) == [OTHER_KEYS]


def test_a_forged_device_is_an_alarm_and_a_real_one_a_question(log: KeyLog, server: Server) -> None:
    """A list with a ghost device signed by another key; then a device that the account's own key did add."""
    aik, eve = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    server.log(ANN, listed(aik, 1, PHONE))
    look(log, server, aik)
    server.log(ANN, listed(aik, 2, PHONE, TABLET))
    look(log, server, aik)
    assert alarms(log) == [NEW_DEVICE]
    for name, _ in log.alarms():
        log.put_away(name)
    forged = listed(eve, 3, PHONE, TABLET)
    encoded, signature = kt.parse_value(forged)[1:]
    server.log(ANN, kt.key_value(public_bytes(aik), encoded, signature))
    with pytest.raises(Unverified):
        look(log, server, aik)
    assert alarms(log) == [OTHER_KEYS]


def test_a_device_that_was_approved_here_is_no_question(log: KeyLog, server: Server) -> None:
    """Its owner let it in herself."""
    aik = Ed25519PrivateKey.generate()
    server.log(ANN, listed(aik, 1, PHONE))
    look(log, server, aik)
    log.expect_device(TABLET)
    server.log(ANN, listed(aik, 2, PHONE, TABLET))
    look(log, server, aik)
    assert alarms(log) == []


def test_keys_shown_between_two_looks_of_their_owner_are_found_out(log: KeyLog, server: Server) -> None:
    """A ghost version is shown to Ann, and gone from the tree when everybody looks: Ann looks there too."""
    honest = server.tree.root
    server.log(BEN, b"a ghost")
    see(log, server, b"a ghost")
    server.tree.root = honest
    server.values[BEN].pop()
    server.ghost = server.born[BEN].pop()
    server.wait(DAY)
    server.wait(DAY)
    [(account, seen)] = log.watched()
    with pytest.raises(Unverified, match="not in its key log any more"):
        log.check_watched(account, seen, server.watch(BEN, log.size, seen.position - 1, seen.version), server.now)
    assert alarms(log) == [FORKED]


def test_left_out_entries_are_refused(log: KeyLog, server: Server) -> None:
    """Those that everybody checks must all be there, and really be in the log."""
    see(log, server, b"ben 0")
    for _ in range(4):
        server.wait(DAY)
    [(account, seen)] = log.watched()
    answer = server.watch(BEN, log.size, seen.position - 1, seen.version)
    assert len(answer.checked) > 2
    fewer = answers.Watch(answer.head, answer.newest, answer.upto, answer.checked[:-1], [])
    with pytest.raises(Unverified, match="leaves out"):
        log.check_watched(account, seen, fewer, server.now)
    other = server.fork()
    other.tree.entries[answer.checked[0].position] = (START + 5, kt.NOTHING)
    false = answers.Watch(answer.head, answer.newest, answer.upto, [other.entry(BEN, 0, 0), *answer.checked[1:]], [])
    with pytest.raises(Unverified):
        log.check_watched(account, seen, false, server.now)


def test_what_contacts_hold_is_compared(log: KeyLog, server: Server) -> None:
    """Equal logs agree whichever is longer; a fork is an alarm with both heads; unsigned gossip says nothing."""
    see(log, server, b"ben 0")
    other = server.fork()
    server.wait(1)
    server.wait(1)
    longer = server.head()
    log.compare(HeardHead(size=longer.tree_size, root=longer.root, signature=longer.signature), server.head(log.size))
    shorter = server.head(size=3)
    heard = HeardHead(size=3, root=shorter.root, signature=shorter.signature)
    log.compare(heard, server.head(3, log.size))
    assert alarms(log) == []
    assert not log.is_signed(HeardHead(size=3, root=bytes(32), signature=bytes(64)))
    other.log(BEN, b"ben for somebody else")
    forked = other.head()
    heard = HeardHead(size=forked.tree_size, root=forked.root, signature=forked.signature)
    assert log.is_signed(heard)
    with pytest.raises(Unverified, match="differently"):
        log.compare(heard, server.head(log.size, forked.tree_size))
    [(_, alarm)] = log.alarms()
    assert {one.root for one in alarm.evidence} == {log.record.root if log.record else b"", forked.root}


def test_a_denied_head_is_an_alarm(log: KeyLog, server: Server) -> None:
    """A contact holds a signed head that the server says it never had."""
    see(log, server, b"ben 0")
    ahead = server.fork()
    ahead.wait(1)
    head = ahead.head()
    with pytest.raises(Unverified, match="denies"):
        log.compare(HeardHead(size=head.tree_size, root=head.root, signature=head.signature), None)
    assert alarms(log) == [FORKED]
