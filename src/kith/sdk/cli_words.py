"""`kith client read|edit|delete|react|forward|timer|search`: what a person does with messages besides sending them."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kith.sdk.cli import (
    DEFAULT_STORE,
    Handle,
    Sentence,
    Store,
    app,
    command,
    console,
    line_of,
    message_json,
    names_of,
    problems,
    signed_in,
)

if TYPE_CHECKING:
    from kith.sdk.chat import Message, Room

REACH: Final = 2_000
"""Messages among which one is looked for by the beginning of its id."""
TIMES: Final = {"off": 0, "5m": 300, "1h": 3600, "1d": 86400, "1w": 604800, "4w": 2419200}

Which = Annotated[
    str, typer.Option("--message", help="the beginning of its id, as `read` shows it; left out: the newest")
]


def _which(room: "Room", begins: str, fits: "Callable[[Message], bool]") -> "Message":
    """The newest message that fits, or the one with this beginning of an id."""
    if begins:
        found = [one for one in room.history(REACH) if short(one).startswith(begins) or one.id.startswith(begins)]
        if len(found) > 1:
            raise Sentence("Several messages begin like that. Give more of the id.")
    else:
        found = [one for one in room.history(200) if one.kind in ("text", "unsupported") and fits(one)][-1:]
    if not found:
        raise Sentence("There is no such message on this device. `kith client read` lists them.")
    return found[0]


def short(message: "Message") -> str:
    """Enough of an id to tell the messages of a chat apart; the first byte is the same in all."""
    return message.id[2:10]


def _mine(message: "Message") -> bool:
    return message.mine


def _theirs(message: "Message") -> bool:
    return not message.mine


def _any(_message: "Message") -> bool:
    return True


@app.command()
@command
async def read(
    handle: Handle,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="so many of the newest")] = 20,
    quiet: Annotated[bool, typer.Option("--quiet", help="do not count them as read")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Show a chat with the ids that other commands take, and count it as read."""
    async with signed_in(store) as client:
        room, names = await client.room_with(handle), names_of(client)
        first = room.kept.unread.first
        for one in room.history(limit):
            if one.id == first:
                problems.print("Not read yet:", style="dim")
            console.print(f"[dim]{short(one)}[/dim] " + await line_of(names, one), soft_wrap=True)
        if not quiet:
            await client.connected()
            await room.mark_read()


@app.command()
@command
async def edit(
    handle: Handle,
    text: Annotated[str, typer.Argument(help="the new words")],
    message: Which = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Change a message of mine, for everybody; within a day, ten times at most. The earlier words stay to be seen."""
    async with signed_in(store) as client:
        await _which(await client.room_with(handle), message, _mine).edit(text)


@app.command()
@command
async def delete(
    handle: Handle,
    message: Which = "",
    for_me: Annotated[bool, typer.Option("--for-me", help="on this device only, whoever wrote it")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Take a message of mine back from everybody, within a day. It may have been seen, and can be reported a while."""
    async with signed_in(store) as client:
        found = _which(await client.room_with(handle), message, _any if for_me else _mine)
        await found.delete(everyone=not for_me)


@app.command()
@command
async def react(
    handle: Handle,
    emoji: Annotated[str, typer.Argument(help="one emoji, or none to take mine back")],
    message: Which = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Have this one reaction to a message; without --message to the newest of theirs."""
    async with signed_in(store) as client:
        room = await client.room_with(handle)
        found = _which(room, message, _theirs)
        await room.react(found.id, None if emoji == "none" else emoji)


@app.command()
@command
async def forward(
    handle: Handle,
    to: Annotated[list[str], typer.Argument(help="handles; at most five, or one for what has travelled far")],
    message: Which = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Pass a message on. Its first sender is not named; how often it was passed on is."""
    async with signed_in(store) as client:
        found = _which(await client.room_with(handle), message, _any)
        await found.forward(*[await client.room_with(one) for one in to])


@app.command()
@command
async def timer(
    handle: Handle,
    time: Annotated[str, typer.Argument(help="off, 5m, 1h, 1d, 1w or 4w; left out: how it is")] = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Let messages in a chat disappear after they are read. The other side may keep copies all the same."""
    async with signed_in(store) as client:
        room = await client.room_with(handle)
        if time:
            if time not in TIMES:
                raise Sentence(f"The time is one of: {', '.join(TIMES)}.")
            await room.set_timer(TIMES[time])
        console.print(next((name for name, seconds in TIMES.items() if seconds == room.timer_s), "off"))


@app.command()
@command
async def search(
    words: Annotated[list[str], typer.Argument(help="all of these, in any order")],
    chat_with: Annotated[str, typer.Option("--with", help="only the chat with this handle")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    in_json: Annotated[bool, typer.Option("--json", help="one JSON object per line")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Look for messages on this device; nothing leaves it."""
    async with signed_in(store) as client:
        room, names = await client.room_with(chat_with) if chat_with else None, names_of(client)
        found = client.search(" ".join(words), room=room, limit=limit)
        for one in found:
            if in_json:
                sys.stdout.write(json.dumps(await message_json(names, one), ensure_ascii=False) + "\n")
            else:
                console.print(await line_of(names, one, dated=True), soft_wrap=True)
        if not found:
            problems.print("Nothing found on this device.")
