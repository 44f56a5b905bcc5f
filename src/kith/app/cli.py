"""`kith …`: set a server up, run it, explain decisions, check the audit log."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from kith import __version__
from kith.sdk.cli import app as client_app
from kith.sdk.cli import transparency_app

app = typer.Typer(
    name="kith",
    help="A private messenger that people host themselves. Start with: kith init, then kith serve.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
audit_app = typer.Typer(help="The staff log: who read what, and proof that nothing was altered.", no_args_is_help=True)
staff_app = typer.Typer(help="Staff accounts for the console.", no_args_is_help=True)
web_app = typer.Typer(help="The people's client.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
app.add_typer(staff_app, name="staff")
app.add_typer(web_app, name="web")
app.add_typer(client_app, name="client")
app.add_typer(transparency_app, name="transparency")

Data = Annotated[Path, typer.Option("--data", envvar="KITH_DATA_DIR", help="the server's folder")]
DEFAULT = Path("var/kith")


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@app.command()
def init(
    name: Annotated[str, typer.Option(help="the server's name, part of every address; it may never change")],
    origin: Annotated[str, typer.Option(help="where browsers find the client, e.g. https://kith.example")],
    staff_origin: Annotated[str, typer.Option(help="where staff find the console; a host of its own")],
    data: Data = DEFAULT,
) -> None:
    """Make a new server: its folder, settings, keys and database."""
    from kith.app import setting_up

    setting_up.create(data, name=name, origin=origin, staff_origin=staff_origin)
    print(
        f"Made {data}. Read {data / 'kith.toml'}, add staff with `kith staff add`, then run: kith serve --data {data}"
    )


def _run(work: Coroutine[Any, Any, None]) -> None:
    """On uvloop, where there is one: it halves what a socket costs."""
    try:
        import uvloop
    except ImportError:  # not on Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


@app.command()
def serve(data: Data = DEFAULT) -> None:
    """Run the server until Ctrl-C."""
    from kith.app.serving import run_server

    _run(run_server(data))


@app.command()
def backup(
    dest: Annotated[Path, typer.Argument(help="a folder that does not exist yet; it appears when it is complete")],
    data: Data = DEFAULT,
) -> None:
    """Copy database and settings, consistent and checked, also while the server runs. The keys are not in it."""
    from kith.app.backup import make

    print(make(data, dest))


@app.command()
def restore(
    src: Annotated[Path, typer.Argument(help="a folder that `kith backup` made")],
    data: Data = DEFAULT,
    replace: Annotated[bool, typer.Option("--replace", help="put the present database aside and use this one")] = False,
) -> None:
    """Put a backup back while the server is stopped; the folder `keys` must be there already, from your own copy."""
    from kith.app.restore import put_back

    print(put_back(src, data, replace=replace))


@app.command()
def attachments(
    data: Data = DEFAULT,
    whole: Annotated[bool, typer.Option("--whole", help="read every byte against its checksum; takes a while")] = False,
) -> None:
    """List attachments that the database names and the storage lost; exit 1 if there are any."""
    from kith.app.attachments import report

    sentences, all_there = report(data, whole=whole)
    print(sentences)
    raise typer.Exit(0 if all_there else 1)


@app.command()
def demo(
    data: Data = Path("var/demo"),
    port: Annotated[
        int, typer.Option(help="the people's client; staff and the practice tipline use the next two")
    ] = 8000,
) -> None:
    """Open the real product with a small town of synthetic people."""
    from kith.app.demo.opening import run_demo

    run_demo(data, port)


@app.command()
def why(identifier: Annotated[str, typer.Argument(metavar="ID")], data: Data = DEFAULT) -> None:
    """Explain a decision, account, report, request, case or measure: rule, facts, outcome, and the events behind it."""
    from kith.app.why import explain

    folder = data if (data / "kith.db").exists() or data != DEFAULT else Path("var/demo")
    print(explain(folder, identifier))


@app.command()
def docs(check: Annotated[bool, typer.Option("--check", help="fail if the pages are not current")] = False) -> None:
    """Write docs/data.md, docs/rules.md and docs/limits.md from the code."""
    from kith.app.pages import write_pages

    stale = write_pages(check=check)
    if stale:
        raise _Stop(f"Not current: {', '.join(stale)}. Run `make docs` and commit the result.")


@app.command()
def shell(data: Data = Path("var/demo")) -> None:
    """A Python prompt with the server's world loaded, read-only."""
    from kith.app.looking import prompt

    prompt(data)


