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

from kith.app import logs
from kith.app.wiring import Kith

log = structlog.get_logger("kith.serving")

FRAME_CAP = 1024 * 1024 + 4096
"""Bytes of a WebSocket message that the socket accepts; the stream narrows it to 80 KiB for all but commits."""
HEADER_CAP = 16 * 1024


class _Quiet(uvicorn.Server):
    """Leaves signals to us: two servers must stop together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
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


def _server(app: object, trusted_proxies: tuple[str, ...], *, websockets: bool) -> _Quiet:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        http="httptools",
        ws="websockets-sansio" if websockets else "none",
        ws_max_size=FRAME_CAP,
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
        limit_concurrency=20_000,
    )
    return _Quiet(config)


@contextlib.asynccontextmanager
async def running(kith: Kith) -> AsyncIterator[Kith]:
    """The server, serving, for as long as the block runs."""
    settings = kith.settings
    people = listening(settings.bind, settings.port)
    staff = listening(settings.bind, settings.staff_port)
    proxies = settings.trusted_proxies
    servers = [_server(kith.people, proxies, websockets=True), _server(kith.staff, proxies, websockets=False)]
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
