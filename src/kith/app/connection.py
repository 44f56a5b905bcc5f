"""One device's open stream: what it may submit, and what it is sent, in which order.

Everything runs on the loop without tasks of its own: the link hands over what was received, and the connection writes
what is due at the end of the loop's turn, in one piece. Nothing is queued in memory that is not bounded: reading stops
while too much is under way or unanswered; mail is bounded by a window of unacked ones, hints and notices by their
number of rooms and words.

Mail goes out on one of two ways. A connection that has everything gets the mails of each commit batch as it is
released (`deliver`). One that is behind, because it has just connected, its window is full or its reader is slow,
gets them from the mailbox until it has caught up; a doorbell without the mail itself also makes it look there.

Order, per room: a mail or an answer goes out only after every mail and answer with a smaller position. Positions
that are missing among the mails are this device's own submissions, so while one is under way a mail behind a missing
position waits for its answer. An ephemeral frame waits until everything up to its `after_pos` went out.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final, NamedTuple, Protocol

import structlog

from kith.app import disk
from kith.ledger.database import Database
from kith.messaging.envelope import read_ephemeral, read_message
from kith.messaging.flows import delivery, handshaking
from kith.messaging.flows.delivery import Mail
from kith.messaging.flows.lane import Mailed, Posted, Receipt, Submission
from kith.messaging.flows.writing import Sender
from kith.messaging.handshakes import Handshake, Submitted
from kith.messaging.limits import Limits
from kith.messaging.outcomes import Accepted, Refusal
from kith.messaging.writing import NOT_ALLOWED
from kith.people.sessions import Session
from kith.protocol import frames
from kith.protocol.frames import NOTICE, ROSTER
from kith.protocol.franking import SUITE
from kith.protocol.wire import Malformed

log = structlog.get_logger("kith.stream")

ACKS_PER_FLOW: Final = 64
"""Mails acked in one transaction, to keep it under a millisecond."""
PAGE: Final = 64
"""Mails read at once."""
WRITE_BYTES: Final = 64 * 1024
"""What is collected before the link is asked again whether its reader keeps up."""
REPLIES: Final = 256
"""Replies that wait to be sent before nothing more is read."""
BIG_COMMIT: Final = 16 * 1024
"""Bytes of a commit with its Welcome and GroupInfo from which they are read beside the loop."""
FAST: Final = "That is faster than anybody writes. Wait a moment."

CLOSE_CODES: Final = {
    "signed_out": 1008,
    "replaced": 1000,
    "slow": 1013,
    "restarting": 1012,
    "protocol": 1002,
    "": 1001,
}


class Link(Protocol):
    """The socket under a connection. Nothing here waits, and nothing raises when the other side is gone."""

    @property
    def full(self) -> bool:
        """Whether the reader is slow and more is buffered than should be; `Connection.writable` tells the end of it."""

    def write(self, messages: Sequence[bytes]) -> None:
        """Send binary messages, in one piece where possible."""

    def stop_reading(self) -> None:
        """Hand over nothing more, except what has been received already."""

    def go_on_reading(self) -> None:
        """Hand over again."""

    def close(self, code: int) -> None:
        """Close when everything written is sent, or after a second."""


class Bucket:
    """A token bucket on the loop's monotonic clock."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = float(burst), now

    def wait(self, now: float) -> float:
        """Take one; 0.0 when there was one, else the seconds until there will be, with none taken."""
        self._refill(now)
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._rate

    def owe(self, now: float, count: int = 1) -> float:
        """Take some in any case; the seconds to wait before going on."""
        self._refill(now)
        self._level -= count
        return max(0.0, -self._level / self._rate)

    def full(self, now: float) -> bool:
        """Whether nothing of it is used."""
        return self._level + (now - self._at) * self._rate >= self._burst

    def _refill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now


class Pace:
    """How fast an account may go, over all its devices and however often they reconnect."""

    __slots__ = ("commits", "frames", "submits", "whispers")

    def __init__(self, limits: Limits, now: float) -> None:
        self.frames = Bucket(limits.frames_per_second, limits.frames_burst, now)
        self.submits = Bucket(limits.submits_per_second, limits.submits_burst, now)
        self.commits = Bucket(limits.commits_per_minute / 60, limits.commits_burst, now)
        self.whispers = Bucket(limits.ephemerals_per_second, limits.ephemerals_burst, now)

    def unused(self, now: float) -> bool:
        """Whether it says no more than a new one would."""
        return all(bucket.full(now) for bucket in (self.frames, self.submits, self.commits, self.whispers))


