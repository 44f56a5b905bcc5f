"""The two clients as they receive a conversation: the SDK in this process, the web engine under Node.

Both run their real rooms, stores and folding. Only MLS is taken away: what it would have opened is in the scenario.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, ClassVar

import pytest

from evil.scene import Scene, scene
from kith.protocol import content as mimi
from kith.protocol import ephemeral
from kith.protocol.attachments import Attached, shown_of
from kith.protocol.changes import Edit, React, change_of, life_of, timer_of
from kith.protocol.frames import MESSAGE, Ephemeral, Frank, Mail
from kith.protocol.identity import Identity
from kith.protocol.mls.client import MlsClient
from kith.protocol.mls.engine import Application, Member, Processed
from kith.protocol.mls.group import Group
from kith.protocol.signing import public_bytes
from kith.protocol.uris import account_uri, device_uri
from kith.protocol.wire import Malformed
from kith.sdk import answers, receive
from kith.sdk import room as rooms
from kith.sdk.chat import Message
from kith.sdk.folding import sweep
from kith.sdk.records import Thread
from kith.sdk.room import World
from kith.sdk.vault import Vault
from twins.talk import HOST, HUB, ME, PEOPLE, ROOM, THEM, THIRD, Scenario, Step
from vectors.shared import REPOSITORY

TWIN = REPOSITORY / "web" / ".node" / "twin.js"
Shown = dict[str, Any]
SENDERS = [account_uri(HOST, account) for account, _ in PEOPLE]


def brief(data: bytes) -> str:
    """Enough of a hash to tell bytes apart."""
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:12]}"


# --- one content ----------------------------------------------------------------------------------------------------


def opened(plaintext: bytes) -> Any:
    """All that this side reads in one content; None when it is none."""
    try:
        content = mimi.decode(plaintext)
    except Malformed:
        return None
    change, shown = change_of(content), shown_of(content, HOST) if content.sender_uri in SENDERS else None
    signal = ephemeral.signal_of(content)
    return {
        "change": None
        if change is None
        else {
            "what": "edit" if isinstance(change, Edit) else "react" if isinstance(change, React) else "withdraw",
            "target": change.target.hex(),
            "symbols": list(change.symbols) if isinstance(change, React) else [],
            "instead": isinstance(change, React) and change.instead,
        },
        "timer": timer_of(content),
        "life": life_of(content),
        "misplaced": ephemeral.misplaced(content.part),
        "signal": None
        if signal is None
        else [one.hex() for one in signal.read]
        if isinstance(signal, ephemeral.Receipts)
        else "typing",
        "forwarded": content.times_forwarded,
        "reply": content.in_reply_to.hex() if content.in_reply_to else None,
        "shown": receive.shown(content) if shown is not None else None,
        "files": [_file(one) for one in shown.files] if shown is not None else None,
    }


def _file(one: Attached) -> Any:
    media = one.media
    return {
        "part": one.part,
        "type": one.media_type,
        "inline": one.inline,
        "name": one.name,
        "description": one.description,
        "sealed": None
        if one.sealed is None
        else [one.sealed.blob, one.sealed.expires, one.sealed.size, brief(one.sealed.key)],
        "media": None
        if media is None
        else [
            media.length,
            media.width,
            media.height,
            media.thumbhash and brief(media.thumbhash),
            media.duration_ms,
            media.waveform and brief(media.waveform),
            media.chunks and len(media.chunks),
            media.voice,
        ],
        "poster": None if one.poster is None else [one.poster.media_type, brief(one.poster.data)],
    }


# --- the SDK --------------------------------------------------------------------------------------------------------


class _Opened(MlsClient):
    """MLS that has opened everything already: a body is the number of its step."""

    steps: ClassVar[list[Step]] = []

    def process(self, group: Group, message: bytes) -> Processed[Group]:
        """What the scenario says."""
        step = self.steps[int(message)]
        account, device = PEOPLE[step["who"]]
        identity = Identity(account_uri(HOST, account), device_uri(HOST, device)).encode()
        event = Application(
            sender=Member(leaf=1 + step["who"], identity=identity, signature_key=bytes(32)),
            epoch=1,
            authenticated_data=bytes.fromhex(step["aad"]),
            plaintext=bytes.fromhex(step["plaintext"]),
        )
        return Processed(event=event, state=group)


class _OpenWorld(World):
    def engine(self, authenticate: Any) -> MlsClient:
        real = super().engine(authenticate)
        made = _Opened.__new__(_Opened)
        made.__dict__.update(real.__dict__)
        return made


class Sdk:
    """The SDK's side of scenarios, one after another, in a direct room and a group that it has joined."""

    def __init__(self, places: dict[str, Scene]) -> None:
        self._places = places

    async def run(self, scenario: Scenario) -> Shown:
        """What it shows at each look, and what it read in each message."""
        place = self._places[scenario["kind"]]
        _Opened.steps = scenario["steps"]
        self._forget(place)
        looks: list[Any] = []
        work: list[int] = []
        for at, step in enumerate(scenario["steps"]):
            place.clock.now = step["now"]  # type: ignore[attr-defined]  # a StillClock
            sweep(place.client._need_vault(), step["now"])
            if step["do"] == "look":
                looks.append(self._look(place))
            else:
                before = _opens(place)
                await self._step(place, at, step)
                work.append(_opens(place) - before)
        plain = [bytes.fromhex(one["plaintext"]) for one in scenario["steps"] if "plaintext" in one]
        return {"looks": looks, "opened": [opened(one) for one in plain], "work": work}

    @staticmethod
    def _forget(place: Scene) -> None:
        vault, client = place.client._need_vault(), place.client
        with vault.transaction():
            for table in ("messages", "ids", "inbox"):
                for key in vault.keys(table):
                    vault.drop(table, key)
            for key in vault.keys("meta"):
                if key.split("/")[0] in ("thread", "held", "holds", "due", "evidence", "foreign"):
                    vault.drop("meta", key)
            vault.put("meta", f"thread/{ROOM}", Thread(pos=10))
        client.words.__init__(client, vault, ME, account_uri(HOST, ME))  # type: ignore[misc]  # nothing remembered
        client.words._controls = answers.Controls(requests="everyone", read_receipts=True, typing=True)

    async def _step(self, place: Scene, at: int, step: Step) -> None:
        client, body = place.client, str(at).encode()
        if step["do"] == "say":
            hub = step["hub"]
            frank = Frank(hub[0], hub[1], hub[2], bytes.fromhex(hub[3]), hub[4], bytes.fromhex(hub[5]))
            client._heard(Mail(1000 + at, MESSAGE, ROOM, step["pos"], body, frank))
        elif step["do"] == "whisper":
            client._heard(Ephemeral(ROOM, step["pos"], body))
        elif step["do"] == "read":
            await client.room(ROOM).mark_read()
        elif any(one.id == step["id"] and one.kind != "info" for one in client.history(ROOM, 10_000)):
            await client.room(ROOM).delete(step["id"], everyone=False)
        await place.settled()

    def _look(self, place: Scene) -> Any:
        client = place.client
        thread = place.state.thread()
        rows = [self._row(one) for one in client.history(ROOM, 10_000) if one.kind != "info"]
        lines = [one.text for one in client.history(ROOM, 10_000) if one.kind == "info"]
        return {
            "rows": rows,
            "timer": thread.timer_s,
            "head": [thread.pos, thread.seq, thread.at_ms, thread.head_seq],
            "reads": {who: seq for who, seq in sorted(thread.read_by.items()) if seq},
            "lines": len([one for one in lines if "tried to change" in one]),
        }

    @staticmethod
    def _row(one: Message) -> Any:
        quoted = one.quoted
        return {
            "id": one.id,
            "kind": one.kind,
            "text": one.text,
            "sender": one.sender,
            "mine": one.mine,
            "at": one.at_ms,
            "seq": one.seq,
            "edited": one.edited,
            "forwarded": one.forwarded,
            "gap": one.gap_before,
            "reactions": [[symbol, len(people), ME in people] for symbol, people in one.reactions.items()],
            "vanish": one.vanish_ms,
            "quote": None
            if one.reply_to is None
            else [
                quoted.text[:60] if quoted is not None and quoted.kind == "text" else "",
                quoted is not None and quoted.kind == "deleted",
                quoted is not None,
                quoted is not None and quoted.mine,
            ],
            "files": [_view(file._facts) for file in one.files],
            "versions": [version.text for version in one.versions()[:-1]] if one.edited and one.kind == "text" else [],
        }


