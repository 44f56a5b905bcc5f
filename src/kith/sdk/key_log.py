"""What this device verified of the server's key log, and what it holds the server to.

Pure apart from the store. A head is taken only if it continues the one held; keys only if the log proves that they
are an account's newest; one's own entries only if one's own key made them. What fails raises `Unverified`; what speaks
against the server itself (another log than before, other keys for this account) is also kept as an alarm, with both
signed heads where there are two.
"""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kith.protocol import identity
from kith.protocol import transparency as kt
from kith.protocol.identity import DeviceList, Manifest
from kith.protocol.uris import parse_uri
from kith.protocol.wire import Malformed
from kith.sdk import answers
from kith.sdk.errors import Unverified
from kith.sdk.records import Alarm, HeardHead, LogRecord, OwnKeys, Watched
from kith.sdk.vault import Vault

CLOCK_SLACK_MS: Final = 86_400_000
"""Clocks of people are wrong; an old log is noticed within a day, which is as often as everybody looks."""

MOST_HEARD: Final = 16
"""Heads of others that wait for comparison: whoever floods us with heads only keeps us from looking at theirs."""
FORKED: Final = (
    "The server shows you another key log than it showed before. It may show you other keys than it shows your "
    "contacts. Compare safety numbers before you write anything that matters."
)
STALE: Final = (
    "The server's key log is not of today by this device's clock. If the clock is right, the server may be hiding "
    "newer keys: ask whoever runs it."
)
OTHER_KEYS: Final = (
    "The server shows keys for your account that you did not make. Others may be writing to somebody else. Tell your "
    "contacts another way, and ask whoever runs this server."
)
NEW_DEVICE: Final = (
    "A device was added to your account. If you did not add it, remove it and change your password and recovery code."
)