@app.command("rotate-signing-key")
def rotate_signing_key(data: Data = DEFAULT) -> None:
    """Begin a new hub signing key, appointed by the old one; a running server takes it up within a minute."""
    from kith.app.keys import Keys
    from kith.ledger.database import wall_clock

    Keys(data / "keys").rotate_signer(wall_clock())
    print(
        "Made a new signing key; clients see that the old one appointed it. A running server takes it up within a "
        "minute, no restart is needed. Now copy the keys folder to your safe place again."
    )


@audit_app.command("verify")
def audit_verify(
    data: Data = DEFAULT,
    head: Annotated[str, typer.Option(help="a head kept elsewhere, SEQ:HASH; shows cuts and forks")] = "",
) -> None:
    """Recompute the whole chain; exit 1 and name the place if anything was altered."""
    from kith.app.looking import verify_audit

    sentence, intact = verify_audit(data, head)
    print(sentence)
    raise typer.Exit(0 if intact else 1)


@audit_app.command("head")
def audit_head(data: Data = DEFAULT) -> None:
    """Print the newest head; keep it somewhere else."""
    from kith.app.looking import audit_head as head_of

    print(head_of(data))


@staff_app.command("add")
def staff_add(
    name: str,
    role: Annotated[list[str], typer.Option(help="reviewer, child-safety, admin; may be given twice")],
    data: Data = DEFAULT,
) -> None:
    """Add a staff account; asks for a password."""
    from kith.app.setting_up import add_staff

    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    add_staff(data, name, tuple(role), password)
    print(f"{name} can sign in at the staff console.")


@web_app.command("build")
def web_build() -> None:
    """Build the people's client into web/dist."""
    from kith.app.web import main as build

    raise typer.Exit(build(["build"]))


class _Stop(Exception):  # noqa: N818  a sentence for the terminal
    """Ends the program with a sentence."""


def main() -> None:
    """Run a command; what a person can mend is one sentence, never a traceback."""
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        os._exit(130)
    except Exception as error:
        _end_with_a_sentence(error)
        raise


def _end_with_a_sentence(error: Exception) -> None:
    """End the program if this is something that a person can mend.

    What it needs is imported here: `kith client` has nothing to do with a database, and starts a second sooner.
    """
    from kith.app.backup import BackupError
    from kith.app.files import OccupiedError
    from kith.app.keys import KeyFileError
    from kith.app.settings import SettingsError
    from kith.app.web import WebError
    from kith.ledger.failstop import EXIT_STORAGE, StorageError

    if isinstance(error, StorageError):
        sys.stderr.write(f"kith: {error}\n")
        sys.exit(EXIT_STORAGE)
    if isinstance(error, (_Stop, BackupError, KeyFileError, OccupiedError, SettingsError, WebError)):
        sys.exit(f"kith: {error}")
    if isinstance(error, OSError):
        sys.exit(f"kith: {_os_sentence(error)}")


def _os_sentence(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "The port is in use. Stop what uses it, or choose another (kith demo --port 8100; `port` in kith.toml)."
    if error.errno == errno.ENOSPC:
        return "The disk is full. Free some space and start again; nothing confirmed was lost."
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"No permission for {error.filename}. Choose another folder with --data, or mend its owner."
    return str(error)
