"""A small push service that speaks the real protocol: RFC 8030, 8188, 8291 and 8292.

Who calls is checked, and what it is sent is decrypted with keys that, as in a browser, never left the device.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def b64(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """And back."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """What a browser keeps of one subscription."""

    def __init__(self, origin: str) -> None:
        self.path = f"/push/{secrets.token_urlsafe(16)}"
        self.endpoint = origin + self.path
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = secrets.token_bytes(16)
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.subscription = {"endpoint": self.endpoint, "p256dh": b64(point), "auth": b64(self.auth)}


@dataclass
class Wake:
    """One call, as it came and as the browser reads it."""

    path: str
    headers: dict[str, str]
    body: bytes
    plaintext: bytes | None


@dataclass
class PushService:
    """Listens on loopback until it is left."""

    public_key: bytes = b""
    """The server's VAPID key, as the browser was given it."""
    answer: int = 201
    wakes: list[Wake] = field(default_factory=list)
    browsers: dict[str, Browser] = field(default_factory=dict)

    def __enter__(self) -> Self:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(service.receive(self.path, dict(self.headers), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def browser(self) -> Browser:
        """A browser that subscribes here."""
        made = Browser(self.origin)
        self.browsers[made.path] = made
        return made

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Judge a call as a push service does; the status."""
        browser = self.browsers.get(path)
        if browser is None:
            return 404
        if not self._knows(headers.get("Authorization", "")) or "TTL" not in headers:
            return 403
        plaintext = http_ece.decrypt(body, private_key=browser.key, auth_secret=browser.auth, version="aes128gcm")
        self.wakes.append(Wake(path, headers, body, plaintext))
        return self.answer

    def _knows(self, authorization: str) -> bool:
        """Whether the token is signed by the key that the browser was given, for us, and not for long."""
        scheme, _, rest = authorization.partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        if scheme != "vapid" or unb64(parts["k"]) != self.public_key:
            return False
        signed, _, signature = parts["t"].rpartition(".")
        raw = unb64(signature)
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.public_key)
        half = len(raw) // 2
        r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
        point.verify(utils.encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))
        claims = json.loads(unb64(signed.split(".")[1]))
        lasts = claims["exp"] - time.time()
        return bool(claims["aud"] == self.origin and 0 < lasts <= 24 * 3600 and "@" in claims["sub"])

    def wait_for(self, count: int, within_s: float = 30) -> list[Wake]:
        """So many calls, and no fewer."""
        until = time.monotonic() + within_s
        while time.monotonic() < until and len(self.wakes) < count:
            time.sleep(0.05)
        assert len(self.wakes) >= count, f"{len(self.wakes)} calls, {count} were due"
        return self.wakes
