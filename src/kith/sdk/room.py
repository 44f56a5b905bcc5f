"""One room on this device: its group, its mail in `room_pos` order, and what waits to be sent.

Sans-I/O: frames go in, `turn` works on what it can and leaves effects; a fact that is missing is named by `Missing`
and the turn repeated once it is known. Each step is one transaction: what came from the stream is stored before it is
acknowledged, and what leaves is stored before it is sent and sent again byte for byte until it is answered. A group's
state is read from the store for every step, so memory can never run ahead of the disk. Long because it is the whole
state machine of a room.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypeAlias

from msgspec.structs import replace

from kith.protocol import content as mimi
from kith.protocol import franking, uris
from kith.protocol.changes import timer_of
from kith.protocol.ephemeral import Signal
from kith.protocol.frames import (
    COMMIT,
    MESSAGE,
    WELCOME,
    Accepted,
    ClientFrame,
    Commit,
    Ephemeral,
    Frank,
    Mail,
    Refused,
    SendEphemeral,
    Submit,
)
from kith.protocol.identity import Identity
from kith.protocol.mls import engine as mls
from kith.protocol.mls.client import MlsClient
from kith.protocol.mls.framing import parse_private_message
from kith.protocol.mls.group import Group
from kith.protocol.mls.refusals import WrongEpoch
from kith.protocol.mls.welcome import parse_welcome
from kith.protocol.signing import Signer
from kith.protocol.wire import Malformed
from kith.sdk import answers, receive
from kith.sdk.claiming import Devices, fits, some_of
from kith.sdk.directory import Claim, Directory, Fact, Missing, RoomFacts, ServerKeys
from kith.sdk.errors import Unverified
from kith.sdk.folding import Folding, remember_end
from kith.sdk.key_log import KeyLog
from kith.sdk.receive import Arrival, Genuine, Place
from kith.sdk.records import (
    FrankRecord,
    GroupRecord,
    MessageRecord,
    OutboxRecord,
    PackageRecord,
    Roster,
    Sealed,
    Thread,
    message_key,
    padded,
)
from kith.sdk.saying import said, timer_line
from kith.sdk.vault import Vault

HOLE_MS: Final = 5_000
"""How long a missing room_pos is waited for before the hole is taken for final."""
FARTHEST_AHEAD: Final = 1_000_000_000
"""A room_pos further ahead than this is not believed: nothing signs it, and the stream has no hole but a restore's."""
CLOCK_AHEAD_MS: Final = 10 * 60 * 1000
"""How far the server's time may be ahead of this device's clock before the thread says so."""
RETRY_MS: Final = 3_000
MAX_WHISPERS: Final = 64
"""Typing and receipts that wait for a fact; more are dropped."""
REFUSED_RETRY_MS: Final = 30_000
ROTATE_AFTER_MESSAGES: Final = 1_000
"""An empty commit renews our keys after so many messages in one epoch, or so much time."""
ROTATE_AFTER_MS: Final = 7 * 24 * 3600 * 1000
ROTATE_SPREAD_MS: Final = 24 * 3600 * 1000
"""Each device and room has a moment of its own in the day after that, so that they do not all commit at once."""
JITTER_MS: Final = 1_200
"""Devices of a room reconcile at different moments, so that they seldom race for one epoch."""
LEAF_BACKDATE_S: Final = 3600
LEAF_LIFETIME_S: Final = 84 * 24 * 3600

FOREIGN_EDIT: Final = "{} tried to change a message that is not theirs."
FOREIGN_OWN: Final = "Another device of yours tried to change a message that is not yours."
SAID_ONCE_MS: Final = 24 * 3600 * 1000
"""How long it is not said again of the same one: nobody fills a thread with such lines."""
BROKEN: Final = "This device cannot follow the chat any more. Sign out and in again here to join anew."
EQUIVOCATION: Final = (
    "The server signed two different messages for one place in this chat. Both signatures were kept as evidence."
)
STRANGER: Final = (
    "Somebody tried to add a device here that none of you vouched for. It was refused, and this device stopped "
    "following the chat. Sign out and in again here to join anew."
)
REMOVED: Final = "This device was taken out of the chat. If that was not you, sign out and in again here to join anew."
NOT_FOLLOWED: Final = (
    "The server sent a change to this chat that does not check out, and it was not followed. If messages stop "
    "arriving, sign out and in again here to join anew."
)
HEALED: Final = "This device follows the chat again."
AHEAD: Final = "The server dates messages here ahead of this device's clock. One of the two is wrong."
UNCONFIRMED: Final = (
    "The server's answer to a message of yours does not check out, so it is not shown as sent. It may have arrived "
    "all the same."
)
UNLISTED: Final = "A device was added that its account does not list. Nothing is sent until it is removed."
NOT_JOINED: Final = "This device could not join the chat."
OWN_DEVICE: Final = "Another device of yours joined this chat."
ENTERED: Final = "{} joined the group."
MEMBERS_DEVICE: Final = "{} uses the group on another device."
LEFT: Final = "{} is not in the group any more."
GONE: Final = "You are not in this group any more."
SOMEBODY: Final = "Somebody"
MANAGERS: Final = frozenset({"admin", "owner"})
THEIR_DEVICE: Final = "They joined this chat on another device."

RESTORED: Final = (
    "The server was put back to an older copy and no longer knows how this chat went on. Nothing can be sent here any "
    "more: begin a new chat."
)
WAITS: Final = frozenset({"limited", "read_only"})
"""Refusals that mean "not now"."""


@dataclass(frozen=True, slots=True)
class Send:
    """Hand this to the stream. Everything it stands for is on disk."""

    frame: ClientFrame


