"""`kith client …`: sign in, chat in the terminal, send from a pipe, export my data. A small program on the SDK."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, ParamSpec

import typer
from rich.console import Console
from rich.markup import escape

from kith.sdk.errors import KithError, Limited, NotSignedIn, StoreError, Unreachable, Unverified

if TYPE_CHECKING:
    from kith.sdk.answers import Measure
    from kith.sdk.chat import Category, Message, Room
    from kith.sdk.client import Accepts, Client
    from kith.sdk.files import File

P = ParamSpec("P")

app = typer.Typer(
    help="A client for the terminal. Start with: kith client sign-up, or kith client sign-in.", no_args_is_help=True
)
console = Console(highlight=False)
problems = Console(stderr=True, highlight=False)

Store = Annotated[
    Path, typer.Option("--store", envvar="KITH_STORE", help="this device's encrypted store", show_default=True)
]
Server = Annotated[str, typer.Argument(help="the server's address, like https://kith.example")]
Handle = Annotated[str, typer.Argument(help="a handle, like ann.lake")]
DEFAULT_STORE: Final = Path.home() / ".kith" / "client.kith"
EX_TEMPFAIL: Final = 75
"""sysexits.h: try again later."""
MAX_PIPE: Final = 10_000
"""Characters read from a pipe for one message."""
WAIT_S: Final = 30.0
"""How long a command waits for the server to take a message."""
WAITS: Final = "It waits in the outbox and leaves with the next connection."
CODE_WARNING: Final = (
    "Write this recovery code down now. It is shown once and stored nowhere; without it, losing this device means "
    "starting over."
)


class Sentence(KithError):  # noqa: N818 - what is said to the person
    """What was asked for cannot be done."""


def _asked(variable: str, question: str, *, confirm: bool = False) -> str:
    """A secret from the environment, else typed unseen; never an argument, which other programs could read."""
    if (given := os.environ.get(variable)) is not None:
        return given
    if not sys.stdin.isatty():
        raise Sentence(f"There is no terminal to ask for it: set {variable}.")
    return _prompted(question, hide_input=True, confirmation_prompt=confirm)


def _prompted(question: str, **how: Any) -> str:  # noqa: ANN401 - handed on
    """Ask at the terminal. Ctrl-C ends it at once: the event loop would only note it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer: str = typer.prompt(question, **how)
    finally:
        signal.signal(signal.SIGINT, before)
    return answer


def _client(store: Path) -> "Client":
    from kith.sdk.client import Client  # noqa: PLC0415 - other `kith` commands need not wait for it

    new = not store.exists()
    question = "New passphrase for the store on this device" if new else "Passphrase of the store"
    return Client(store, _asked("KITH_PASSPHRASE", question, confirm=new))


@contextlib.asynccontextmanager
async def signed_in(store: Path, *, settled: bool = True) -> AsyncIterator["Client"]:
    """The client of this store, connected or about to be; a sentence when nobody is signed in here."""
    if not os.path.exists(store):  # noqa: ASYNC240, PTH110 - one look, before anything else runs
        raise NotSignedIn(f"There is no store at {store}. Start with: kith client sign-in SERVER HANDLE")
    async with _client(store) as client:
        if not client.signed_in:
            raise NotSignedIn("Nobody is signed in here. Start with: kith client sign-in SERVER HANDLE")
        if settled and not client.ready:  # signing in was interrupted
            made = await client.finish(os.environ.get("KITH_RECOVERY_CODE"))
            if made is not None:
                _show_code(made)
        for _, sentence in client.alarms():
            problems.print(f"Look at this first: {sentence} (kith client warnings)", style="red", soft_wrap=True)
        yield client


