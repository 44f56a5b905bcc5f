"""`kith client send-file|save`: files of messages."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kith.sdk.cli import DEFAULT_STORE, Handle, Sentence, Store, app, command, console, printable, problems, signed_in

if TYPE_CHECKING:
    from kith.sdk.transfer import Progress

SEARCHED: Final = 500
"""Messages among which `save` looks for one with files."""


@app.command(name="send-file")
@command
async def send_file(
    handle: Handle,
    files: Annotated[list[Path], typer.Argument(help="up to ten files; they come in one message")],
    caption: Annotated[str, typer.Option(help="words beside them")] = "",
    *,
    as_is: Annotated[bool, typer.Option("--as-is", help="as they are, with the place if they say it")] = False,
    voice: Annotated[bool, typer.Option("--voice", help="a sound as a voice note")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Send files. What breaks off is kept: the same command with no change of the files goes on where it stopped."""
    from kith.sdk.sending import FileToSend  # noqa: PLC0415 - other commands need not wait for it

    async with signed_in(store) as client:
        room = await client.room_with(handle)
        paths = [str(path.absolute()) for path in files]
        begun = next((one for one in room.uploads() if list(one.paths) == paths and one.caption == caption), None)
        with _progress() as told:
            if begun is not None:
                await begun.resume(told)
            else:
                chosen = [FileToSend(source=path, as_is=as_is, voice=voice) for path in files]
                await room.send_files(chosen, caption=caption, progress=told)


@app.command()
@command
async def save(
    handle: Handle,
    to: Annotated[Path, typer.Option("--to", help="a folder, or the name of the file")] = Path(),
    message: Annotated[str, typer.Option("--message", help="its id; the newest with files if left out")] = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Save the files of a message. Only what was verified is there afterwards; nothing is overwritten."""
    async with signed_in(store) as client:
        room = await client.room_with(handle)
        with_files = [one for one in room.history(SEARCHED) if one.files and one.id.startswith(message)]
        if not with_files:
            raise Sentence("There is no message with files on this device. Run: kith client listen, then try again.")
        for file in with_files[-1].files:
            with _progress() as told:
                try:
                    saved = await file.save(to, progress=told)
                except FileExistsError as error:
                    raise Sentence(str(error)) from None
            console.print(printable(str(saved)), soft_wrap=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[["Progress"], None] | None]:
    """A bar at a terminal, nothing in a pipe."""
    from rich.progress import Progress as Bar  # noqa: PLC0415 - for these commands alone

    if not sys.stderr.isatty():
        yield None
        return
    with Bar(console=problems, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda now: bar.update(task, completed=now.done, total=now.total)
