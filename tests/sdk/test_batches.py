"""One signature for many messages, end to end: every proof of a batch is believed, and no other made from it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from msgspec import structs

from journeys.harness import Server
from kith.protocol import franking
from kith.protocol.frames import Accepted, Mail, ServerFrame
from kith.protocol.franking import AnyProof, BatchProof, Proof, SingleProof
from kith.sdk import Client, Refused, Room
from kith.sdk.records import MessageRecord
from sdk.meeting import Meeting, eventually, introduce

WRITERS = 4
PATIENCE_S = 120.0


@dataclass
class Chats:
    """Zoe, who reads, and people who each have a chat with her: what writes at once, and what each device stored."""

    zoe: Client
    writers: list[Client]
    rooms: list[Room]
    texts: int = 0
    refused: list[str] = field(default_factory=list)

    async def write(self) -> None:
        """Everybody writes to her at once."""
        self.texts += 1
        done = await asyncio.gather(
            *(room.send(f"{self.texts} of {at}") for at, room in enumerate(self.rooms)), return_exceptions=True
        )
        for one in done:
            if isinstance(one, BaseException):
                assert isinstance(one, Refused), one
                self.refused.append(one.code)

    def written(self) -> dict[tuple[str, int], MessageRecord]:
        """What senders stored of their own, by place."""
        own = [
            (room.id, row)
            for client, room in zip(self.writers, self.rooms, strict=True)
            for row in rows(client, room.id)
        ]
        return {(room, row.pos): row for room, row in own if row.mine and row.frank is not None}

    def read(self) -> dict[tuple[str, int], MessageRecord]:
        """What the reader stored of others, by place."""
        return {(room.id, row.pos): row for room in self.rooms for row in rows(self.zoe, room.id) if not row.mine}

    async def until_read(self) -> None:
        """She has everything that was written."""

        async def look() -> bool | None:
            return True if set(self.written()) <= set(self.read()) else None

        await eventually(look, "everything to be read", PATIENCE_S)


def rows(client: Client, room: str) -> list[MessageRecord]:
    """A thread as it is stored on that device."""
    return [row for _, row in client._need_vault().scan("messages", f"{room}/", MessageRecord)]


def proof_of(row: MessageRecord) -> AnyProof:
    """The proof that a device keeps with a message."""
    assert row.frank is not None
    return Proof.decode(row.frank.proof)


def is_batched(row: MessageRecord) -> bool:
    """Whether it shares its signature with another message."""
    return row.frank is not None and isinstance(proof := proof_of(row), BatchProof) and proof.batch_size > 1


def batched(found: dict[tuple[str, int], MessageRecord]) -> list[MessageRecord]:
    """Those that share a signature with another message."""
    return [row for row in found.values() if is_batched(row)]


def holds(client: Client, row: MessageRecord) -> bool:
    """Judged here again, with the pinned key of the server and nothing that the client concluded."""
    assert row.frank is not None
    context = franking.Context.decode(row.frank.context)
    key = client._need_world().directory.hub_key(context.hub_key_id)
    assert key is not None
    return franking.verify_proof(key, franking.integrity_tbs(row.frank.server_frank, context), proof_of(row))


@contextlib.asynccontextmanager
async def chatting(meeting: Meeting) -> AsyncIterator[Chats]:
    """Everybody on line, and one message read in every chat."""
    async with contextlib.AsyncExitStack() as stack:
        zoe = await stack.enter_async_context(meeting.client("zoe"))
        await meeting.join(zoe, "zoe")
        chats = Chats(zoe, [], [])
        for at in range(WRITERS):
            writer = await stack.enter_async_context(meeting.client(f"w{at}"))
            await meeting.join(writer, f"writer{at}")
            chats.writers.append(writer)
            chats.rooms.append((await introduce(writer, zoe))[0])
        yield chats


def test_proofs_of_batches_are_believed_live_after_a_reconnect_and_in_reports(meeting: Meeting, server: Server) -> None:
    """Both ends keep the same bytes; what waited over a restart has its path made again; a report of it is FULL."""

    async def story() -> None:
        async with chatting(meeting) as chats:
            async with asyncio.timeout(PATIENCE_S):
                while not batched(chats.written()):
                    await chats.write()
            await chats.until_read()
            agree(chats)
            assert batched(chats.read())
            before = set(chats.written())
            await chats.zoe.__aexit__(None, None, None)
            async with asyncio.timeout(PATIENCE_S):
                while not batched({at: row for at, row in chats.written().items() if at not in before}):
                    await chats.write()
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            async with meeting.client("zoe") as back:
                chats.zoe = back
                await chats.until_read()
                agree(chats)
                assert batched({at: row for at, row in chats.read().items() if at not in before})
                await report(chats)
            assert chats.refused == []

    asyncio.run(story())


def agree(chats: Chats) -> None:
    """Every message that was written was read, with the proof that its sender has, and that proof holds."""
    written, read = chats.written(), chats.read()
    for place, mine in written.items():
        theirs = read[place]
        assert (theirs.kind, theirs.text) == ("text", mine.text)
        assert (theirs.frank, theirs.content) == (mine.frank, mine.content)
        assert holds(chats.zoe, theirs)


async def report(chats: Chats) -> None:
    """Proofs of both kinds in one report are all verified; with the path of another message one of them is not."""
    room = next(room for room in chats.rooms if is_batched(rows(chats.zoe, room.id)[-1]))
    vault = chats.zoe._need_vault()
    stored = [(key, row) for key, row in vault.scan("messages", f"{room.id}/", MessageRecord) if row.frank is not None]
    assert {type(proof_of(row)) for _, row in stored} == {SingleProof, BatchProof}
    assert (await chats.zoe.room(room.id).report("scam")).kind == "FULL"
    key, row = stored[-1]
    proof = proof_of(row)
    assert row.frank is not None
    assert isinstance(proof, BatchProof)
    moved = replace(proof, leaf_index=(proof.leaf_index + 1) % proof.batch_size)
    with vault.transaction():
        vault.put("messages", key, structs.replace(row, frank=structs.replace(row.frank, proof=moved.encode())))
    assert (await chats.zoe.room(room.id).report("scam")).kind == "PARTIAL"


def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


Tamper = Callable[[BatchProof], AnyProof]
TAMPERED: dict[str, Tamper] = {
    "path": lambda p: replace(p, path=(_flip(p.path[0]), *p.path[1:])),
    "longer path": lambda p: replace(p, path=(*p.path, p.path[0])),
    "shorter path": lambda p: replace(p, path=p.path[:-1]),
    "leaf index": lambda p: replace(p, leaf_index=(p.leaf_index + 1) % p.batch_size),
    "size": lambda p: replace(p, batch_size=p.batch_size + 1),
    "root": lambda p: replace(p, path=(*p.path[:-1], _flip(p.path[-1]))),
    "signature": lambda p: replace(p, signature=_flip(p.signature)),
    "kind": lambda p: SingleProof(p.signature),
}


class Liar:
    """Between a device and the server: changes the first proof of a batch that comes by, when told how."""

    def __init__(self, whom: Client) -> None:
        self.whom = whom
        self.tamper: Tamper | None = None
        self.told: list[int] = []
        """Positions of the messages about which it lied."""

    def __call__(self, frame: ServerFrame) -> ServerFrame:
        """The frame as the device shall see it."""
        if isinstance(frame, Accepted) and frame.proof is not None:
            return structs.replace(frame, proof=self._changed(frame.room_pos, frame.proof))
        if isinstance(frame, Mail) and frame.frank is not None:
            proof = self._changed(frame.room_pos, frame.frank.proof)
            return structs.replace(frame, frank=structs.replace(frame.frank, proof=proof))
        return frame

    def _changed(self, position: int, encoded: bytes) -> bytes:
        proof = Proof.decode(encoded)
        if self.tamper is None or not isinstance(proof, BatchProof):
            return encoded
        tampered, self.tamper = self.tamper(proof).encode(), None
        self.told.append(position)
        return tampered


@pytest.fixture
def lied_to(monkeypatch: pytest.MonkeyPatch) -> list[Liar]:
    """Clients named here hear the server through a liar."""
    liars: list[Liar] = []
    honest = Client._heard

    def heard(self: Client, frame: Any) -> None:
        for liar in liars:
            if liar.whom is self:
                frame = liar(frame)
        honest(self, frame)

    monkeypatch.setattr(Client, "_heard", heard)
    return liars


def test_a_tampered_proof_of_a_batch_is_neither_shown_nor_taken_for_sent(meeting: Meeting, lied_to: list[Liar]) -> None:
    """For the reader a tombstone, for the sender unconfirmed, whichever part was changed; unchanged it is believed."""

    async def story() -> None:
        async with chatting(meeting) as chats:
            reader, sender = Liar(chats.zoe), Liar(chats.writers[0])
            lied_to.extend((reader, sender))
            await one_lie(chats, reader, sender, lambda proof: proof)
            assert (buried(chats), chats.refused) == ([], [])
            reader.told.clear()
            for told, tamper in enumerate(TAMPERED.values(), start=1):
                await one_lie(chats, reader, sender, tamper)

                async def look(count: int = told) -> bool | None:
                    return True if len(buried(chats)) == count else None

                await eventually(look, "a tombstone", PATIENCE_S)
                assert buried(chats) == sorted(reader.told)
                assert chats.refused == ["unconfirmed"] * told
            assert all(holds(chats.zoe, row) for row in chats.read().values() if row.frank is not None)

    asyncio.run(story())


async def one_lie(chats: Chats, reader: Liar, sender: Liar, tamper: Tamper) -> None:
    """Each is lied to about one message of a batch, and everything else arrives."""
    reader.tamper = sender.tamper = tamper
    async with asyncio.timeout(PATIENCE_S):
        while reader.tamper is not None or sender.tamper is not None:
            await chats.write()
    await chats.until_read()


def buried(chats: Chats) -> list[int]:
    """Positions of what the reader could not verify."""
    return sorted(row.pos for row in chats.read().values() if row.kind == "tombstone")