def _view(one: Attached) -> Any:
    media = one.media
    length = 0 if one.sealed is None else one.sealed.size - 16 if media is None else media.length
    return [
        one.part,
        one.media_type,
        one.sealed is not None,
        length,
        media and media.width,
        media and media.height,
        media and media.thumbhash and brief(media.thumbhash),
        media and media.duration_ms,
        media and media.waveform and brief(media.waveform),
        one.poster and brief(one.poster.data),
    ]


@dataclass
class StillClock:
    """Says what the scenario says."""

    now: int = 0

    def __call__(self) -> int:
        """Unix milliseconds."""
        return self.now


@asynccontextmanager
async def sdk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sdk]:
    """The SDK's side."""
    places: dict[str, Scene] = {}
    async with AsyncExitStack() as stack:
        for kind in ("direct", "group"):
            (folder / kind).mkdir()
            place = await stack.enter_async_context(scene(folder / kind, monkeypatch, kind=kind))
            _still(place, kind)
            places[kind] = place
        monkeypatch.setattr(rooms, "_untagged", lambda body: _Opened.steps[int(body)]["aad"] == "")
        yield Sdk(places)


def _opens(place: Scene) -> int:
    """How many records were opened so far."""
    return place.client._need_vault().opens  # type: ignore[attr-defined, no-any-return]  # a _CountingVault


class _CountingVault(Vault):
    opens = 0

    def _opened(self, table: str, key: str, sealed: bytes, kind: Any) -> Any:
        self.opens += 1
        return super()._opened(table, key, sealed, kind)


def _still(place: Scene, kind: str) -> None:
    place.clock = StillClock(place.clock())  # type: ignore[assignment]  # as good a clock
    place.client.now = place.clock
    place.client._need_vault().__class__ = _CountingVault
    place.client._online = False  # nothing is sent: what is heard is the question
    place.server.accounts = [ME, THEM, THIRD] if kind == "group" else [ME, THEM]
    state = place.state
    state._believed = lambda _who, _key: True
    world = state.world
    state.world = _OpenWorld(**{one.name: getattr(world, one.name) for one in fields(world)})
    world.directory.hub_key = lambda _id: public_bytes(HUB)


# --- the web engine -------------------------------------------------------------------------------------------------


class Web:
    """The web engine's side, in one process of Node for all scenarios."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program

    def run(self, scenario: Scenario) -> Shown:
        """What it shows at each look, and what it read in each message."""
        into, out = _need(self._program.stdin), _need(self._program.stdout)
        into.write(json.dumps(scenario) + "\n")
        into.flush()
        line = out.readline()
        assert line, "the engine ended"
        answer: Shown = json.loads(line)
        return answer


def _need(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@contextmanager
def web() -> Iterator[Web]:
    """The web engine's side."""
    program = subprocess.Popen(["node", str(TWIN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Web(program)
    finally:
        _need(program.stdin).close()
        program.wait(timeout=30)
        _need(program.stdout).close()