class Held(NamedTuple):
    """An ephemeral frame that waits for earlier positions."""

    room: str
    after_pos: int
    frame: bytes
    until: float


class UnderWay(NamedTuple):
    """A mail that was sent and is not acked."""

    mailed: Mailed
    size: int


class Switchboard(Protocol):
    """What a connection needs of the hub."""

    database: Database
    limits: Limits

    @property
    def server(self) -> str:
        """The server's name."""

    @property
    def read_only(self) -> bool:
        """Whether nothing new is taken for want of disk space."""

    def pace(self, account: str) -> Pace:
        """How fast this account may go."""

    def submit(self, submission: Submission) -> None:
        """Put a message into the lane; `whose`, a connection, is told."""

    def received(self, receipt: Receipt) -> None:
        """These mails may leave the mailbox with the next batch."""

    def is_received(self, mail: int) -> bool:
        """Whether this mail is about to leave the mailbox."""

    def whisper(self, device: str, room: str, after_pos: int, body: bytes) -> None:
        """Hand an ephemeral message to a device, if it is connected."""

    def rung(self, connection: Connection) -> None:
        """Have this connection flushed at the end of the loop's turn."""

    def left(self, connection: Connection) -> None:
        """This connection is over."""


class Connection:
    """A device's stream from HELLO to BYE."""

    __slots__ = (
        "__weakref__",
        "_answers",
        "_behind",
        "_blocked",
        "_committing",
        "_deadline",
        "_ended",
        "_full_since",
        "_heard",
        "_held",
        "_hints",
        "_hub",
        "_inbox",
        "_last_pos",
        "_late",
        "_limits",
        "_link",
        "_loop",
        "_notices",
        "_out",
        "_pace",
        "_replies",
        "_rung",
        "_sender",
        "_sent_upto",
        "_stuck_since",
        "_submitting",
        "_tasks",
        "_unacked",
        "_unacked_bytes",
        "_under_way",
        "account",
        "device",
    )

    def __init__(self, hub: Switchboard, session: Session, link: Link) -> None:
        loop = asyncio.get_running_loop()
        self.account, self.device = session.account, session.device
        self._sender = Sender(session.account, session.device)
        self._hub, self._link, self._loop, self._limits = hub, link, loop, hub.limits
        self._pace = hub.pace(session.account)
        self._ended = self._rung = self._blocked = self._late = False
        self._behind = True
        self._heard = loop.time()
        self._deadline: asyncio.TimerHandle | None = None
        self._stuck_since: float | None = None
        self._full_since: float | None = None
        self._inbox: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._out: list[bytes] = []
        self._replies: list[bytes] = []
        self._notices: dict[str, None] = {}
        self._hints: dict[str, int] = {}
        self._held: list[Held] = []
        self._submitting: dict[str, int] = {}
        self._committing: dict[str, int] = {}
        self._answers: dict[str, deque[Accepted]] = {}
        self._unacked: dict[int, UnderWay] = {}
        self._unacked_bytes = 0
        self._sent_upto = 0
        self._last_pos: dict[str, int] = {}

    # what the hub tells ------------------------------------------------------------------------

    def start(self) -> None:
        """Say HELLO, then what waits."""
        self._out.append(frames.encode(frames.Hello(self._hub.database.now(), self.device)))
        self._ring()
        self._watch()

    def ring(self) -> None:
        """There is something in the mailbox."""
        self._behind = True
        self._ring()

    def _ring(self) -> None:
        if not self._rung and not self._ended:
            self._rung = True
            self._hub.rung(self)

    def end(self, code: str) -> None:
        """Say BYE (nothing for an empty code) and close; the first reason wins."""
        if self._ended:
            return
        self._ended = True
        self._hub.left(self)
        if self._deadline is not None:
            self._deadline.cancel()
        for task in self._tasks:
            task.cancel()
        if code:
            self._link.write([*self._out, frames.encode(frames.Bye(code))])
        self._inbox.clear()
        self._out.clear()
        self._link.close(CLOSE_CODES[code])

    def notice(self, what: str) -> None:
        """The person should fetch something again."""
        self._notices[what] = None
        self._ring()

    def delivered(self, room: str, position: int) -> None:
        """A device of the other account has everything up to there."""
        self._hints[room] = max(position, self._hints.get(room, 0))
        self._ring()

    def hold(self, room: str, after_pos: int, body: bytes) -> None:
        """Send an ephemeral message when its turn comes; dropped when too many wait."""
        if len(self._held) < self._limits.ephemerals_waiting:
            frame = frames.encode(frames.Ephemeral(room, after_pos, body))
            self._held.append(Held(room, after_pos, frame, self._loop.time() + self._limits.ephemeral_wait_ms / 1000))
            self._ring()

    def deliver(self, mailed: Mailed, tail: bytes) -> None:
        """A mail of the batch that was just released: sent at once, or found in the mailbox later."""
        mail, room, position = mailed.mail, mailed.room, mailed.room_pos
        if self._ended or mail <= self._sent_upto:
            return
        if self._behind or self._link.full or self._window() <= 0 or self._commit_is_before(room, position):
            self.ring()
            return
        frame = frames.mail_with(mail, tail)
        self._under(mail, mailed, len(frame))
        self._last_pos[room] = position
        self._out.append(frame)
        self._ring()

    def answered(self, submission: Submission, outcome: Posted | BaseException) -> None:
        """What became of a message of this device."""
        room = submission.message.room
        self._done(room)
        if isinstance(outcome, BaseException):
            log.error("submission-failed", device=self.device, exc_info=outcome)
            self.end("restarting")
        elif outcome.answer is not None:
            self._answer(submission.key, room, outcome.answer)

    def _done(self, room: str) -> None:
        """A submission or commit of this device has its answer."""
        self._submitting[room] -= 1
        if not self._submitting[room]:
            del self._submitting[room]
        self._under_way -= 1
        self._unblock()
        if self._behind:
            self._ring()

    # what the link tells -----------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """A binary message has come."""
        self._heard = self._loop.time()
        if self._ended:
            return
        if self._blocked:
            self._inbox.append(data)
        else:
            self._take(data)

    def malformed(self) -> None:
        """Something else has come."""
        self.end("protocol")

    def writable(self) -> None:
        """The reader has caught up."""
        self._stuck_since = None
        self._unblock()
        self._ring()

    def lost(self) -> None:
        """The other side is gone."""
        self.end("")

    def _take(self, data: bytes) -> None:
        try:
            frame = frames.decode_client(data)
        except Malformed:
            self.end("protocol")
            return
        if wait := self._pace.frames.owe(self._heard, 1 + self._unknown_acks(frame)):
            self._late = True
            self._block()
            self._loop.call_later(wait, self._start_late, frame)
            return
        self._start(frame)
        if self._is_crowded():
            self._block()

    def _start_late(self, frame: frames.ClientFrame) -> None:
        self._late = False
        if not self._ended:
            self._start(frame)
            self._unblock()

    def _is_crowded(self) -> bool:
        return self._under_way >= self._limits.submits_in_flight or len(self._replies) >= REPLIES

    def _block(self) -> None:
        if not self._blocked:
            self._blocked = True
            self._link.stop_reading()

    def _unblock(self) -> None:
        """Go on with what was received, then with reading, as far as there is room."""
        if not self._blocked:
            return
        while not (self._ended or self._late or self._is_crowded()):
            if not self._inbox:
                self._blocked = False
                self._link.go_on_reading()
                return
            self._take(self._inbox.pop(0))

    def _unknown_acks(self, frame: frames.ClientFrame) -> int:
        """Acks of mail that was not sent on this connection are looked up too, and paid for."""
        return sum(mail not in self._unacked for mail in frame.mail_ids) if isinstance(frame, frames.Ack) else 0

    def _start(self, frame: frames.ClientFrame) -> None:
        """Begin what a frame asks for, in order of arrival."""
        match frame:
            case frames.Submit():
                if self._may_submit(frame, self._pace.submits):
                    self._submit(frame)
            case frames.Ack(mail_ids=mails):
                self._ack(mails)
            case frames.Ping():
                self._reply(frames.Pong(self._hub.database.now()))
            case frames.Commit():
                if self._may_submit(frame, self._pace.commits):
                    self._submitting[frame.room] = self._submitting.get(frame.room, 0) + 1
                    self._committing[frame.room] = self._committing.get(frame.room, 0) + 1
                    self._beside(self._commit(frame))
            case frames.SendEphemeral():
                if not self._pace.whispers.wait(self._heard):
                    self._whisper(frame)

    def _may_submit(self, frame: frames.Submit | frames.Commit, bucket: Bucket) -> bool:
        if self._hub.read_only:
            self._reply(frames.Refused(frame.key, "read_only", disk.SENTENCE, disk.RETRY_MS))
            return False
        if wait := self._full_of_answers() or bucket.wait(self._heard):
            self._reply(frames.Refused(frame.key, "limited", FAST, max(1, int(wait * 1000))))
            return False
        return True

    def _full_of_answers(self) -> float:
        """Seconds to wait while very many answers stand behind mail that is not acked; 0.0 otherwise."""
        return 1.0 if self._answers and sum(map(len, self._answers.values())) >= REPLIES else 0.0

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work beside the stream; it counts as under way until it is done."""
        self._under_way += 1
        task = self._loop.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as bug:
            log.error("stream-bug", device=self.device, exc_info=bug)
            self.end("restarting")
        finally:
            self._under_way -= 1
            self._unblock()

    def _reply(self, frame: frames.ServerFrame) -> None:
        self._replies.append(frames.encode(frame))
        self._ring()

    def _submit(self, frame: frames.Submit) -> None:
        message = read_message(frame.room, frame.message, self._limits)
        if isinstance(message, Refusal):
            self._reply(_refused(frame.key, message))
            return
        self._submitting[frame.room] = self._submitting.get(frame.room, 0) + 1
        self._under_way += 1
        self._hub.submit(Submission(self._sender, frame.key, message, self))

    async def _commit(self, frame: frames.Commit) -> None:
        database, server = self._hub.database, self._hub.server
        submitted = Submitted(frame.commit, frame.welcome, frame.group_info)
        before, now = database.read_now(handshaking.group_of, self.account, frame.room), database.now()

        def prepare() -> Handshake | handshaking.Rejected | Refusal:
            here = {"server": server, "room": frame.room, "device": self.device}
            return handshaking.prepare(submitted, before, **here, now_ms=now)

        size = sum(map(len, (frame.commit, frame.welcome or b"", frame.group_info)))
        big = before is not None and size > BIG_COMMIT
        prepared = await asyncio.to_thread(prepare) if big else prepare()
        answer = await database.write(handshaking.commit, self._sender, frame.key, frame.room, prepared)
        room = frame.room
        self._committing[room] -= 1
        if not self._committing[room]:
            del self._committing[room]
        self._under_way += 1  # `_done` takes it back, and so does the end of this task
        self._done(room)
        self._answer(frame.key, room, answer)

    def _answer(self, key: bytes, room: str, answer: Accepted | Refusal) -> None:
        if isinstance(answer, Refusal):
            self._reply(_refused(key, answer))
        elif self._behind or self._link.full:
            self._answers.setdefault(room, deque()).append(answer)
            self.ring()
        else:
            self._put_answer(self._out, room, answer)
            self._ring()

    def _ack(self, mails: tuple[int, ...]) -> None:
        known: list[Mailed] = []
        unknown: list[int] = []
        for mail in mails:
            found = self._unacked.pop(mail, None)
            if found is not None:
                known.append(found.mailed)
                self._unacked_bytes -= found.size
            elif mail:  # notices are mail 0 and stored nowhere
                unknown.append(mail)
        if known:  # an ack of what was never sent is no sign that somebody reads
            self._full_since = None
            self._hub.received(Receipt(self.account, self.device, known))
            if self._behind:
                self._ring()
        if unknown:
            self._beside(self._look_up(unknown))

    async def _look_up(self, mails: Sequence[int]) -> None:
        """Acks of mails that were sent on an earlier connection."""
        for start in range(0, len(mails), ACKS_PER_FLOW):
            some = mails[start : start + ACKS_PER_FLOW]
            await self._hub.database.write(delivery.ack, self.account, self.device, some)

    def _whisper(self, frame: frames.SendEphemeral) -> None:
        """Hand an ephemeral message on, behind this device's own earlier submissions."""
        epoch = read_ephemeral(frame.room, frame.message, self._limits)
        if epoch is None:
            return
        if frame.room in self._submitting:
            self._beside(self._whisper_later(frame, epoch))
        else:
            audience = self._hub.database.read_now(delivery.audience, self._sender, frame.room, epoch)
            self._tell(audience, frame)

    async def _whisper_later(self, frame: frames.SendEphemeral, epoch: int) -> None:
        """In the queue of the database it stands behind what this device submitted before."""
        audience = await self._hub.database.write(delivery.audience, self._sender, frame.room, epoch)
        self._tell(audience, frame)

    def _tell(self, audience: delivery.Audience | None, frame: frames.SendEphemeral) -> None:
        for device in audience.devices if audience else ():
            self._hub.whisper(device, frame.room, audience.after_pos if audience else 0, frame.message)

    # writing -----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is due, in one piece where possible."""
        self._rung = False
        if self._ended:
            return
        out, self._out = self._out, []
        if not self._link.full:
            out += self._small()
            if self._behind:
                out = self._catch_up(out)
            out += self._hinted()
            if self._held:
                self._put_held(out)
        if out:
            self._link.write(out)
        if self._link.full and self._stuck_since is None:
            self._stuck_since = self._loop.time()
            self._watch()
        self._unblock()

    def _small(self) -> list[bytes]:
        """Replies and notices."""
        small, self._replies = self._replies, []
        for what in self._notices:
            body = json.dumps({"what": what}).encode()
            small.append(frames.encode(frames.Mail(0, NOTICE, None, 0, body, None)))
        self._notices.clear()
        return small

    def _hinted(self) -> list[bytes]:
        """Hints, behind the answers and the mail that they are about."""
        hints, self._hints = self._hints, {}
        return [frames.encode(frames.Delivered(room, position)) for room, position in hints.items()]

    def _catch_up(self, out: list[bytes]) -> list[bytes]:
        """Put mail of the mailbox, as far as window, reader and order allow; what is left to be written."""
        reached = False
        while not reached and not self._link.full:
            free = self._window()
            if free <= 0:
                if self._full_since is None:
                    self._full_since = self._loop.time()
                    self._watch()
                break
            waiting = self._hub.database.read_now(delivery.waiting, self.device, self._sent_upto, free)
            if not self._put_page(out, waiting):
                break
            reached = len(waiting) < free
            if sum(map(len, out)) >= WRITE_BYTES:
                self._link.write(out)
                out = []
        self._behind = not reached
        self._put_answers(out)
        return out

    def _window(self) -> int:
        if self._unacked_bytes >= self._limits.mail_in_flight_bytes:
            return 0
        return min(PAGE, self._limits.mail_in_flight - len(self._unacked))

    def _put_page(self, out: list[bytes], waiting: Sequence[Mail]) -> bool:
        """Put these mails; False when one of them has to wait."""
        for mail in waiting:
            if self._unacked_bytes >= self._limits.mail_in_flight_bytes:
                return False
            if mail.room is not None:
                self._put_answers_before(out, mail.room, mail.room_pos)
                if self._must_wait(mail.room, mail.room_pos):
                    return False
            frame = None if self._hub.is_received(mail.mail) else self._mail_frame(mail)
            if frame is None:
                self._sent_upto = mail.mail
                continue
            self._under(mail.mail, Mailed(mail.mail, mail.kind, mail.room or "", mail.room_pos), len(frame))
            if mail.room is not None:
                self._last_pos[mail.room] = mail.room_pos
            out.append(frame)
        return True

    def _under(self, mail: int, mailed: Mailed, size: int) -> None:
        self._sent_upto = mail
        self._unacked[mail] = UnderWay(mailed, size)
        self._unacked_bytes += size

    def _mail_frame(self, mail: Mail) -> bytes | None:
        """The MAIL frame, None when its body is past its retention and only the row is left."""
        if mail.kind == ROSTER:
            group = delivery.marked_room(mail.about)
            about = json.dumps({"account": mail.about} if group is None else {"room": group}).encode()
            return frames.encode(frames.Mail(mail.mail, ROSTER, None, 0, about, None))
        body = self._hub.database.read_now(delivery.body_of, mail)
        if body is None:
            return None
        return frames.encode(frames.Mail(mail.mail, mail.kind, mail.room, mail.room_pos, body.body, _frank(body)))

    def _must_wait(self, room: str, position: int) -> bool:
        """Whether an answer that is under way may have to go out before this mail.

        Submissions are answered in order: behind an answer that is here already there are only later ones.
        """
        if room not in self._submitting or self._last_pos.get(room) == position - 1:
            return False
        return not any(answer.room_pos > position for answer in self._answers.get(room, ()))

    def _commit_is_before(self, room: str, position: int) -> bool:
        """Whether an own commit may have a smaller position: its answer comes a moment after its batch."""
        return room in self._committing and self._last_pos.get(room) != position - 1

    def _put_answers_before(self, out: list[bytes], room: str, position: int) -> None:
        answers = self._answers.get(room)
        while answers and answers[0].room_pos < position:
            self._put_answer(out, room, answers.popleft())

    def _put_answers(self, out: list[bytes]) -> None:
        """Answers behind which no mail of their room is unsent."""
        for room in list(self._answers):
            answers = self._answers[room]
            while answers and not (self._behind and self._unsent_before(room, answers[0].room_pos)):
                self._put_answer(out, room, answers.popleft())
            if not answers:
                del self._answers[room]

    def _put_answer(self, out: list[bytes], room: str, answer: Accepted) -> None:
        self._last_pos[room] = max(answer.room_pos, self._last_pos.get(room, 0))
        out.append(frames.encode(_accepted(answer)))

    def _put_held(self, out: list[bytes]) -> None:
        """Ephemeral frames whose turn has come; old ones are dropped."""
        held, self._held = self._held, []
        for one in held:
            if one.until < self._loop.time():
                continue
            if self._behind and (one.room in self._answers or self._unsent_before(one.room, one.after_pos + 1)):
                self._held.append(one)
            else:
                out.append(one.frame)

    def _unsent_before(self, room: str, position: int) -> bool:
        read, device = self._hub.database.read_now, self.device
        return read(delivery.unsent_before, device, self._sent_upto, room, position)

    # time --------------------------------------------------------------------------------------

    def _due(self) -> float:
        """When this connection is over unless something happens: nothing said, nothing acked, or nothing read."""
        limits = self._limits
        due = self._heard + limits.idle_timeout_ms / 1000
        if self._full_since is not None:
            due = min(due, self._full_since + limits.ack_timeout_ms / 1000)
        if self._stuck_since is not None:
            due = min(due, self._stuck_since + limits.send_timeout_ms / 1000)
        return due

    def _watch(self) -> None:
        due = self._due()
        if self._deadline is not None:
            if self._deadline.when() <= due:
                return
            self._deadline.cancel()
        self._deadline = self._loop.call_at(due, self._judge)

    def _judge(self) -> None:
        self._deadline = None
        if self._due() <= self._loop.time():
            self.end("slow")
        else:
            self._watch()


def _accepted(answer: Accepted) -> frames.Accepted:
    return frames.Accepted(
        key=answer.key,
        room_pos=answer.room_pos,
        timestamp=answer.timestamp,
        room_seq=answer.room_seq,
        hub_key_id=answer.hub_key_id,
        server_frank=answer.server_frank,
        suite=None if answer.room_seq is None else SUITE,
        proof=answer.proof,
    )


def _refused(key: bytes, refusal: Refusal) -> frames.Refused:
    """A refusal for the stream: what is absent and what concerns the other side read alike."""
    if refusal.code == "absent":
        return frames.Refused(key, "not_allowed", NOT_ALLOWED, None)
    details = refusal.decision if refusal.code == "restricted" else refusal.details
    return frames.Refused(key, refusal.code, details, refusal.retry_after_ms)


def _frank(body: delivery.Body) -> frames.Frank | None:
    if body.room_seq is None or body.hub_key_id is None or body.frank is None or body.proof is None:
        return None
    return frames.Frank(body.at_ms, body.room_seq, body.hub_key_id, body.frank, SUITE, body.proof)
