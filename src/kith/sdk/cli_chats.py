"""`kith client chats|pin|mute|archive|draft|delete-chat`: how chats are kept on this device."""

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from kith.sdk.cli import (
    DEFAULT_STORE,
    WAIT_S,
    WAITS,
    Handle,
    Sentence,
    Store,
    app,
    command,
    console,
    printable,
    problems,
    sent_within,
    signed_in,
)
from kith.sdk.errors import Unreachable

if TYPE_CHECKING:
    from kith.sdk.keeping import ChatState

Undo = Annotated[bool, typer.Option("--undo", help="take it back")]
DELETES: Final = "Messages with {} are deleted on this device. Go on?"
STILL_REPORTABLE: Final = "Deleted here. The last messages can still be reported for 30 days: kith client report {}"


@app.command()
@command
async def chats(
    unread: Annotated[bool, typer.Option("--unread", help="only those with something unread")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Everybody I can write with: pinned chats first, then by their newest message, archived ones last."""
    async with signed_in(store) as client:
        kept = [(one, client.room(one.room).kept) for one in await client.chats()]
        for one, state in sorted(kept, key=lambda both: _order(both[1])):
            if state.unread.count or not unread:
                marks = _marks(state) + (["restricted"] if client.words.restricts(one.account) else [])
                line = [one.handle, escape(one.display_name), ", ".join(marks)]
                console.print("\t".join(filter(None, line)), soft_wrap=True)


def _order(state: "ChatState") -> tuple[bool, bool, int]:
    return state.archived, not state.pinned, -state.at_ms


def _marks(state: "ChatState") -> list[str]:
    marks = [f"{state.unread.count} unread"] if state.unread.count else []
    flags = {"pinned": state.pinned, "muted": state.muted, "archived": state.archived, "draft": bool(state.draft)}
    return marks + [name for name, holds in flags.items() if holds]


@app.command()
@command
async def pin(handle: Handle, undo: Undo = False, store: Store = DEFAULT_STORE) -> None:
    """Keep a chat on top of the list, on this device; five at most."""
    async with signed_in(store) as client:
        await (await client.room_with(handle)).keep(pinned=not undo)


@app.command()
@command
async def mute(handle: Handle, undo: Undo = False, store: Store = DEFAULT_STORE) -> None:
    """Let a chat come without notice, on this device. The other side is not told."""
    async with signed_in(store) as client:
        await (await client.room_with(handle)).keep(muted=not undo)


@app.command()
@command
async def archive(handle: Handle, undo: Undo = False, store: Store = DEFAULT_STORE) -> None:
    """Put a chat away on this device. It comes back with the next message, unless it is muted."""
    async with signed_in(store) as client:
        await (await client.room_with(handle)).keep(archived=not undo)


@app.command()
@command
async def draft(
    handle: Handle,
    text: Annotated[str, typer.Argument(help="what is half written; left out: show it")] = "",
    send: Annotated[bool, typer.Option("--send", help="send it, and forget it here")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="forget it")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Keep what is half written, encrypted on this device, until it is sent."""
    async with signed_in(store) as client:
        room = await client.room_with(handle)
        if text or clear:
            room.set_draft(text)
        if not send:
            console.print(printable(room.kept.draft), soft_wrap=True, end="\n" if room.kept.draft else "")
            return
        if not room.kept.draft:
            raise Sentence("There is no draft for this chat.")
        there = await sent_within(WAIT_S, room, room.kept.draft)
        room.set_draft("")
        if not there:
            raise Unreachable(WAITS)


@app.command("delete-chat")
@command
async def delete_chat(handle: Handle, store: Store = DEFAULT_STORE) -> None:
    """Delete every message of a chat on this device only. The last 30 can still be reported, for 30 days."""
    async with signed_in(store) as client:
        room = await client.room_with(handle)
        if sys.stdin.isatty():
            typer.confirm(DELETES.format(handle), abort=True)
        await room.delete_thread()
        problems.print(STILL_REPORTABLE.format(handle), soft_wrap=True)
