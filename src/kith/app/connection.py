"""One device's open stream: what it may submit, and what it is sent, in which order.

Two loops. The reader decodes, limits and starts work; it stops reading while too much is under way. The writer sends
what waits, straight from the mailbox, so that nothing is queued in memory that is not bounded: replies by what is
under way, mail by a window of unacked ones, hints and notices by their number of rooms and words.

Order, per room: a mail or an answer goes out only after every mail and answer with a smaller position. Positions
that are missing among the mails are this device's own submissions, so while one is under way a mail behind a missing
position waits for its answer. An ephemeral frame waits until everything up to its `after_pos` went out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import structlog

from kith.app import disk
from kith.ledger.database import Database
from kith.messaging.envelope import read_ephemeral, read_message
from kith.messaging.flows import delivery, handshaking
from kith.messaging.flows.delivery import Mail
from kith.messaging.flows.lane import Submission
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
BYE_TIMEOUT_S: Final = 1.0
REPLIES: Final = 256
"""Replies that wait to be sent before nothing more is read."""
BIG_COMMIT: Final = 16 * 1024
"""Bytes of a GroupInfo from which it is read beside the loop."""

CLOSE_CODES: Final = {
    "signed_out": 1008,
    "replaced": 1000,
    "slow": 1013,
    "restarting": 1012,
    "protocol": 1002,
    "": 1001,
}


class Link(Protocol):
    """The socket under a connection."""

    async def receive(self) -> bytes | None:
        """The next binary message; None when the other side is gone. Malformed for anything not binary."""

    async def send(self, data: bytes) -> None:
        """Send a binary message, waiting while the reader is slow; OSError when it is gone."""

    async def close(self, code: int) -> None:
        """Close the socket; never raises."""


class Bucket:
    """A token bucket on the loop's monotonic clock."""

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

    def _refill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now


