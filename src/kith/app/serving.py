"""Runs a server: both ports in one process and one event loop, because there is one writer."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog
import uvicorn

from kith.app import logs, sockets
from kith.app.settings import Socket
from kith.app.stream import Hub
from kith.app.wiring import Kith

log = structlog.get_logger("kith.serving")

CONNECTIONS = 120_000
"""Open connections, streams among them, from which requests are turned away with 503."""


class Quiet(uvicorn.Server):
    """Leaves signals to us: two servers must stop together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing to capture."""
        yield


def listening(bind: str, port: int) -> socket.socket:
    """A bound socket; raises OSError (EADDRINUSE) before anything else is started."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((bind, port))
    except OSError:
        sock.close()
        raise
    return sock


def server_of(
    app: object, trusted_proxies: tuple[str, ...] = (), *, hub: Hub | None = None, socket: Socket = "picows"
) -> Quiet:
    """A server for one port; with a hub it takes streams, on picows or, where that is missing, through ASGI."""
    fast = hub is not None and socket == "picows" and sockets.AVAILABLE
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        http=sockets.punctual(hub if fast else None),
        ws="websockets-sansio" if hub is not None else "none",
        ws_max_size=sockets.MESSAGE_CAP,
        ws_ping_interval=25.0,
        ws_ping_timeout=25.0,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=True,
        forwarded_allow_ips=list(trusted_proxies),
        server_header=False,
        date_header=True,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
        limit_concurrency=CONNECTIONS,
    )
    return Quiet(config)


@contextlib.asynccontextmanager
async def running(kith: Kith) -> AsyncIterator[Kith]:
    """The server, serving, for as long as the block runs."""
    settings = kith.settings
    people = listening(settings.bind, settings.port)
    staff = listening(settings.bind, settings.staff_port)
    proxies = settings.trusted_proxies
    servers = [server_of(kith.people, proxies, hub=kith.hub, socket=settings.socket), server_of(kith.staff, proxies)]
    await kith.start()
    tasks = [
        asyncio.create_task(server.serve(sockets=[sock])) for server, sock in zip(servers, (people, staff), strict=True)
    ]
    try:
        while not all(server.started for server in servers):
            for task in tasks:
                if task.done():
                    task.result()
                    raise RuntimeError("The server stopped while starting; the lines above say why.")
            await asyncio.sleep(0.01)
        yield kith
    finally:
        await kith.hub.close()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)
        await kith.stop()


async def run_server(data: Path) -> None:
    """`kith serve`: until SIGINT or SIGTERM."""
    logs.configure()
    faulthandler.enable()  # a full disk can end a process by SIGBUS: then at least the log says where
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(Kith(data)) as kith:
        print(f"Kith serves {kith.settings.origin} (staff: {kith.settings.staff_origin}). Ctrl-C stops it.", flush=True)  # noqa: T201
        await stop.wait()
