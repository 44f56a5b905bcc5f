"""The wire between a browser and the server: a SOCKS proxy that writes down what the browser sends and can be cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self

from playwright.sync_api import ProxySettings

SUCCEEDED = b"\x05\x00\x00\x01" + bytes(6)
REFUSED = b"\x05\x05\x00\x01" + bytes(6)


class Wire:
    """RFC 1928 without authentication, CONNECT only, and only to this machine."""

    def __init__(self) -> None:
        self.sent = bytearray()
        """Every byte that the browser sent, on all connections."""
        self._whole = threading.Event()
        self._whole.set()
        self._open: set[socket.socket] = set()
        self._door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._answer, daemon=True).start()

    @property
    def proxy(self) -> ProxySettings:
        """What a browser context takes as its proxy."""
        return {"server": f"socks5://127.0.0.1:{self._door.getsockname()[1]}", "bypass": "<-loopback>"}

    def cut(self) -> None:
        """No network: what is open breaks, what is new is refused."""
        self._whole.clear()
        for one in list(self._open):
            _end(one)

    def mend(self) -> None:
        """The network is back."""
        self._whole.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        _end(self._door)

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                browser, _ = self._door.accept()
                threading.Thread(target=self._connect, args=(browser,), daemon=True).start()

    def _connect(self, browser: socket.socket) -> None:
        try:
            port = _asked_port(browser)
            if not self._whole.is_set():
                browser.sendall(REFUSED)
                raise ConnectionError("cut")
            server = socket.create_connection(("127.0.0.1", port))
            browser.sendall(SUCCEEDED)
        except OSError:
            _end(browser)
            return
        self._open |= {browser, server}
        threading.Thread(target=self._pump, args=(server, browser, None), daemon=True).start()
        self._pump(browser, server, self.sent)

    def _pump(self, source: socket.socket, sink: socket.socket, note: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                if note is not None:
                    note += chunk
                sink.sendall(chunk)
        for one in (source, sink):
            self._open.discard(one)
            _end(one)


def _asked_port(browser: socket.socket) -> int:
    """Read greeting and request; the port that is asked for."""
    _, methods = _exactly(browser, 2)
    _exactly(browser, methods)
    browser.sendall(b"\x05\x00")
    kind = _exactly(browser, 4)[3]
    _exactly(browser, {1: 4, 4: 16}.get(kind) or _exactly(browser, 1)[0])
    (port,) = struct.unpack(">H", _exactly(browser, 2))
    return int(port)


def _exactly(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        chunk = source.recv(count - len(found))
        if not chunk:
            raise ConnectionError("ended early")
        found += chunk
    return found


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