class Pace:
    """How fast an account may go, over all its devices and however often they reconnect."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.frames = Bucket(limits.frames_per_second, limits.frames_burst, now)
        self.submits = Bucket(limits.submits_per_second, limits.submits_burst, now)
        self.commits = Bucket(limits.commits_per_minute / 60, limits.commits_burst, now)
        self.whispers = Bucket(limits.ephemerals_per_second, limits.ephemerals_burst, now)


Work = Callable[[], Coroutine[Any, Any, None]]


class Held(NamedTuple):
    """An ephemeral frame that waits for earlier positions."""

    room: str
    after_pos: int
    frame: bytes
    until: float


class Switchboard(Protocol):
    """What a connection needs of the hub."""

    database: Database
    limits: Limits
    franking: delivery.Hub

    @property
    def read_only(self) -> bool:
        """Whether nothing new is taken for want of disk space."""

    def pace(self, account: str) -> Pace:
        """How fast this account may go."""

    def submit(self, submission: Submission) -> None:
        """Put a message into the lane; `whose` is a future of its answer."""

    def whisper(self, device: str, room: str, after_pos: int, body: bytes) -> None:
        """Hand an ephemeral message to a device, if it is connected."""


class Connection:
    """A device's stream from HELLO to BYE."""

    def __init__(self, hub: Switchboard, session: Session, link: Link) -> None:
        loop = asyncio.get_running_loop()
        limits = hub.limits
        self.account, self.device = session.account, session.device
        self._sender = Sender(session.account, session.device)
        self._hub, self._link, self._loop, self._limits = hub, link, loop, limits
        self._ended: asyncio.Future[str] = loop.create_future()
        self._wake = asyncio.Event()
        self._room_to_reply = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(limits.submits_in_flight)
        self._pace = hub.pace(session.account)
        self._replies: deque[bytes] = deque()
        self._notices: dict[str, None] = {}
        self._hints: dict[str, int] = {}
        self._held: deque[Held] = deque()
        self._submitting: dict[str, set[asyncio.Task[None]]] = {}
        self._answers: dict[str, deque[Accepted]] = {}
        self._unacked: dict[int, int] = {}
        self._unacked_bytes = 0
        self._full_since: float | None = None
        self._sent_upto = 0
        self._last_pos: dict[str, int] = {}

    # what the hub tells ------------------------------------------------------------------------

    def ring(self) -> None:
        """There is something to send."""
        self._wake.set()

    def end(self, code: str) -> None:
        """Say BYE (nothing for an empty code) and close; the first reason wins."""
        if not self._ended.done():
            self._ended.set_result(code)

    def notice(self, what: str) -> None:
        """The person should fetch something again."""
        self._notices[what] = None
        self.ring()

    def delivered(self, room: str, position: int) -> None:
        """A device of the other account has everything up to there."""
        self._hints[room] = max(position, self._hints.get(room, 0))
        self.ring()

    def hold(self, room: str, after_pos: int, body: bytes) -> None:
        """Send an ephemeral message when its turn comes; dropped when too many wait."""
        if len(self._held) < self._limits.ephemerals_waiting:
            frame = frames.encode(frames.Ephemeral(room, after_pos, body))
            self._held.append(Held(room, after_pos, frame, self._loop.time() + self._limits.ephemeral_wait_ms / 1000))
            self.ring()

    # the stream --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until somebody ends it."""
        tasks = [self._loop.create_task(self._until_ended(part)) for part in (self._read, self._write)]
        try:
            code = await self._ended
        finally:
            for task in (*tasks, *self._under_way):
                task.cancel()
            await asyncio.gather(*tasks, *self._under_way, return_exceptions=True)
        if code:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._link.send(frames.encode(frames.Bye(code))), BYE_TIMEOUT_S)
        with contextlib.suppress(TimeoutError):  # a socket whose buffer is full cannot even say goodbye
            await asyncio.wait_for(self._link.close(CLOSE_CODES[code]), BYE_TIMEOUT_S)

    async def _until_ended(self, part: Callable[[], Coroutine[Any, Any, str]]) -> None:
        """Run a loop; its answer, or what broke it, ends the connection."""
        try:
            self.end(await part())
        except OSError:
            self.end("")
        except asyncio.CancelledError:
            raise
        except Exception as bug:
            log.error("stream-bug", device=self.device, exc_info=bug)
            self.end("restarting")

    # reading -----------------------------------------------------------------------------------

    async def _read(self) -> str:
        idle = self._limits.idle_timeout_ms / 1000
        while True:
            try:
                data = await asyncio.wait_for(self._link.receive(), idle)
                if data is None:
                    return ""
                frame = frames.decode_client(data)
            except TimeoutError:
                return "slow"
            except Malformed:
                return "protocol"
            if wait := self._pace.frames.owe(self._loop.time(), 1 + self._unknown_acks(frame)):
                await asyncio.sleep(wait)
            while len(self._replies) >= REPLIES:
                self._room_to_reply.clear()
                await self._room_to_reply.wait()
            await self._start(frame)

    def _unknown_acks(self, frame: frames.ClientFrame) -> int:
        """Acks of mail that was not sent on this connection are looked up too, and paid for."""
        return sum(mail not in self._unacked for mail in frame.mail_ids) if isinstance(frame, frames.Ack) else 0

    async def _start(self, frame: frames.ClientFrame) -> None:
        """Begin what a frame asks for; work on the database runs beside the reader, in order of arrival."""
        match frame:
            case frames.Ping():
                self._reply(frames.Pong(self._hub.database.now()))
            case frames.Ack(mail_ids=mails):
                await self._beside(partial(self._ack, mails))
            case frames.Submit() | frames.Commit() if self._hub.read_only:
                self._reply(frames.Refused(frame.key, "read_only", disk.SENTENCE, disk.RETRY_MS))
            case frames.Submit() | frames.Commit():
                bucket = self._pace.submits if isinstance(frame, frames.Submit) else self._pace.commits
                if wait := self._full_of_answers() or bucket.wait(self._loop.time()):
                    sentence = "That is faster than anybody writes. Wait a moment."
                    self._reply(frames.Refused(frame.key, "limited", sentence, max(1, int(wait * 1000))))
                    return
                task = await self._beside(self._work_of(frame))
                self._submitting.setdefault(frame.room, set()).add(task)
                task.add_done_callback(partial(self._submitted, frame.room))
            case frames.SendEphemeral():
                if not self._pace.whispers.wait(self._loop.time()):
                    earlier = list(self._submitting.get(frame.room, ()))
                    await self._beside(partial(self._whisper, frame, earlier))

    def _full_of_answers(self) -> float:
        """Seconds to wait while very many answers stand behind mail that is not acked; 0.0 otherwise."""
        return 1.0 if sum(map(len, self._answers.values())) >= REPLIES else 0.0

    def _work_of(self, frame: frames.Submit | frames.Commit) -> Work:
        return partial(self._submit, frame) if isinstance(frame, frames.Submit) else partial(self._commit, frame)

    async def _beside(self, work: Work) -> asyncio.Task[None]:
        """Run work beside the reader; waits while too much is under way."""
        await self._slots.acquire()
        task = self._loop.create_task(self._guarded(work))
        self._under_way.add(task)
        task.add_done_callback(self._finished)
        return task

    async def _guarded(self, work: Work) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as bug:
            log.error("stream-bug", device=self.device, exc_info=bug)
            self.end("restarting")

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._slots.release()

    def _submitted(self, room: str, task: asyncio.Task[None]) -> None:
        submitting = self._submitting[room]
        submitting.discard(task)
        if not submitting:
            del self._submitting[room]
        self.ring()

    def _reply(self, frame: frames.ServerFrame) -> None:
        self._replies.append(frames.encode(frame))
        self.ring()

    async def _submit(self, frame: frames.Submit) -> None:
        message = read_message(frame.room, frame.message, self._limits)
        if isinstance(message, Refusal):
            self._answer(frame.key, frame.room, message)
            return
        told: asyncio.Future[Accepted | Refusal] = self._loop.create_future()
        self._hub.submit(Submission(self._sender, frame.key, message, told))
        self._answer(frame.key, frame.room, await told)

    async def _commit(self, frame: frames.Commit) -> None:
        database, server = self._hub.database, self._hub.franking.server
        now = database.now()
        submitted = Submitted(frame.commit, frame.welcome, frame.group_info)
        before = database.read_now(handshaking.group_of, self.account, frame.room)

        def prepare() -> Handshake | handshaking.Rejected | Refusal:
            here = {"server": server, "room": frame.room, "device": self.device}
            return handshaking.prepare(submitted, before, **here, now_ms=now)

        big = before is not None and len(frame.group_info) > BIG_COMMIT
        prepared = await asyncio.to_thread(prepare) if big else prepare()
        answer = await database.write(handshaking.commit, self._sender, frame.key, frame.room, prepared)
        self._answer(frame.key, frame.room, answer)

    def _answer(self, key: bytes, room: str, answer: Accepted | Refusal) -> None:
        if isinstance(answer, Accepted):
            self._answers.setdefault(room, deque()).append(answer)
            self.ring()
        else:
            self._reply(_refused(key, answer))

    async def _ack(self, mails: tuple[int, ...]) -> None:
        for start in range(0, len(mails), ACKS_PER_FLOW):
            some = mails[start : start + ACKS_PER_FLOW]
            await self._hub.database.write(delivery.ack, self.account, self.device, some)
            known = [size for mail in some if (size := self._unacked.pop(mail, None)) is not None]
            self._unacked_bytes -= sum(known)
            if known:  # an ack of what was never sent is no sign that somebody reads
                self._full_since = None
            self.ring()

    async def _whisper(self, frame: frames.SendEphemeral, earlier: list[asyncio.Task[None]]) -> None:
        """Hand an ephemeral message on, behind this device's own earlier submissions."""
        epoch = read_ephemeral(frame.room, frame.message, self._limits)
        if epoch is None:
            return
        if earlier:
            await asyncio.wait(earlier)
        audience = self._hub.database.read_now(delivery.audience, self._sender, frame.room, epoch)
        for device in audience.devices if audience else ():
            self._hub.whisper(device, frame.room, audience.after_pos if audience else 0, frame.message)

    # writing -----------------------------------------------------------------------------------

    async def _write(self) -> str:
        await self._send(frames.encode(frames.Hello(self._hub.database.now(), self.device)))
        while True:
            self._wake.clear()
            try:
                await self._send_small()
                more = await self._send_mail()
                await self._send_answers()
                await self._send_held()
                if not more:
                    await asyncio.wait_for(self._wake.wait(), self._patience())
            except TimeoutError:
                return "slow"

    def _patience(self) -> float | None:
        """How long to wait for something to happen: a full window must be acked in time, held frames expire."""
        if self._full_since is not None:
            return max(0.0, self._full_since + self._limits.ack_timeout_ms / 1000 - self._loop.time())
        return None

    async def _send(self, data: bytes) -> None:
        """Send one frame; TimeoutError when the reader takes nothing for too long."""
        await asyncio.wait_for(self._link.send(data), self._limits.send_timeout_ms / 1000)

    async def _send_small(self) -> None:
        while self._replies:
            await self._send(self._replies.popleft())
        self._room_to_reply.set()
        while self._notices:
            what = next(iter(self._notices))
            del self._notices[what]
            body = json.dumps({"what": what}).encode()
            await self._send(frames.encode(frames.Mail(0, NOTICE, None, 0, body, None)))
        while self._hints:
            room, position = self._hints.popitem()
            await self._send(frames.encode(frames.Delivered(room, position)))

    async def _send_mail(self) -> bool:
        """Send mail as far as window and order allow; True when there may be more to send now."""
        free = min(PAGE, self._limits.mail_in_flight - len(self._unacked))
        if free <= 0 or self._unacked_bytes >= self._limits.mail_in_flight_bytes:
            self._full_since = self._full_since or self._loop.time()
            return False
        waiting = self._hub.database.read_now(delivery.waiting, self.device, self._sent_upto, free)
        for mail in waiting:
            if mail.room is not None:
                await self._send_answers_before(mail.room, mail.room_pos)
                if self._must_wait(mail.room, mail.room_pos):
                    return False
            frame = self._mail_frame(mail)
            self._sent_upto = mail.mail
            if frame is None:
                continue
            self._unacked[mail.mail] = len(frame)
            self._unacked_bytes += len(frame)
            if mail.room is not None:
                self._last_pos[mail.room] = mail.room_pos
            await self._send(frame)
            if self._unacked_bytes >= self._limits.mail_in_flight_bytes:
                break
        return bool(waiting)

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

    async def _send_answers_before(self, room: str, position: int) -> None:
        answers = self._answers.get(room)
        while answers and answers[0].room_pos < position:
            await self._send_answer(room, answers.popleft())

    async def _send_answers(self) -> None:
        """Answers behind which no mail of their room is unsent."""
        for room in list(self._answers):
            answers = self._answers[room]
            while answers and not self._unsent_before(room, answers[0].room_pos):
                await self._send_answer(room, answers.popleft())
            if not answers:
                self._answers.pop(room, None)

    async def _send_answer(self, room: str, answer: Accepted) -> None:
        self._last_pos[room] = max(answer.room_pos, self._last_pos.get(room, 0))
        await self._send(frames.encode(_accepted(answer)))

    async def _send_held(self) -> None:
        """Ephemeral frames whose turn has come; old ones are dropped."""
        for _ in range(len(self._held)):
            held = self._held.popleft()
            if held.until < self._loop.time():
                continue
            if held.room in self._answers or self._unsent_before(held.room, held.after_pos + 1):
                self._held.append(held)
            else:
                await self._send(held.frame)

    def _unsent_before(self, room: str, position: int) -> bool:
        read, device = self._hub.database.read_now, self.device
        return read(delivery.unsent_before, device, self._sent_upto, room, position)


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