class KeyLog:
    """The log of one server, as this device knows it."""

    def __init__(self, vault: Vault, account: str) -> None:
        self._vault, self._account = vault, account

    @property
    def record(self) -> LogRecord | None:
        """What is pinned; None before the first look."""
        return self._vault.get("meta", "log", LogRecord)

    @property
    def size(self) -> int:
        """The size of the head held; 0 before the first."""
        record = self.record
        return 0 if record is None else record.size

    @property
    def gossip(self) -> list[int | bytes] | None:
        """The head held, as messages carry it."""
        record = self.record
        return None if record is None or not record.size else [record.size, record.root, record.signature]

    # --- the server's side ------------------------------------------------------------------------------------------

    def learn_configuration(self, served: answers.LogEndorsed | None, manifest: Manifest) -> None:
        """Pin what the log promises, endorsed by a signing key of the server. Unverified."""
        record = self.record
        if served is None:
            raise Unverified("The server shows no key log.")
        if record is not None and record.configuration != served.configuration:
            self.alarm("log", FORKED)
            raise Unverified("The server shows another key log than before.")
        signers = (entry.public_key for entry in manifest.entries)
        if not any(kt.is_endorsed(key, served.configuration, served.signature) for key in signers):
            raise Unverified("The key log is not endorsed by the server's signing key.")
        with _checked():
            kt.Configuration.decode(served.configuration)
        if record is None:
            self._put("log", LogRecord(configuration=served.configuration))

    def _known(self) -> tuple[LogRecord, kt.Configuration]:
        record = self.record
        if record is None:
            raise Unverified("The server's key log is not known here yet.")
        return record, kt.Configuration.decode(record.configuration)

    def _learn_head(self, head: answers.Head, newest: kt.Entry, now: int) -> None:
        record, configuration = self._known()
        with _checked():
            if newest.position != head.tree_size - 1:
                raise kt.Forged("the server shows another entry than its key log's newest")
            root = newest.root(head.tree_size)
            if not kt.head_is_signed(configuration, head.tree_size, root, head.signature):
                raise kt.Forged("a head of the key log is not signed by its key")
            self._must_continue(record, head, root)
        ahead, behind = newest.timestamp_ms - now - configuration.max_ahead_ms, now - newest.timestamp_ms
        if max(ahead, behind - configuration.max_behind_ms) > CLOCK_SLACK_MS:
            # Told, not refused: on most devices where this happens the clock is wrong.
            self.alarm("clock", STALE)
        elif self._vault.get("meta", "alarm/clock", Alarm) is not None:
            self.put_away("clock")
        if (record.size, record.signature) != (head.tree_size, head.signature):
            fresh = LogRecord(
                configuration=record.configuration, size=head.tree_size, root=root, signature=head.signature
            )
            self._put("log", fresh)

    def _must_continue(self, record: LogRecord, head: answers.Head, root: bytes) -> None:
        if not record.size:
            return
        try:
            kt.check_extends(head.consistency, first=record.size, old=record.root, second=head.tree_size, new=root)
        except kt.Forged:
            evidence = LogRecord(
                configuration=record.configuration, size=head.tree_size, root=root, signature=head.signature
            )
            self.alarm("log", FORKED, (record, evidence))
            raise

    # --- keys of others ---------------------------------------------------------------------------------------------

    def check_keys(self, account: str, proof: answers.KeysProof | None, value: bytes, now: int) -> None:
        """Unverified unless the log proves that these are the account's newest keys. Remembered, to look again."""
        if proof is None:
            raise Unverified("The server shows keys that are not in its key log.")
        newest, version = proof.newest.entry(), proof.opening.version
        self._learn_head(proof.head, newest, now)
        with _checked():
            label = kt.label_of(account)
            found = newest.versions(label, version)
            if newest.greatest != version:
                raise kt.Forged("the server shows older keys than its key log holds")
            if found[version] != kt.commitment(proof.opening.opening, label, version, value):
                raise kt.Forged("the server shows other keys than its key log holds")
        self._watch(account, Watched(position=newest.position, version=version, commitment=found[version]))

    def _watch(self, account: str, seen: Watched) -> None:
        if account == self._account:
            return
        before = self._vault.get("meta", f"seen-keys/{account}", Watched)
        if before is not None and seen.version < before.version:
            raise Unverified("The server's key log forgot keys that it showed before.")
        if before is not None and seen.version == before.version and seen.commitment != before.commitment:
            raise Unverified("The server's key log replaced keys that it showed before.")
        if before is None or seen.version > before.version:
            with self._vault.transaction():
                self._vault.put("meta", f"seen-keys/{account}", seen)
                self._vault.put("meta", f"watch/{account}", seen)

    def watched(self) -> list[tuple[str, Watched]]:
        """Accounts whose keys were seen and not yet found at an entry that they check too."""
        found = self._vault.scan("meta", "watch/", Watched)
        return [(key.removeprefix("watch/"), one) for key, one in found]

    def check_watched(self, account: str, seen: Watched, answer: answers.Watch, now: int) -> None:
        """Unverified when keys that were shown here are not where their owner looks."""
        due, newest = self._due(account, answer, seen.position - 1, seen.version, now)
        for versions in (*due, newest):
            if versions.get(seen.version) != seen.commitment:
                self.alarm("log", FORKED)
                raise Unverified("Keys that the server showed here are not in its key log any more.")
        if due:
            with self._vault.transaction():
                self._vault.drop("meta", f"watch/{account}")

    def _due(
        self, account: str, answer: answers.Watch, since: int, version: int, now: int
    ) -> tuple[list[dict[int, bytes]], dict[int, bytes]]:
        """The versions at each entry that everybody checks after `since`, and at the newest."""
        newest = answer.newest.entry()
        self._learn_head(answer.head, newest, now)
        size, (_, configuration) = answer.head.tree_size, self._known()
        with _checked():
            root, label = newest.root(size), kt.label_of(account)
            shown = {one.position: one.entry() for one in answer.checked}
            if not all(hmac.compare_digest(entry.root(size), root) for entry in shown.values()):
                raise kt.Forged("an entry that the server shows is not in its key log")
            kt.check_rising([*shown.values(), newest])

            def timestamp(position: int) -> int:
                if position not in shown:
                    raise kt.Forged("the server leaves out an entry of its key log")
                return shown[position].timestamp_ms

            upto = answer.upto
            due = list(kt.distinguished(size, configuration.window_ms, newest.timestamp_ms, timestamp, since, upto))
            if upto > size - 1 or (upto < size - 1 and not due):
                raise kt.Forged("the server leaves out entries of its key log")
            first = kt.shown_from(version, newest.greatest)
            return [shown[at].versions(label, first) for at in due], newest.versions(label, first)

    # --- my own keys ------------------------------------------------------------------------------------------------

    def own(self) -> OwnKeys:
        """What is known of this account's own entries; at first, that there is nothing to look for in older ones."""
        return self._vault.get("meta", "own-keys", OwnKeys) or OwnKeys(position=self.size - 1)

    def expect_device(self, device: str) -> None:
        """This device is added by its owner: its entry is no surprise."""
        with self._vault.transaction():
            self._vault.put("meta", f"expected/{device}", True)

    def check_own(self, aik: bytes, device: str, answer: answers.Watch, now: int) -> bool:
        """Unverified, with an alarm, when the log holds keys of this account that it did not make.

        True when there are more entries to look at.
        """
        known = self.own()
        due, newest = self._due(self._account, answer, known.position, known.next_version, now)
        held = dict(known.commitments)
        for versions in (newest, *due):
            for version, commitment in versions.items():
                if held.setdefault(version, commitment) != commitment:
                    self._others_keys("The key log replaced an entry of your account.")
        if newest and max(newest) < known.next_version - 1:
            self._others_keys("The key log forgot an entry of your account.")
        listed = self._opened(aik, known, held, answer.openings)
        devices = known.devices if listed is None else tuple(entry.device_uri for entry in listed.entries)
        if known.commitments:
            self._tell_new(set(devices) - set(known.devices), device)
        fresh = OwnKeys(
            position=answer.upto,
            next_version=max(held, default=-1) + 1,
            commitments=held,
            devices=devices,
            mine=known.mine or listed is not None,
        )
        self._put("own-keys", fresh)
        return answer.upto < answer.head.tree_size - 1

    def _opened(
        self, aik: bytes, known: OwnKeys, held: dict[int, bytes], openings: list[answers.Opening]
    ) -> DeviceList | None:
        """The newest list among the new versions, every one of which must be this identity's once one was."""
        listed, mine, label = None, known.mine, kt.label_of(self._account)
        by_version = {one.version: one for one in openings}
        for version in sorted(held):
            if version < known.next_version:
                continue
            opening = by_version.get(version)
            if opening is None or opening.value is None:
                if known.commitments:
                    self._others_keys("The key log holds an entry of your account that the server does not open.")
                continue
            with _checked():
                if kt.commitment(opening.opening, label, version, opening.value) != held[version]:
                    raise kt.Forged("the server opens an entry of your account to something else")
                key, encoded, signature = kt.parse_value(opening.value)
            own = hmac.compare_digest(key, aik) and (
                not encoded or identity.verify_device_list(aik, encoded, signature)
            )
            if mine and not own:
                self._others_keys("The key log holds other keys for your account.")
            mine = mine or own
            if own and encoded:
                listed = DeviceList.decode(encoded)
        if not mine:
            self._others_keys("The key log does not hold your account's keys.")
        return listed

    def _others_keys(self, what: str) -> None:
        self.alarm("own", OTHER_KEYS)
        raise Unverified(what)

    def _tell_new(self, added: set[str], device: str) -> None:
        for uri in added:
            one = parse_uri(uri)[2]
            if one != device and not self._vault.get("meta", f"expected/{one}", bool):
                self.alarm(f"device-{one}", NEW_DEVICE)

    def hear(self, head: tuple[int, bytes, bytes] | None) -> None:
        """A message carried its sender's head: compare it when there is time. Inside a transaction."""
        record = self.record
        if head is None or record is None or head == (record.size, record.root, record.signature):
            return
        size, root, signature = head
        if len(self._vault.keys("meta", "heard/")) < MOST_HEARD:
            heard = HeardHead(size=size, root=root, signature=signature)
            self._vault.put("meta", f"heard/{size}-{root.hex()}", heard)

    # --- what others hold -------------------------------------------------------------------------------------------

    def heard(self) -> list[tuple[str, HeardHead]]:
        """Heads that messages carried and that were not compared yet."""
        return self._vault.scan("meta", "heard/", HeardHead)

    def is_signed(self, heard: HeardHead) -> bool:
        """Whether the log's key made it: otherwise it says nothing about the server."""
        return kt.head_is_signed(self._known()[1], heard.size, heard.root, heard.signature)

    def compare(self, heard: HeardHead, answer: answers.Head | None) -> None:
        """Unverified, with an alarm, unless the head held and the one heard are of one log.

        `answer`: the head of the larger size with the proof from the smaller one; None if the server has none.
        """
        record, _ = self._known()
        here = (record.size, record.root)
        first, second = sorted([here, (heard.size, heard.root)])
        try:
            if answer is None or answer.tree_size != second[0]:
                raise kt.Forged("the server denies a head that it signed")  # noqa: TRY301 - one alarm for all
            kt.check_extends(answer.consistency, first=first[0], old=first[1], second=second[0], new=second[1])
        except kt.Forged as error:
            other = LogRecord(
                configuration=record.configuration, size=heard.size, root=heard.root, signature=heard.signature
            )
            self.alarm("log", FORKED, (record, other))
            raise Unverified(f"The server shows its key log differently to others: {error}.") from None

    def compared(self, key: str) -> None:
        """It needs no second look."""
        with self._vault.transaction():
            self._vault.drop("meta", key)

    # --- alarms -----------------------------------------------------------------------------------------------------

    def alarm(self, name: str, text: str, evidence: tuple[LogRecord, ...] = ()) -> None:
        """Keep what the person must see, once, with what proves it."""
        if self._vault.get("meta", f"alarm/{name}", Alarm) is None:
            self._put(f"alarm/{name}", Alarm(text=text, evidence=evidence))

    def alarms(self) -> list[tuple[str, Alarm]]:
        """What speaks against the server, or needs a look, until it is put away."""
        return [(key.removeprefix("alarm/"), one) for key, one in self._vault.scan("meta", "alarm/", Alarm)]

    def put_away(self, name: str) -> None:
        """The person has seen it."""
        with self._vault.transaction():
            self._vault.drop("meta", f"alarm/{name}")

    def _put(self, key: str, record: object) -> None:
        with self._vault.transaction():
            self._vault.put("meta", key, record)


@contextmanager
def _checked() -> Iterator[None]:
    """What does not prove itself is Unverified."""
    try:
        yield
    except (kt.Forged, Malformed) as error:
        raise Unverified(f"The server's key log does not check out: {error}.") from None