@dataclass(frozen=True, slots=True)
class Ack:
    """This mail is on disk, or will never be wanted."""

    mail_id: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A row came into the thread."""

    room: str
    row: MessageRecord


@dataclass(frozen=True, slots=True)
class Sent:
    """What waited as `outbox_id` was accepted and is this row."""

    outbox_id: str
    row: MessageRecord


@dataclass(frozen=True, slots=True)
class Failed:
    """What waited as `outbox_id` was refused for good."""

    outbox_id: str
    code: str
    details: str | None


@dataclass(frozen=True, slots=True)
class Overheard:
    """Somebody is writing, or has read."""

    room: str
    sender: str
    signal: Signal


Effect: TypeAlias = Send | Ack | Heard | Sent | Failed | Overheard


@dataclass(frozen=True, slots=True)
class World:
    """What all rooms of a device share."""

    vault: Vault
    directory: Directory
    server: str
    account: str
    device: str
    signature_key: bytes
    signer: Signer
    log: KeyLog
    random: Callable[[int], bytes] = secrets.token_bytes

    @property
    def identity(self) -> Identity:
        """This device in credentials and contexts."""
        return Identity(uris.account_uri(self.server, self.account), uris.device_uri(self.server, self.device))

    def engine(self, authenticate: mls.Authenticate) -> MlsClient:
        """MLS for this device, with this judgement about others."""
        return MlsClient(
            identity=self.identity.encode(),
            signature_key=self.signature_key,
            signer=self.signer,
            random=self.random,
            authenticate=authenticate,
            roster=lambda _change: None,  # leaves are judged one by one; removals are anybody's right in a direct room
        )


@dataclass
class Room:
    """See the module. `wake_ms` is when `turn` should run again without a frame."""

    world: World
    id: str
    wake_ms: int | None = None
    lonely: bool = False
    """True when messages wait for a device of the other side."""
    _waiting: dict[int, Mail | Accepted] = field(default_factory=dict)
    _refusals: list[Refused] = field(default_factory=list)
    _whispers: list[Ephemeral] = field(default_factory=list)
    _effects: list[Effect] = field(default_factory=list)
    _then: list[Effect] = field(default_factory=list)
    _in_flight: bytes | None = None
    _not_before: int = 0
    _lonely_ms: int = 0
    _hole_at: int | None = None
    _reconcile_at: int | None = None
    _rotate_not_before: int = 0
    _claimed: dict[Claim, list[bytes]] = field(default_factory=dict)
    _now: int = 0
    _fresh: set[Fact] = field(default_factory=set)
    _stranger: bool = False

    def __post_init__(self) -> None:
        self.uri = uris.room_uri(self.world.server, self.id)
        self._group_id = uris.group_id(self.id)

    # --- what comes in ------------------------------------------------------------------------------------------------

    def take(self, frame: Mail | Accepted | Refused) -> None:
        """Something from the stream; `turn` works on it."""
        if isinstance(frame, Refused):
            self._refusals.append(frame)
        else:
            self._waiting[frame.room_pos] = frame

    def awaits(self, key: bytes) -> bool:
        """Whether an answer with this key is for this room."""
        return self._in_flight is not None and hmac.compare_digest(self._in_flight, key)

    def overhear(self, frame: Ephemeral) -> None:
        """Typing or a receipt; what comes too early or too late is dropped, and nothing is lost by it."""
        if len(self._whispers) < MAX_WHISPERS:
            self._whispers.append(frame)

    def whisper(self, content: mimi.MimiContent, now: int) -> bool:
        """Say something of the ephemeral class, or not: False when nothing may overtake what waits here.

        It shares one sequence of keys with the messages, of which receivers keep none that were skipped.
        """
        record, self._now = self._record(), now
        busy = self._in_flight is not None or any(one.sealed for one in self.outbox())
        if record is None or not record.joined or record.broken or record.pending_key or busy:
            return False
        group, engine = self._restore(record), self._engine()
        if engine.own_generation(group) >= ROTATE_AFTER_MESSAGES or self._quarantined(group):
            return False
        made = engine.protect(group, mimi.encode(content), b"")
        with self._step():
            self._put_group(record, made.state)
        self._effects.append(Send(SendEphemeral(self.id, made.message)))
        return True

    def disconnected(self) -> None:
        """What was unanswered is sent again at the next connection, and unacknowledged mail comes again."""
        self._in_flight = None
        self._hole_at = None
        self._waiting.clear()
        self._refusals.clear()
        self._whispers.clear()

    def delivered(self, pos: int) -> None:
        """A device of another account has everything up to `pos`."""
        thread = self.thread()
        if pos > thread.delivered_pos:
            with self.world.vault.transaction():
                self._put_thread(replace(thread, delivered_pos=pos))

    def claimed(self, claim: Claim, answer: answers.Packages) -> None:
        """The key packages that a Missing(Claim) asked for. They are kept until a commit uses them."""
        self._claimed[claim] = [one.key_package for one in answer.packages]

    def give_up(self) -> None:
        """Not a room of this account any more: its mail is acknowledged unread, so that other mail goes on coming."""
        self._effects += [Ack(item.mail_id) for item in self._waiting.values() if isinstance(item, Mail)]
        self._waiting.clear()
        self._reconcile_at = None
        with self._step():
            self._fail_all()

    def reconcile_soon(self, now: int) -> None:
        """Bring the group's leaves in line with the device lists, at a moment of its own."""
        self._reconcile_at = now + self.world.random(1)[0] * JITTER_MS // 255
        if self.lonely:  # now there may be a device to write to; its key packages follow within moments
            self._not_before, self._lonely_ms = self._reconcile_at, 0

    @property
    def reconciling(self) -> bool:
        """Whether the leaves still have to be brought in line."""
        return self._reconcile_at is not None

    def effects(self) -> list[Effect]:
        """What is to be done now, once."""
        done, self._effects = self._effects, []
        return done

    # --- one turn -----------------------------------------------------------------------------------------------------

    def turn(self, now: int, fresh: set[Fact], *, online: bool) -> None:
        """Work on everything that can be worked on. Missing: fetch the fact, put it into `fresh`, call again."""
        self._now, self._fresh = now, fresh
        self.wake_ms = None
        while self._refusals:
            self._refused(self._refusals[0])
            self._refusals.pop(0)
        if self._waiting:
            self.world.directory.roster(self.id)  # nothing is worked on before it is known whose room it is
        self._drain()
        self._skip_hole()
        while self._whispers:
            self._overheard(self._whispers[0])
            self._whispers.pop(0)
        if online:
            self._upkeep()
            self._pump()

    def _wake(self, at_ms: int) -> None:
        self.wake_ms = at_ms if self.wake_ms is None else min(self.wake_ms, at_ms)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """One transaction; its effects happen only when it is on disk."""
        self._then = []
        with self.world.vault.transaction():
            yield
        self._effects += self._then
        self._then = []

    def _drain(self) -> None:
        while (item := self._next()) is not None:
            if isinstance(item, Mail):
                with self._step():
                    self._mail(item)
                    self._then.append(Ack(item.mail_id))
            else:
                self._accepted(item)
            self._waiting.pop(item.room_pos, None)

    def _next(self) -> Mail | Accepted | None:
        if not self._waiting:
            return None
        pos = self.thread().pos
        item = self._waiting[min(self._waiting)]
        # In turn, seen before, a hole that filled late, or nowhere: an impossible place is as good as the next one.
        if item.room_pos <= pos + 1 or item.room_pos > pos + FARTHEST_AHEAD:
            return item
        joins = isinstance(item, Mail) and item.kind == WELCOME and not (self.has_group() and self._fixed())
        return item if joins else None

    def _skip_hole(self) -> None:
        """What the server did not deliver by now it will not deliver: go on, the thread shows the gap."""
        # While an answer is out, a missing place may be its own; what is before an answer that came stays missing.
        if not self._waiting or (self._in_flight is not None and not self._answered_next()):
            self._hole_at = None
            return None
        if self._hole_at is None:
            self._hole_at = self._now + HOLE_MS
        if self._now < self._hole_at:
            return self._wake(self._hole_at)
        self._hole_at = None
        with self._step():
            self._put_thread(replace(self.thread(), pos=min(self._waiting) - 1))
        return self._drain()

    def _answered_next(self) -> bool:
        return isinstance(self._waiting[min(self._waiting)], Accepted)

    # --- records ------------------------------------------------------------------------------------------------------

    def thread(self) -> Thread:
        """Where the thread stands."""
        return self.world.vault.get("meta", f"thread/{self.id}", Thread) or Thread()

    def outbox(self) -> list[OutboxRecord]:
        """What waits, in order."""
        return [record for _, record in self.world.vault.scan("outbox", f"{self.id}/", OutboxRecord)]

    def has_group(self) -> bool:
        """Whether this device follows the room's group."""
        record = self._record()
        return record is not None and record.joined and record.broken is None

    def group(self) -> Group | None:
        """The group as it is on disk."""
        record = self._record()
        return None if record is None or not record.joined else self._restore(record)

    def _record(self) -> GroupRecord | None:
        return self.world.vault.get("groups", self.id, GroupRecord)

    def _restore(self, record: GroupRecord) -> Group:
        return self._engine().restore(record.state, at_least=record.revision)

    def _put_thread(self, thread: Thread) -> None:
        self.world.vault.put("meta", f"thread/{self.id}", thread)

    def _put_group(self, record: GroupRecord, group: Group) -> None:
        engine = self._engine()
        new = replace(record, state=engine.serialise(group), revision=engine.revision(group))
        self.world.vault.put("groups", self.id, new)

    def _engine(self) -> MlsClient:
        roster = cache(self._roster)  # read once for all leaves of one operation
        return self.world.engine(lambda identity, key: self._lenient(roster(), identity, key))

    def _lenient(self, roster: Roster, identity: bytes, key: bytes) -> bool:
        """Listed, or unlisted since: that leaf stays in quarantine (nothing is sent) until a commit removes it.

        Another key than listed, or a foreign account, never passes.
        """
        try:
            who = Identity.decode(identity)
        except Malformed:
            self._stranger = True
            return False
        fine = self._standing(roster, who, key) != "refused"
        self._stranger = self._stranger or not fine
        return fine

    def _standing(self, roster: Roster, who: Identity, key: bytes) -> str:
        """In a group, who is not on its roster is quarantined like an unlisted device: nothing is sent to it.

        It is not refused for good: a device that catches up reads of people who came and went meanwhile.
        """
        directory = self.world.directory
        server, _, account = uris.parse_uri(who.account_uri)
        if roster.is_group and server == self.world.server and account not in roster.accounts:
            if RoomFacts(self.id) not in self._fresh:
                raise Missing(RoomFacts(self.id))
            return "unlisted"
        return directory.standing(roster.accounts, who, key, self._fresh)

    def _believed(self, who: Identity, key: bytes) -> bool:
        """Whether a message of this leaf is shown: listed now, or of somebody whom this device saw in the group."""
        roster = self._roster()
        if self._standing(roster, who, key) == "listed":
            return True
        account = uris.parse_uri(who.account_uri)[2]
        return account in roster.past and self.world.directory.was_listed(account, who, key)

    def _roster(self) -> Roster:
        return self.world.directory.who(self.id)

    # --- mail ---------------------------------------------------------------------------------------------------------

    def _mail(self, mail: Mail) -> None:
        """room_pos only sorts: whether something is new is for MLS to say, whose keys serve once."""
        thread = self.thread()
        if mail.kind == WELCOME:
            self._welcome(mail, thread)
        elif mail.kind == MESSAGE:
            self._message(mail, thread)
        elif mail.kind == COMMIT:
            self._commit_mail(mail, thread)

    def _message(self, mail: Mail, thread: Thread) -> None:
        """Opened, checked, stored with its proof; or a tombstone, and nothing of it kept."""
        at_ms = mail.frank.accepted_timestamp if mail.frank else self._now
        again, here = mail.room_pos <= thread.pos, self._past(mail.room_pos, thread)
        record = self._record()
        done = None if record is None or not record.joined else self._opened(record, mail.body)
        if record is None or done is None or not isinstance(done.event, mls.Application):
            # What was read before does not open again.
            if not again:
                self._row(receive.tombstone(mail.room_pos, at_ms, ""), here)
            return
        event = done.event
        sender = Identity.decode(event.sender.identity)
        bury = receive.tombstone(mail.room_pos, at_ms, uris.parse_uri(sender.account_uri)[2])
        listed = self._believed(sender, event.sender.signature_key)
        arrival = Arrival(sender, event.epoch, event.authenticated_data, event.plaintext, mail.frank, self.uri)
        verdict = self._verdict(arrival, thread)
        self._put_group(record, done.state)  # whatever it was, its key is spent
        if listed and isinstance(verdict, Genuine):
            self._keep(verdict, here)
            return
        if listed and isinstance(verdict, receive.Flawed) and verdict.signed is not None:
            self._equivocation(verdict.signed, here)
        self._row(bury, here)

    def _opened(self, record: GroupRecord, body: bytes) -> mls.Processed[Group] | None:
        try:
            return self._engine().process(self._restore(record), body)
        except Malformed:
            return None

    def _overheard(self, frame: Ephemeral) -> None:
        """Only what has no frank by its own bytes, and came after everything that this device has."""
        record = self._record()
        if record is None or not record.joined or frame.after_pos > self.thread().pos or not _untagged(frame.body):
            return
        done = self._opened(record, frame.body)
        if done is None or not isinstance(done.event, mls.Application):
            return
        event = done.event
        sender = Identity.decode(event.sender.identity)
        believed = self._believed(sender, event.sender.signature_key)
        arrival = Arrival(sender, event.epoch, event.authenticated_data, event.plaintext, None, self.uri)
        signal = receive.whispered(arrival) if believed else None
        with self._step():
            self._put_group(record, done.state)
            if signal is not None:
                self._then.append(Overheard(self.id, uris.parse_uri(sender.account_uri)[2], signal))

    @staticmethod
    def _past(pos: int, thread: Thread) -> Thread:
        """The thread once what came with this room_pos is worked on."""
        return replace(thread, pos=thread.pos + 1 if pos > thread.pos + FARTHEST_AHEAD else max(pos, thread.pos))

    def _verdict(self, arrival: Arrival, thread: Thread) -> Genuine | receive.Flawed:
        verdict = receive.judge(arrival, Place(thread.seq, thread.at_ms), self.world.directory.hub_key)
        stale = isinstance(verdict, receive.Flawed) and verdict.flaw == "frank" and ServerKeys() not in self._fresh
        if stale:  # the hub may have a new signing key that this device has not seen yet
            raise Missing(ServerKeys())
        return verdict

    def _equivocation(self, signed: FrankRecord, thread: Thread) -> None:
        """Two different messages signed for one place: kept, because it proves that the server cheats."""
        seq = franking.Context.decode(signed.context).room_seq
        rows = self.world.vault.scan("messages", f"{self.id}/{padded(seq)}/", MessageRecord)
        other = next((row.frank for _, row in rows if row.frank and receive.contradicts(row.frank, signed)), None)
        if other is not None:
            self.world.vault.put("meta", f"evidence/{self.id}/{padded(seq)}", (other, signed))
            self._info(EQUIVOCATION, thread)

    def _keep(self, message: Genuine, thread: Thread) -> None:
        row = receive.row_of(message, thread.pos, self.world.account)
        seq = message.context.room_seq
        after = replace(
            thread,
            seq=seq,
            at_ms=self._floor(message.context.accepted_timestamp, thread),
            ahead=row.at_ms > self._now + CLOCK_AHEAD_MS,
            head_seq=max(thread.head_seq, seq),
            last_id=message.id,
        )
        self._row(row, after)
        if after.ahead and not thread.ahead:
            self._info(AHEAD, after)
        self.world.log.hear(message.content.tree_head)

    def _floor(self, at_ms: int, thread: Thread) -> int:
        """Times do not run backwards; one of the future must not make the honest ones after it look as if they did."""
        return thread.at_ms if at_ms > self._now else max(thread.at_ms, at_ms)

    def _row(self, row: MessageRecord, thread: Thread) -> MessageRecord:
        """Stores a row and all that it changes; as it was stored."""
        vault = self.world.vault
        key = message_key(self.id, row.seq if row.seq is not None else max(thread.seq, thread.head_seq), row.pos)
        row = self._counted(row)
        vault.put("messages", key, row)
        self._put_thread(thread)
        remember_end(vault, key, row)
        if row.content is not None:
            vault.put("ids", f"{self.id}/{row.id}", key)
            self._work_in(key, row, mimi.decode(row.content))
        if not row.mine and row.kind in ("text", "unsupported", "tombstone"):
            last = vault.scan("inbox", "", str, newest=1)
            vault.put("inbox", padded(int(last[0][0]) + 1 if last else 1), key)
        self._then.append(Heard(self.id, row))
        return row

    def _counted(self, row: MessageRecord) -> MessageRecord:
        """What was written here disappears counted from its acceptance; changes, which nobody reads, from now."""
        if row.fades_s is None or not (row.mine or row.kind == "effect"):
            return row
        believed = row.kind != "effect" and row.at_ms <= self._now + CLOCK_AHEAD_MS
        start_ms = row.at_ms if believed else self._now
        return replace(row, vanish_ms=start_ms + row.fades_s * 1000)

    def _work_in(self, key: str, row: MessageRecord, content: mimi.MimiContent) -> None:
        """What a message does to earlier rows and to the room; what is not its sender's to change is said, not done."""
        folding = Folding(self.world.vault, self.id, self._now)
        if folding.loops(row):
            self.world.vault.put("messages", key, row := replace(row, reply_to=None))
        folding.added(key, row)
        thread, seconds = self.thread(), timer_of(content)
        for who in sorted(folding.foreign):
            self._foreign(who, thread)
        if seconds is None or row.seq is None or row.seq <= thread.timer_seq or not self._may_set_timer(row.sender):
            return
        self._put_thread(replace(thread, timer_s=seconds, timer_seq=row.seq))
        if seconds != thread.timer_s:
            who = "You" if row.mine else self._roster().names.get(row.sender) or SOMEBODY
            self._info(timer_line(who, seconds), thread)

    def _foreign(self, account: str, thread: Thread) -> None:
        """Who tried to change what is not theirs, once a day."""
        vault, place = self.world.vault, f"foreign/{self.id}/{account}"
        if (vault.get("meta", place, int) or 0) > self._now:
            return
        vault.put("meta", place, self._now + SAID_ONCE_MS)
        own = account == self.world.account
        self._info(FOREIGN_OWN if own else FOREIGN_EDIT.format(self._roster().names.get(account) or SOMEBODY), thread)

    def _may_set_timer(self, account: str) -> bool:
        """Anybody in a direct room; in a group who leads it."""
        roster = self._roster()
        return not roster.is_group or roster.roles.get(account) in MANAGERS

    def _info(self, text: str, thread: Thread) -> None:
        salt = self.world.random(4).hex()
        row = receive.info(thread.pos, self._now, text, salt)
        self.world.vault.put(
            "messages", f"{message_key(self.id, max(thread.seq, thread.head_seq), thread.pos)}-{salt}", row
        )
        self._then.append(Heard(self.id, row))

    def note(self, text: str, now: int) -> None:
        """A line in the thread that the client itself says."""
        self._now = now
        with self._step():
            self._info(text, self.thread())

    # --- handshakes that come -----------------------------------------------------------------------------------------

    def _commit_mail(self, mail: Mail, thread: Thread) -> None:
        again, here = mail.room_pos <= thread.pos, self._past(mail.room_pos, thread)
        record = self._record()
        if record is None or not record.joined or record.broken is not None:
            return self._put_thread(here)
        self._stranger = False
        try:
            done = self._engine().process(self._restore(record), mail.body)
        except WrongEpoch:  # what led there was never delivered
            return self._break(record, here, BROKEN)
        except Malformed:
            return self._break(record, here, STRANGER) if self._stranger else self._not_followed(here, again=again)
        if not isinstance(done.event, mls.Commit):
            return self._not_followed(here, again=again)
        if record.pending_key is not None:  # ours of that epoch lost; what it was for may still be needed
            self.reconcile_soon(self._now)
        broken = "removed" if done.event.removed_me else None
        self._put_group(replace(record, pending_key=None, broken=broken), done.state)
        if not done.event.removed_me:
            after = self._engine().roster(done.state)
            self._roster_notes(done.event.added, here, after)
            self._left_notes(done.event.removed, here, after)
        elif self._fixed():  # in a group the roster says it better (`gone`)
            self._info(REMOVED, here)
        self._put_thread(here)
        self._in_flight = None
        self._not_before = 0
        return None

    def _not_followed(self, thread: Thread, *, again: bool) -> None:
        """No commit of a member to the present epoch: nothing of it touches the group, or anybody could end a chat."""
        if not again:
            self._info(NOT_FOLLOWED, thread)
        self._put_thread(thread)

    def _roster_notes(self, added: tuple[mls.Member, ...], thread: Thread, after: tuple[mls.Member, ...]) -> None:
        """Who came is said in the thread, never silently; in a group once for an account."""
        new = {member.leaf for member in added}
        there = {Identity.decode(one.identity).account_uri for one in after if one.leaf not in new}
        said: set[str] = set()
        roster = self._roster()
        for member in added:
            who = Identity.decode(member.identity)
            own = who.account_uri == self.world.identity.account_uri
            if self._standing(roster, who, member.signature_key) != "listed":
                said.add(UNLISTED)
            elif own or not roster.is_group:
                self._info(OWN_DEVICE if own else THEIR_DEVICE, thread)
            else:
                said.add((MEMBERS_DEVICE if who.account_uri in there else ENTERED).format(self._name(who)))
        for text in sorted(said):
            self._info(text, thread)

    def _left_notes(self, removed: tuple[mls.Member, ...], thread: Thread, after: tuple[mls.Member, ...]) -> None:
        if not self._roster().is_group:
            return
        there = {Identity.decode(one.identity).account_uri for one in after}
        for who in {one.account_uri: one for one in map(_identity, removed) if one.account_uri not in there}.values():
            self._info(LEFT.format(self._name(who)), thread)

    def _name(self, who: Identity) -> str:
        return self._roster().names.get(uris.parse_uri(who.account_uri)[2]) or SOMEBODY

    def gone(self, now: int) -> None:
        """This account is off the group's roster: the device follows it no further until a new Welcome."""
        record, self._now = self._record(), now
        self._reconcile_at = None
        with self._step():
            self.world.directory.left(self.id)
            self._fail_all()
            if record is None or record.broken is None:
                if record is not None:
                    self.world.vault.put("groups", self.id, replace(record, broken="removed"))
                self._info(GONE, self.thread())

    def _break(self, record: GroupRecord, thread: Thread, why: str) -> None:
        group = self._engine().discard_own(self._restore(record)) if record.pending_key else self._restore(record)
        self._put_group(replace(record, pending_key=None, broken="fork"), group)
        self._info(why, thread)
        self._put_thread(thread)

    def _welcome(self, mail: Mail, thread: Thread) -> None:
        if self.has_group() and (self._fixed() or mail.room_pos <= thread.pos):
            return None
        here = replace(thread, pos=max(thread.pos, mail.room_pos))
        joined = self._join(mail.body)
        if joined is None or not self._goes_forward(joined[0]):
            self._info(NOT_JOINED, thread)
            return self._put_thread(self._past(mail.room_pos, thread))
        group, ref, package = joined
        fresh = GroupRecord(state=b"", revision=0, joined=True, pending_key=None, broken=None, rotated_ms=self._now)
        before = self._record()
        if before is not None and before.broken is not None:
            self._info(HEALED, here)
        self._put_group(fresh, group)
        if not package.last_resort:  # a used package's secret goes with the Welcome that used it
            self.world.vault.drop("keys", f"kp/{ref.hex()}")
        self._put_thread(here)
        self._in_flight = None
        for pos in [pos for pos in self._waiting if pos < mail.room_pos]:
            del self._waiting[pos]
        return None

    def _fixed(self) -> bool:
        """A direct room; in a group this device may be put out and brought in again while it is away."""
        known = self.world.directory.known_roster(self.id)
        return known is None or not known.is_group

    def _goes_forward(self, joined: Group) -> bool:
        """Whether this Welcome leads past the group that is stored here.

        One that was seen before would set the ratchets back and let keys serve twice; a last-resort package's secret
        opens it again at any time, so only its epoch tells.
        """
        stored = self.group()
        return stored is None or joined.epoch > stored.epoch

    def _join(self, welcome: bytes) -> tuple[Group, bytes, PackageRecord] | None:
        engine = self._engine()
        try:
            for ref in parse_welcome(welcome).refs:
                package = self.world.vault.get("keys", f"kp/{ref.hex()}", PackageRecord)
                if package is not None:
                    self.world.directory.all_known(self._roster().accounts, self._fresh)
                    group = engine.join(welcome, package.secret)
                    return (group, ref, package) if engine.group_id(group) == self._group_id else None
        except Malformed:
            return None
        return None

    # --- answers to what we sent --------------------------------------------------------------------------------------

    def _accepted(self, accepted: Accepted) -> None:
        record = self._record()
        with self._step():
            if record is not None and record.pending_key == accepted.key:
                self._adopt(record, accepted)
            else:
                self._sent(accepted)
        if self.awaits(accepted.key):
            self._in_flight = None

    def _adopt(self, record: GroupRecord, accepted: Accepted) -> None:
        """Our commit won its epoch: only now it becomes our state."""
        engine = self._engine()
        before = self._restore(record)
        known = {member.identity for member in engine.roster(before)} if record.joined else None
        after = engine.apply_own(before)
        thread = self.thread()
        here = self._past(accepted.room_pos, thread)
        self._put_group(replace(record, joined=True, pending_key=None, broken=None, rotated_ms=self._now), after)
        if known is not None:
            now = engine.roster(after)
            there = {one.identity for one in now}
            self._roster_notes(tuple(one for one in now if one.identity not in known), here, now)
            self._left_notes(tuple(one for one in engine.roster(before) if one.identity not in there), here, now)
            if self._roster().is_group:
                self.reconcile_soon(self._now)  # more may have come than one commit adds
        self._put_thread(here)

    def _sent(self, accepted: Accepted) -> None:
        """Our message was accepted: it moves from the outbox to the thread, with the proof that others get."""
        thread = self.thread()
        here = self._past(accepted.room_pos, thread)
        waiting = next((one for one in self.outbox() if one.sealed and one.sealed.key == accepted.key), None)
        if waiting is None or waiting.sealed is None:
            return self._put_thread(here)
        row = self._own_row(waiting.sealed, accepted, receive.hub_of(accepted), here)
        if row is None or row.seq is None:
            # What is shown as sent can be reported; this cannot. A number that nobody signed moves nothing.
            self._fail(waiting, "unconfirmed", None)
            self._info(UNCONFIRMED, here)
            return self._put_thread(here)
        # In its turn it moves the thread forward like any message; one told late only fills its own place.
        in_turn = accepted.room_pos == thread.pos + 1 and row.seq > here.seq
        after = replace(
            here,
            head_seq=max(here.head_seq, row.seq),
            last_id=bytes.fromhex(row.id),
            seq=row.seq if in_turn else here.seq,
            at_ms=self._floor(row.at_ms, here) if in_turn else here.at_ms,
        )
        self.world.vault.drop("outbox", waiting.place)
        self._then.append(Sent(waiting.id, self._row(row, after)))
        return None

    def _own_row(self, sealed: Sealed, accepted: Accepted, hub: Frank | None, thread: Thread) -> MessageRecord | None:
        if hub is None or receive.too_far(hub.room_seq, thread.head_seq):
            return None
        context = receive.context_of(self.world.identity, sealed.epoch, self.uri, hub)
        frank = receive.proven(context, hub, self.world.directory.hub_key)
        if frank is None and ServerKeys() not in self._fresh:
            raise Missing(ServerKeys())
        if frank is None:
            return None
        content = mimi.decode(sealed.content)
        identity = mimi.message_id(content.sender_uri, content.room_uri, sealed.content, content.salt)
        genuine = Genuine(content, sealed.content, identity, context, frank)
        return receive.row_of(genuine, accepted.room_pos, self.world.account)

    def _refused(self, refused: Refused) -> None:
        if self.awaits(refused.key):
            self._in_flight = None
        record = self._record()
        if record is not None and record.pending_key == refused.key:
            self._commit_refused(record, refused)
        else:
            self._message_refused(refused)

    def _commit_refused(self, record: GroupRecord, refused: Refused) -> None:
        if refused.code in WAITS:
            self._not_before = self._now + (refused.retry_after_ms or REFUSED_RETRY_MS)
            return
        with self._step():
            if record.joined:
                group = self._engine().discard_own(self._restore(record))
                self._put_group(replace(record, pending_key=None), group)
            else:  # somebody else created the group; its Welcome is on the way
                self.world.vault.drop("groups", self.id)
        # wrong_epoch: the winning commit comes by mail. Anything else would be refused again right away.
        wait = RETRY_MS if refused.code == "wrong_epoch" else refused.retry_after_ms or REFUSED_RETRY_MS
        self._not_before = self._now + wait
        if record.joined and self._reconcile_at is None:
            self._reconcile_at = (
                self._not_before
            )  # what it was for may still be needed; news that came since are sooner

    def _message_refused(self, refused: Refused) -> None:
        waiting = next((one for one in self.outbox() if one.sealed and one.sealed.key == refused.key), None)
        if waiting is None:
            return
        if refused.code in WAITS:  # exactly these bytes again: nothing may overtake their place in the ratchet
            self._not_before = self._now + (refused.retry_after_ms or RETRY_MS)
            return
        late = refused.code in ("epoch_too_old", "wrong_epoch")
        if late and refused.details and waiting.sealed and _number(refused.details) < waiting.sealed.epoch:
            with self._step():  # encrypting it again would be refused again, for ever
                self._fail(waiting, "restored", RESTORED)
            return
        with self._step():
            if late:
                self.world.vault.put("outbox", waiting.place, replace(waiting, sealed=None))
            else:
                self._fail(waiting, refused.code, refused.details)
        if late and _number(refused.details) > self._epoch():
            self._not_before = self._now + RETRY_MS

    def _fail(self, waiting: OutboxRecord, code: str, details: str | None) -> None:
        failed = replace(waiting, sealed=None, failure=code, details=details)
        self.world.vault.put("outbox", waiting.place, failed)
        self._then.append(Failed(waiting.id, code, details))

    def _fail_all(self) -> None:
        for waiting in self.outbox():
            if waiting.failure is None:
                self._fail(waiting, "not_allowed", GONE)

    def fail_next(self, code: str, details: str | None) -> bool:
        """The server said no to what the next message needs: that message failed. False when none waits."""
        waiting = next((one for one in self.outbox() if one.failure is None and one.sealed is None), None)
        if waiting is not None:
            with self._step():
                self._fail(waiting, code, details)
        return waiting is not None

    def _epoch(self) -> int:
        group = self.group()
        return 0 if group is None else group.epoch

    # --- sending ------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:  # noqa: PLR0911 - one return per state of a room
        if self._in_flight is not None:
            return None
        record = self._record()
        waiting = next((one for one in self.outbox() if one.failure is None), None)
        pending = record is not None and record.pending_key is not None
        if self._now < self._not_before:
            return self._wake(self._not_before) if waiting or pending else None
        if record is not None and pending:
            return self._send_commit(record)
        if waiting is None:
            return None
        if not self._fixed() and self.world.account not in self._roster().accounts:
            with self._step():
                return self._fail_all()
        if waiting.sealed is not None:
            return self._submit(Submit(waiting.sealed.key, self.id, waiting.sealed.wire))
        if record is None or not record.joined:
            return self._create()
        if record.broken is not None:
            return None
        return self._say(record, waiting)

    def _say(self, record: GroupRecord, waiting: OutboxRecord) -> None:
        group, engine = self._restore(record), self._engine()
        if engine.own_generation(group) >= ROTATE_AFTER_MESSAGES:
            return self._propose(record, group, [], [])
        if self._quarantined(group):
            return self._reconcile(record)
        return self._encrypt(record, group, waiting)

    def _quarantined(self, group: Group) -> bool:
        """Whether somebody is in the group whom a device list does not name now."""
        roster = self._roster()
        others = [
            (_identity(one), one.signature_key) for one in self._engine().roster(group) if one.leaf != group.own_leaf
        ]
        here = {uris.parse_uri(who.account_uri)[2] for who, _ in others}
        self.world.directory.all_known(here.intersection(roster.accounts), self._fresh)
        return any(self._standing(roster, who, key) != "listed" for who, key in others)

    def _encrypt(self, record: GroupRecord, group: Group, waiting: OutboxRecord) -> None:
        salt = self.world.random(mimi.SALT)
        content = said(waiting, self.world.identity.account_uri, self.uri, self.thread(), salt, self.world.log.gossip)
        try:
            encoded = mimi.encode(content)
        except Malformed:  # with everything that a message carries it is too long, as one that is passed on may be
            with self._step():
                self._fail(waiting, "too_large", None)
            return self._pump()
        made = self._engine().protect(group, encoded, franking.build_aad(franking.franking_tag(salt, encoded)))
        sealed = Sealed(key=self.world.random(16), wire=made.message, content=encoded, epoch=group.epoch)
        with self._step():
            self._put_group(record, made.state)
            self.world.vault.put("outbox", waiting.place, replace(waiting, sealed=sealed))
        return self._submit(Submit(sealed.key, self.id, sealed.wire))

    def _submit(self, frame: Submit | Commit) -> None:
        self._in_flight = frame.key
        self._effects.append(Send(frame))

    def _send_commit(self, record: GroupRecord) -> None:
        made = self._engine().pending(self._restore(record))
        if made is None or record.pending_key is None:
            raise RuntimeError("a pending commit is not in its group")
        self._submit(Commit(record.pending_key, self.id, made.commit, made.welcome, made.group_info))

    # --- membership ---------------------------------------------------------------------------------------------------

    def _upkeep(self) -> None:
        record = self._record()
        if record is None and self._reconcile_at is not None and not self._fixed():
            self._create()  # a new group begins with its maker alone
            self._reconcile_at = None
            return None
        if record is None or not record.joined or record.broken is not None:
            self._reconcile_at = None
            return None
        if self._reconcile_at is None:
            return self._rotate(record)
        if self._now < self._reconcile_at:
            return self._wake(self._reconcile_at)
        if record.pending_key is not None or self._in_flight is not None:
            return None  # after the answer
        self._not_before = 0
        self._reconcile(record)
        self._reconcile_at = None
        return None

    def _rotate(self, record: GroupRecord) -> None:
        """Renew our keys when they are a week old, whether or not anybody writes."""
        at = max(self._rotation_due(record), self._not_before, self._rotate_not_before)
        if self._now < at:
            return self._wake(at)
        if record.pending_key is not None or self._in_flight is not None:
            return None
        if not self.world.directory.room(self.id, self._fresh).writable and self._fixed():
            self.rest(self._now)  # no commit is taken here now
            return self._wake(self._rotate_not_before)
        return self._reconcile(record)

    def rest(self, now: int) -> None:
        """The server wants nothing in this room at present: the rotation of keys waits for another day."""
        self._rotate_not_before = now + ROTATE_SPREAD_MS

    def _rotation_due(self, record: GroupRecord) -> int:
        """When an empty commit should renew our keys, if nothing else does before."""
        own = hashlib.sha256(f"{self.world.device} {self.id}".encode()).digest()
        return record.rotated_ms + ROTATE_AFTER_MS + int.from_bytes(own[:4], "big") % ROTATE_SPREAD_MS

    def _listed(self) -> Devices:
        """(account, key) by URI of everybody's listed devices except this one, freshly fetched."""
        directory, roster = self.world.directory, self._roster()
        if roster.is_group and RoomFacts(self.id) not in self._fresh:
            raise Missing(RoomFacts(self.id))
        directory.all_known(roster.accounts, self._fresh)
        # In a group only those are asked for again of whom there was news: it has a hundred people.
        found = {
            device: (account, key)
            for account in roster.accounts
            for device, key in directory.devices(account, self._fresh, cached=roster.is_group).items()
        }
        found.pop(self.world.identity.device_uri, None)
        return found

    def _claim(self, devices: Devices) -> list[bytes]:
        """Key packages for some of those devices; one that is not exactly the listed device's is not used.

        Of the first of them who have any: devices without packages must not keep out those that come after them.
        """
        found: list[bytes] = []
        while devices and not found:
            some = some_of(devices)
            claim = Claim(self.id, tuple(sorted(some)))
            if claim not in self._claimed:
                raise Missing(claim)
            found = [package for package in self._claimed[claim] if fits(package, some)]
            devices = {device: facts for device, facts in devices.items() if device not in some}
        return found

    def _create(self) -> None:
        """Create the group when the room has none and a device of somebody else can be added."""
        room = self.world.directory.room(self.id, self._fresh)
        if room.epoch is not None:
            return  # a Welcome for this device is on the way, or another device will add it
        roster = self._roster()
        if roster.is_group and roster.roles.get(self.world.account) not in MANAGERS:
            return
        listed = self._listed()
        own = {uri: facts for uri, facts in listed.items() if facts[0] == self.world.account}
        # Theirs first: without any of them there is nobody to write to, and our own packages would be spent in vain.
        theirs = self._claim({uri: facts for uri, facts in listed.items() if uri not in own})
        self.lonely = not theirs and not roster.is_group
        if self.lonely:
            self._claimed.clear()
            self._lonely_ms = min(REFUSED_RETRY_MS, max(RETRY_MS, 2 * self._lonely_ms))
            self._not_before = self._now + self._lonely_ms
            self._wake(self._not_before)
            return
        packages, now_s = theirs + self._claim(own), self._now // 1000
        group = self._engine().create_group(
            self._group_id, not_before=now_s - LEAF_BACKDATE_S, not_after=now_s + LEAF_LIFETIME_S
        )
        record = GroupRecord(state=b"", revision=0, joined=False, pending_key=None, broken=None, rotated_ms=self._now)
        self._propose(record, group, packages, [])

    def _propose(self, record: GroupRecord, group: Group, adds: list[bytes], removes: list[int]) -> None:
        try:
            made = self._engine().commit(group, now_s=self._now // 1000, adds=adds, removes=removes)
        except Malformed as error:
            self._claimed.clear()
            raise Unverified(f"A key package that the server handed out does not check out: {error}.") from None
        new = replace(record, pending_key=self.world.random(16))
        with self._step():
            self._put_group(new, made.state)
        self._claimed.clear()
        self._send_commit(self._record() or new)

    def _reconcile(self, record: GroupRecord) -> None:
        group = self._restore(record)
        listed = self._listed()
        others = [
            (member.leaf, Identity.decode(member.identity).device_uri, member.signature_key)
            for member in self._engine().roster(group)
            if member.leaf != group.own_leaf
        ]
        removes = [leaf for leaf, uri, key in others if uri not in listed or listed[uri][1] != key]
        present = {uri for _, uri, _ in others}
        adds = self._claim({uri: facts for uri, facts in listed.items() if uri not in present})
        due = self._now >= self._rotation_due(record)
        if adds or removes or due:
            self._propose(record, group, adds, removes)
            return
        self._claimed.clear()  # whoever had no packages now may have some when asked again
        if self._quarantined(group):
            raise Unverified("Somebody is in this chat whom no device list names.")


def _identity(member: mls.Member) -> Identity:
    return Identity.decode(member.identity)


def _untagged(message: bytes) -> bool:
    """Whether this belongs into the ephemeral class by what it says itself, whatever the server calls it."""
    try:
        return parse_private_message(message).authenticated_data == b""
    except Malformed:
        return False


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


__all__ = ["Ack", "Effect", "Failed", "Heard", "Room", "RoomFacts", "Send", "Sent", "World"]