def command(work: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run it; what a person can mend is one sentence and exit code 1, a pause of the network 75 (EX_TEMPFAIL)."""

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            asyncio.run(work(*args, **kwargs))
        except KithError as error:
            problems.print(f"kith: {escape(str(error))}", style="red", soft_wrap=True)
            raise typer.Exit(EX_TEMPFAIL if isinstance(error, Unreachable) else 1) from None
        except KeyboardInterrupt:
            problems.print()
            raise typer.Exit(130) from None

    return run


def _show_code(code: str) -> None:
    problems.print(CODE_WARNING, style="yellow")
    console.print(code, style="bold", soft_wrap=True)


def _show_device_code(code: str, _until_ms: int) -> None:
    problems.print("On a device where you are signed in: Settings, Devices, Add a device; or: kith client approve CODE")
    problems.print("Messages from before do not come along: the chats here start empty. Waiting …")
    console.print(code, style="bold", soft_wrap=True)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Sentence("That is not such a code.") from None


# --- this device ------------------------------------------------------------------------------------------------------


@app.command("sign-up")
@command
async def sign_up(
    server: Server,
    handle: Handle,
    name: Annotated[str, typer.Option(help="the name that others see; the handle if left out")] = "",
    born: Annotated[str, typer.Option(help="YYYY-MM; asked if left out; the server keeps only an age band")] = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Make an account, with this as its first device. Prints the recovery code, once."""
    async with _client(store) as client:
        if client.signed_in:
            raise Sentence(f"{client.handle} is signed in here. Sign out first, or name another --store.")
        month = _month(born or _prompted("Month of birth (YYYY-MM)"))
        password = _asked("KITH_PASSWORD", "New password for the account", confirm=True)
        code = await client.sign_up(server, handle=handle, password=password, born=month, display_name=name or None)
        _show_code(code)
        problems.print(f"You are {client.handle}. Ask somebody: kith client ask HANDLE")


@app.command("sign-in")
@command
async def sign_in(
    server: Server,
    handle: Handle,
    store: Store = DEFAULT_STORE,
    with_code: Annotated[bool, typer.Option("--code", help="ask for the recovery code: not the first device")] = False,
    by_approval: Annotated[bool, typer.Option("--approve", help="show a code to approve on another device")] = False,
) -> None:
    """Sign in on this device. A further one needs the recovery code (--code, or KITH_RECOVERY_CODE) or --approve."""
    async with _client(store) as client:
        if client.signed_in:
            raise Sentence(f"{client.handle} is signed in here. Sign out first, or name another --store.")
        password = _asked("KITH_PASSWORD", "Password")
        wants = with_code or "KITH_RECOVERY_CODE" in os.environ
        code = _asked("KITH_RECOVERY_CODE", "Recovery code") if wants else None
        show = _show_device_code if by_approval and code is None else None
        made = await client.sign_in(server, handle, password, recovery_code=code, show_code=show)
        if made is not None:
            _show_code(made)
        problems.print(f"You are signed in as {client.handle}.")


@app.command("sign-out")
@command
async def sign_out(store: Store = DEFAULT_STORE) -> None:
    """End the session and delete everything that is stored here."""
    async with signed_in(store, settled=False) as client:
        if sys.stdin.isatty():
            typer.confirm("Messages on this device are deleted. Go on?", abort=True)
        await client.sign_out()
        problems.print("Signed out. Nothing is left on this device.")


@app.command("whoami")
@command
async def whoami(store: Store = DEFAULT_STORE) -> None:
    """Who is signed in here, and how the account stands."""
    async with signed_in(store) as client:
        me = await client.me()
        console.print(f"{printable(me.display_name)} ({me.handle}) at {me.server_name}")
        for one in me.protections:
            console.print(f"  {escape(one.text)}", soft_wrap=True)
        if me.standing.measures:
            console.print("Something limits this account. Read what and why: kith client standing", style="yellow")


@app.command()
@command
async def devices(
    remove: Annotated[str, typer.Option(help="sign out the device with this id")] = "", store: Store = DEFAULT_STORE
) -> None:
    """Where this account is signed in; sign out a device that is lost or not yours."""
    async with signed_in(store) as client:
        if remove:
            await client.remove_device(remove)
            problems.print("Signed out. It can read nothing that is written from now on.")
            return
        for one in await client.devices():
            here = "  (this device)" if one.current else f"  last seen {_when(one.last_seen_ms)}"
            console.print(f"{one.id}\t{printable(one.name)}{here}", soft_wrap=True)


@app.command()
@command
async def approve(
    code: Annotated[str, typer.Argument(help="the code on the new device's screen")], store: Store = DEFAULT_STORE
) -> None:
    """Let a new device of yours in. Only one that you hold in your hands: it can read and write as you."""
    async with signed_in(store) as client:
        name = await client.approve(code)
        problems.print(f"{printable(name)} is let in. Its chats start empty: older messages stay on this device.")


@app.command()
@command
async def safety(
    handle: Handle,
    scanned: Annotated[str, typer.Option(help="what the other's code holds (base64): compare it with mine")] = "",
    verified: Annotated[
        bool | None, typer.Option("--verified/--not-verified", help="keep here that you compared the numbers")
    ] = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """The safety number with somebody: read it to each other. Equal numbers mean that nobody stands between you."""
    async with signed_in(store) as client:
        account = (await client.room_with(handle)).account
        number = await client.safety_number(account)
        if scanned:
            if not await client.matches(account, _from_base64(scanned)):
                raise Sentence("The codes do not match. Do not trust this chat: ask them another way.")
            problems.print("The codes match.", style="green")
        if verified is not None:
            await client.mark_verified(account, verified=verified)
            number = await client.safety_number(account)
        for at in range(0, len(number.groups), 4):
            console.print(" ".join(number.groups[at : at + 4]), style="bold")
        problems.print(f"Code: {base64.b64encode(number.code).decode()}", style="dim", soft_wrap=True)
        if number.verified_ms is not None:
            problems.print(f"You compared it on {_when(number.verified_ms)}.", style="green")


@app.command()
@command
async def warnings(
    seen: Annotated[bool, typer.Option("--seen", help="put them away")] = False, store: Store = DEFAULT_STORE
) -> None:
    """What the server's key log showed that should not be, or that needs a look."""
    async with signed_in(store) as client:
        await client.check_keys()
        for name, sentence in client.alarms():
            console.print(sentence, soft_wrap=True)
            if seen:
                client.put_away(name)
        if not client.alarms():
            problems.print("Nothing (more) to warn of.")


@app.command()
@command
async def controls(
    requests_from: Annotated[str, typer.Option("--requests", help="who may send requests: everyone or nobody")] = "",
    name: Annotated[str, typer.Option(help="the name that others see")] = "",
    receipts: Annotated[
        bool | None, typer.Option("--receipts/--no-receipts", help="others see what I read, and I see it of them")
    ] = None,
    typing: Annotated[
        bool | None, typer.Option("--typing/--no-typing", help="others see that I write, and I see it of them")
    ] = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Who may ask to write to me, what others see, and my name. Without options: as it is."""
    async with signed_in(store) as client:
        if requests_from:
            await client.accept_requests_of(_accepts(requests_from))
        if name:
            await client.rename(name)
        if receipts is not None or typing is not None:
            await client.let_be_seen(read_receipts=receipts, typing=typing)
        me = await client.me()
        console.print(f"Requests from: {me.controls.requests}")
        console.print(f"Read receipts: {'on' if me.controls.read_receipts else 'off'}")
        console.print(f"Typing: {'on' if me.controls.typing else 'off'}")
        console.print(f"Name: {printable(me.display_name)}", soft_wrap=True)


# --- people -----------------------------------------------------------------------------------------------------------


@app.command()
@command
async def ask(
    handle: Annotated[str, typer.Argument(help="a handle or an invite link")],
    message: Annotated[str, typer.Argument(help="first message; it waits here until the request is accepted")] = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Ask to write to somebody. The answer is the same whoever was asked."""
    async with signed_in(store) as client:
        await client.request(handle, message)
        problems.print("Request sent.")
        if message:
            problems.print("The message leaves when the request is accepted and you run: kith client chat or listen")


@app.command()
@command
async def requests(
    accept: Annotated[str, typer.Option(help="accept the request of this handle")] = "",
    decline: Annotated[str, typer.Option(help="decline it; the other side learns nothing")] = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Who asks to write to me; accept or decline."""
    async with signed_in(store) as client:
        waiting = await client.requests()
        if not accept and not decline:
            for one in waiting:
                console.print(f"{one.handle}\t{printable(one.display_name)}", soft_wrap=True)
                if one.notice is not None:
                    problems.print(f"  Notice: {escape(one.notice.text)}", style="yellow", soft_wrap=True)
            if not waiting:
                problems.print("Nobody is waiting.")
            return
        found = next((one for one in waiting if one.handle == (accept or decline)), None)
        if found is None:
            raise Sentence(f"There is no request from {accept or decline}.")
        if accept:
            await found.accept()
            problems.print(f"You can write with {found.handle}: kith client chat {found.handle}")
        else:
            await found.decline()


@app.command()
@command
async def invite(store: Store = DEFAULT_STORE) -> None:
    """Print a link with which one person can ask to write to me. It works once; I still say yes or no."""
    async with signed_in(store) as client:
        made = await client.invite()
        console.print(made.link, soft_wrap=True)
        problems.print(f"For one person, until {_when(made.expires_ms)}. They use: kith client ask LINK")


@app.command()
@command
async def block(handle: Handle, store: Store = DEFAULT_STORE) -> None:
    """Nothing of theirs comes here any more, and nothing of mine reaches them. They are not told."""
    async with signed_in(store) as client:
        await (await client.room_with(handle)).block()
        problems.print(f"You blocked {handle}.")


@app.command()
@command
async def restrict(handle: Handle, store: Store = DEFAULT_STORE) -> None:
    """Their messages announce themselves nowhere, and they see nothing of reading or writing. They won't know."""
    async with signed_in(store) as client:
        await (await client.room_with(handle)).restrict()
        problems.print(f"You restricted {handle}. They won't know.")


@app.command()
@command
async def restricted(
    undo: Annotated[str, typer.Option(help="stop restricting this handle")] = "", store: Store = DEFAULT_STORE
) -> None:
    """Whom I restrict; stop restricting somebody."""
    async with signed_in(store) as client:
        there = await client.restricted()
        if not undo:
            for one in there:
                console.print(f"{one.handle}\t{printable(one.display_name)}", soft_wrap=True)
            return
        found = next((one for one in there if one.handle == undo), None)
        if found is None:
            raise Sentence(f"You do not restrict {undo}.")
        await client.unrestrict(found.account)
        problems.print(f"You no longer restrict {undo}.")


@app.command()
@command
async def blocks(
    undo: Annotated[str, typer.Option(help="unblock this handle")] = "", store: Store = DEFAULT_STORE
) -> None:
    """Whom I blocked; unblock somebody."""
    async with signed_in(store) as client:
        there = await client.blocks()
        if not undo:
            for one in there:
                console.print(f"{one.handle}\t{printable(one.display_name)}", soft_wrap=True)
            return
        found = next((one for one in there if one.handle == undo), None)
        if found is None:
            raise Sentence(f"You did not block {undo}.")
        await client.unblock(found.account)
        problems.print(f"You unblocked {undo}. To write with each other again, one of you has to ask.")


@app.command()
@command
async def report(
    handle: Handle,
    category: Annotated[str, typer.Option(help="sexual, impersonation, scam, bullying, drugs_weapons, other")],
    note: Annotated[str, typer.Option(help="what staff should know")] = "",
    minor: Annotated[bool, typer.Option("--minor", help="somebody under 18 is involved")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Report somebody, with the last messages on this device (at most 30) as proof."""
    async with signed_in(store) as client:
        room = await client.room_with(handle)
        filed = await room.report(_category(category), note, minor_involved=minor)
        problems.print(
            {
                "FULL": "Reported; every message in it is proven.",
                "PARTIAL": "Reported; some messages in it could not be proven.",
                "NONE": "Reported, without proven messages.",
            }[filed.kind]
        )


@app.command()
@command
async def reports(store: Store = DEFAULT_STORE) -> None:
    """What I reported, and what became of it."""
    async with signed_in(store) as client:
        mine = await client.reports()
        for one in mine:
            outcome = {"action": "we took action", "no_action": "no rule was broken"}.get(one.outcome or "", one.status)
            about = one.handle or "somebody who left"
            console.print(f"{one.report}\t{_when(one.sent_ms)}\t{about}\t{one.category}\t{outcome}", soft_wrap=True)
        if not mine:
            problems.print("You reported nobody.")


@app.command()
@command
async def notices(
    dismiss: Annotated[str, typer.Option(help="put the notice with this id away")] = "", store: Store = DEFAULT_STORE
) -> None:
    """Facts about people who wrote to me, from the server, which has read nothing."""
    async with signed_in(store) as client:
        if dismiss:
            await client.dismiss(dismiss)
            return
        names, there = _Names(client), await client.notices()
        for one in there:
            about = "" if one.about is None else f"{await names.of(one.about)}: "
            console.print(f"{one.id}\t{about}{escape(one.text)}", soft_wrap=True)
        if not there:
            problems.print("There are no notices.")


# --- my standing ------------------------------------------------------------------------------------------------------


@app.command()
@command
async def standing(
    history: Annotated[bool, typer.Option("--history", help="also what is over or was reversed")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """What limits this account, why, until when, and how to ask for a review."""
    async with signed_in(store) as client:
        now = await client.standing()
        for one in now.measures:
            _show_measure(one, in_force=True)
        if not now.measures:
            console.print("Nothing limits your account.")
        for one in now.history if history else ():
            _show_measure(one, in_force=False)


@app.command()
@command
async def appeal(
    measure: Annotated[str, typer.Argument(help="an id that kith client standing shows")],
    text: Annotated[str, typer.Argument(help="what the reviewer should know; read from the pipe if left out")] = "",
    store: Store = DEFAULT_STORE,
) -> None:
    """Ask for a review of a measure by a person who was not part of the decision. Once for each measure."""
    async with signed_in(store) as client:
        await client.appeal(measure, text or _from_pipe())
        problems.print("Review requested. A person who wasn't part of the decision will look at it.")


def _show_measure(one: "Measure", *, in_force: bool) -> None:
    what = {
        "warning": "A warning; it limits nothing",
        "daily_limit": f"At most {one.limit} new chats a day",
        "no_new_conversations": "No new chats; those you have go on",
        "suspended": "No writing at all; reading, reporting and export go on",
    }.get(one.what, one.what)
    until = "until somebody reverses it" if one.until_ms is None else f"until {_when(one.until_ms)}"
    console.print(f"{one.id}\t{what}, {until}.", soft_wrap=True, style="yellow" if in_force else "dim")
    console.print(f"  {escape(one.because)}", soft_wrap=True)
    match one.appeal:
        case "open":
            console.print("  Review requested; a person who wasn't part of the decision will look at it.")
        case "upheld":
            console.print("  A person looked again and upheld it.")
        case "overturned":
            console.print("  A person looked again and reversed it.")
        case _ if in_force and one.appeal_until_ms is not None:
            console.print(f"  Ask for a review until {_when(one.appeal_until_ms)}: kith client appeal {one.id}")
        case _:
            pass


# --- writing ----------------------------------------------------------------------------------------------------------


@app.command()
@command
async def send(
    handle: Handle,
    message: Annotated[str, typer.Argument(help="the words; read from the pipe if left out")] = "",
    wait: Annotated[float, typer.Option(help="seconds to wait for the server")] = WAIT_S,
    store: Store = DEFAULT_STORE,
) -> None:
    """Send one message, for instance: df -h | kith client send ann.lake."""
    words = message or _from_pipe()
    async with signed_in(store) as client:
        if not await sent_within(wait, await client.room_with(handle), words):
            raise Unreachable(WAITS)


async def sent_within(seconds: float, room: "Room", words: str) -> bool:
    """Say something; False: it waits in the outbox."""
    try:
        async with asyncio.timeout(seconds):
            await room.send(words)
    except TimeoutError:
        return False
    return True


@app.command()
@command
async def listen(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Print messages as they come, until Ctrl-C. What came while you were away comes first."""
    async with signed_in(store) as client:
        names = _Names(client)
        async for message in client.messages():
            if as_json:
                sys.stdout.write(json.dumps(await message_json(names, message), ensure_ascii=False) + "\n")
                sys.stdout.flush()
            else:
                console.print(await line_of(names, message), soft_wrap=True)


@app.command()
@command
async def chat(handle: Handle, store: Store = DEFAULT_STORE) -> None:
    """Talk with somebody here: type a line and press Enter. /help lists the rest."""
    async with signed_in(store) as client:
        room, names = await client.room_with(handle), _Names(client)
        for message in room.history(20):
            console.print(await line_of(names, message), soft_wrap=True)
        problems.print(f"You write with {handle}. Enter sends, /quit ends, /help shows more.", style="dim")
        hearing = asyncio.create_task(_hear(client, room, names))
        try:
            await _type(room, handle)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


async def _hear(client: "Client", room: "Room", names: "_Names") -> None:
    async for message in client.messages(everything=True):
        if message.quiet and message.room != room:
            continue
        elsewhere = "" if message.room == room else "elsewhere: "
        console.print(elsewhere + await line_of(names, message), soft_wrap=True)


async def _type(room: "Room", handle: str) -> None:
    async for line in _lines():
        match line.strip().split(maxsplit=1):
            case []:
                continue
            case ["/quit"]:
                return
            case ["/help"]:
                problems.print("/quit ends · /block blocks · /report CATEGORY [NOTE] reports with proof", style="dim")
            case ["/block"]:
                await room.block()
                problems.print(f"You blocked {handle}.")
                return
            case ["/report", rest]:
                category, _, note = rest.partition(" ")
                with _said():
                    filed = await room.report(_category(category), note)
                    problems.print(f"Reported ({filed.kind.lower()} proof).")
            case _:
                with _said():
                    await room.send(line)


@contextlib.contextmanager
def _said() -> Any:  # noqa: ANN401 - a generator that contextmanager wraps
    """A refusal is said, and the chat goes on."""
    try:
        yield
    except (NotSignedIn, StoreError):  # nothing would go on
        raise
    except KithError as error:
        problems.print(f"Not done: {escape(str(error))}", style="red", soft_wrap=True)


async def _lines() -> AsyncIterator[str]:
    """What is typed, line by line, while the event loop goes on."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def readable() -> None:
        lines.put_nowait(sys.stdin.readline())

    loop.add_reader(sys.stdin.fileno(), readable)
    try:
        while line := await lines.get():
            yield line.rstrip("\n")
    finally:
        loop.remove_reader(sys.stdin.fileno())


# --- my data ----------------------------------------------------------------------------------------------------------


@app.command("export")
@command
async def export_data(
    to: Annotated[Path, typer.Argument(help="the file to write; it is not encrypted")], store: Store = DEFAULT_STORE
) -> None:
    """Write everything about me into a JSON file: what the server holds, and the messages on this device."""
    async with signed_in(store) as client:
        data = await client.export()
        _write_private(to, json.dumps(data, ensure_ascii=False, indent=2))
        problems.print(f"Wrote {to}. It is readable text: keep it safe.")


def _write_private(to: Path, text: str) -> None:
    """A new file that only its owner can read."""
    try:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Sentence(f"{to} cannot be written: {error.strerror}. Name another file.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


# --- words ------------------------------------------------------------------------------------------------------------


def names_of(client: "Client") -> "_Names":
    """Who is who for this client."""
    return _Names(client)


class _Names:
    """Handles by account, asked once."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._known: dict[str, str] = {}

    async def of(self, account: str) -> str:
        if account == self._client.account:
            return "me"
        if account not in self._known:
            with contextlib.suppress(Unreachable):
                self._known |= {one.account: one.handle for one in await self._client.chats()}
                self._known |= {one.account: one.handle for one in await self._client.requests()}
        return self._known.get(account, account[:8])


async def line_of(names: _Names, message: "Message", *, dated: bool = False) -> str:
    """A message as a line for the terminal."""
    clock = datetime.fromtimestamp(message.at_ms / 1000).strftime("%H:%M")  # noqa: DTZ006 - the reader's own clock
    at = _when(message.at_ms) if dated else clock
    match message.kind:
        case "deleted":
            return f"[dim]{at} {await names.of(message.sender)} deleted this message.[/dim]"
        case "tombstone":
            return f"[dim]{at} A message could not be verified and is not shown.[/dim]"
        case "info":
            return f"[dim]{at} {printable(message.text)}[/dim]"
        case "unsupported":
            return f"[dim]{at} {await names.of(message.sender)} sent something that cannot be shown here.[/dim]"
        case _:
            said = [printable(message.text)] if message.text else []
            said += [f"[dim]\\[{printable(_file(file))}][/dim]" for file in message.files]
            words = " ".join(said) + _marks(message)
            return f"[dim]{at}[/dim] [bold]{await names.of(message.sender)}[/bold]: {words}"


def _file(file: "File") -> str:
    facts = [file.name or file.description or file.media_type]
    if file.media is not None and file.media.duration_ms is not None:
        minutes, seconds = divmod(round(file.media.duration_ms / 1000), 60)
        facts.append(f"{minutes}:{seconds:02}")
    if file.length:
        facts.append(f"{file.length / 1000:,.0f} kB")
    return ", ".join(facts)


def _marks(message: "Message") -> str:
    """What became of a message, after its words."""
    forwarded = f"forwarded {message.forwarded} times" if message.forwarded > 1 else "forwarded"
    marks = [word for word, holds in (("edited", message.edited), (forwarded, message.forwarded)) if holds]
    marks += [f"{symbol} {len(people)}" for symbol, people in message.reactions.items()]
    if (quoted := message.quoted) is not None and quoted.kind == "text":
        marks.insert(0, f'to "{printable(quoted.text[:40])}"')
    return f" [dim]({', '.join(marks)})[/dim]" if marks else ""


def printable(text: str) -> str:
    """Somebody else's words without control characters: they must not steer the terminal."""
    return escape("".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text))


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 - the reader's own clock


def _accepts(text: str) -> "Accepts":
    match text:
        case "everyone" | "nobody":
            return text
        case _:
            raise Sentence("Requests come from: everyone, or nobody.")


async def message_json(names: _Names, message: "Message") -> dict[str, Any]:
    """A message as programs read it."""
    return {
        "id": message.id,
        "room": message.room.id,
        "from": await names.of(message.sender),
        "at_ms": message.at_ms,
        "text": message.text,
        "reply_to": message.reply_to,
        "edited": message.edited,
        "quiet": message.quiet,
        "forwarded": message.forwarded,
        "reactions": message.reactions,
        "files": [_file_json(one) for one in message.files],
    }


def _file_json(file: "File") -> dict[str, Any]:
    media = file.media
    return {
        "name": file.name,
        "media_type": file.media_type,
        "bytes": file.length,
        "description": file.description,
        "duration_ms": None if media is None else media.duration_ms,
        "voice": media is not None and media.voice,
    }


def _from_pipe() -> str:
    if sys.stdin.isatty():
        problems.print("Type the message, then Ctrl-D:", style="dim")
    words = sys.stdin.read(MAX_PIPE + 1)
    if len(words) > MAX_PIPE:
        raise Sentence(f"A message has at most {MAX_PIPE} characters; this is longer. Send a part of it.")
    return words.rstrip("\n")


def _month(text: str) -> tuple[int, int]:
    year, _, month = text.strip().partition("-")
    if not (year.isdigit() and month.isdigit()):
        raise Sentence("Write the month of birth like 1990-05.")
    return int(year), int(month)


def _category(text: str) -> "Category":
    match text:
        case "sexual" | "impersonation" | "scam" | "bullying" | "drugs_weapons" | "other":
            return text
        case _:
            raise Sentence("The category is one of: sexual, impersonation, scam, bullying, drugs_weapons, other.")


# --- for outsiders ----------------------------------------------------------------------------------------------------

transparency_app = typer.Typer(help="The key log of a server, checked from outside.", no_args_is_help=True)
EX_FORGED: Final = 3
"""The log does not check out."""


@transparency_app.callback()
def transparency() -> None:
    """The key log of a server, checked from outside."""


@transparency_app.command()
def audit(
    origin: Annotated[str, typer.Argument(help="the server's address, like https://kith.example")],
    state: Annotated[
        Path | None, typer.Option(help="a file to remember the head in: the next audit continues it")
    ] = None,
) -> None:
    """Replay the whole key log. 0: everything checks out; 3: it does not; 75: the server cannot be asked; 1: else."""
    from kith.sdk import audit as auditing  # noqa: PLC0415 - other commands need not wait for it
    from kith.sdk.client import now_ms  # noqa: PLC0415 - as above

    try:
        seen = None if state is None else auditing.read_state(state)
        found, fresh = asyncio.run(auditing.audit(origin, now_ms=now_ms(), seen=seen))
        if state is not None:
            auditing.write_state(state, fresh)
    except Unverified as error:
        problems.print(f"kith: {escape(str(error))}", style="red", soft_wrap=True)
        raise typer.Exit(EX_FORGED) from None
    except KithError as error:
        problems.print(f"kith: {escape(str(error))}", style="red", soft_wrap=True)
        raise typer.Exit(EX_TEMPFAIL if isinstance(error, Unreachable | Limited) else 1) from None
    console.print(
        f"The key log of {found.server_name} checks out: {found.entries} entries, {found.changes} changes of keys, "
        f"newest {_when(found.newest_ms)}; it continues the {found.since} entries of the last audit.",
        soft_wrap=True,
    )


from kith.sdk import cli_chats, cli_files, cli_words  # noqa: E402, F401 - they add commands with the helpers above
