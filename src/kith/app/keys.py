"""The server's own keys: 0600 files outside the database and its backup.

`hub-<id>` (32 random bytes each, never derived from a master, so that destroying one is real deletion),
`sign-<index>` and `log` (Ed25519 seeds), `manifest.json` (public, signed entries), `evidence`, `tickets`,
`push` (a scalar of P-256: how push services know this server).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kith.app import files
from kith.ledger.limits import DAY
from kith.protocol.identity import Manifest, SignedEntry, append_entry, first_manifest, verify_manifest
from kith.protocol.signing import sign_with_label
from kith.protocol.transparency import ENDORSED

HUB_PERIOD_MS = 30 * DAY
"""How long one hub key franks."""
HUB_KEPT_MS = 210 * DAY
"""After its period begins a key stays for the reportable window of 180 days beyond its 30 days of use."""


class KeyFileError(RuntimeError):
    """A key file is missing, readable by others, or damaged; the message says which."""


@dataclass(frozen=True)
class HubKey:
    """One franking key and when its period began (ms)."""

    id: int
    secret: bytes
    created_ms: int

    def __repr__(self) -> str:
        return f"HubKey(id={self.id}, secret=…)"


class Keys:
    """Every server key, read at start-up and again when a command has rotated one."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "manifest.json").is_file():
            raise KeyFileError(
                f"{folder} holds no keys. Make a server with `kith init`, or name its folder with --data."
            )
        self.folder = folder
        self._hub = {key.id: key for key in map(_read_hub, sorted(folder.glob("hub-*")))}
        self._signers = {int(p.name.split("-")[1]): _signer(p) for p in sorted(folder.glob("sign-*"))}
        self.manifest = _read_manifest(folder / "manifest.json")
        self.evidence = read_secret(folder / "evidence")
        self.tickets = read_secret(folder / "tickets")
        if not (folder / "log").exists():  # a server that is older than its key log
            write_secret(folder / "log", Ed25519PrivateKey.generate().private_bytes_raw())
        self.log = _signer(folder / "log")
        if not (folder / "push").exists():  # a server that is older than its wake-ups
            write_secret(folder / "push", _new_push())
        self.push = _push_key(folder / "push")
        self._current = max(self._hub)

    def __repr__(self) -> str:
        return f"Keys({len(self._hub)} hub keys, …)"

    def current(self) -> tuple[int, bytes, Ed25519PrivateKey]:
        """The hub key in use: its id, its bytes, and the signing key that serves it."""
        key = self._hub[self._current]
        return key.id, key.secret, self._signer_for(key.id)

    def hub_key(self, hub_key_id: int) -> bytes | None:
        """A hub key by id; None when it never existed or is destroyed."""
        key = self._hub.get(hub_key_id)
        return key.secret if key else None

    def signing_key(self, hub_key_id: int) -> bytes | None:
        """The public key that signs for a hub key, old ones included."""
        return self.manifest.key_for(hub_key_id)

    def endorse_log(self, configuration: bytes) -> bytes:
        """The newest signing key's word that this is the key log, and its key."""
        newest = self.manifest.entries[-1].first_hub_key_id
        return sign_with_label(self._signer_for(newest), ENDORSED, configuration)

    def _signer_for(self, hub_key_id: int) -> Ed25519PrivateKey:
        """The signer that the manifest names for a hub key; a file beyond the manifest is of an unfinished rotation."""
        named = self.manifest.key_for(hub_key_id)
        for signer in self._signers.values():
            if signer.public_key().public_bytes_raw() == named:
                return signer
        raise KeyFileError(f"{self.folder} lacks the signing key in use. Restore sign-* from your own safe copy.")

    def reload(self) -> bool:
        """Take up a signing key that `kith rotate-signing-key` began meanwhile; True if there was one."""
        if _read_manifest(self.folder / "manifest.json").signed == self.manifest.signed:
            return False
        self.__dict__.update(Keys(self.folder).__dict__)
        return True

    def rotate(self, now: int) -> bool:
        """Begin a new hub key when the period is over, destroy those past their window; True if anything changed."""
        newest = self._hub[self._current]
        changed = False
        if now - newest.created_ms >= HUB_PERIOD_MS:
            fresh = _new_hub(self.folder, newest.id + 1, now)
            self._hub[fresh.id], self._current, changed = fresh, fresh.id, True
        for key in [k for k in self._hub.values() if now - k.created_ms >= HUB_KEPT_MS and k.id != self._current]:
            destroy(self.folder / f"hub-{key.id}")
            del self._hub[key.id]
            changed = True
        return changed

    def rotate_signer(self, now: int) -> None:
        """Begin a new signing key, listed after and signed by its predecessor, for the next hub key on."""
        index = max(self._signers) + 1
        last = self.manifest.entries[-1].first_hub_key_id
        fresh, first_id = Ed25519PrivateKey.generate(), max(self._current, last) + 1
        manifest = append_entry(
            self.manifest,
            signer=self._signer_for(last),
            public_key=fresh.public_key().public_bytes_raw(),
            first_hub_key_id=first_id,
            created_ms=now,
        )
        # In this order whoever reads in between, or after a power cut, finds a signer for every hub key.
        write_secret(self.folder / f"sign-{index}", fresh.private_bytes_raw())
        _write_manifest(self.folder / "manifest.json", manifest)
        self._signers[index], self.manifest = fresh, manifest
        self._hub[first_id] = _new_hub(self.folder, first_id, now)
        self._current = first_id


def create(folder: Path, now: int) -> None:
    """Make every key of a new server."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    signer = Ed25519PrivateKey.generate()
    _new_hub(folder, 1, now)
    write_secret(folder / "sign-0", signer.private_bytes_raw())
    _write_manifest(folder / "manifest.json", first_manifest(signer, first_hub_key_id=1, created_ms=now))
    write_secret(folder / "evidence", secrets.token_bytes(32))
    write_secret(folder / "tickets", secrets.token_bytes(32))
    write_secret(folder / "log", Ed25519PrivateKey.generate().private_bytes_raw())
    write_secret(folder / "push", _new_push())


def write_secret(path: Path, content: bytes) -> None:
    """Write a 0600 file, durably and whole or not at all; refuses to replace one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)  # of a start that was cut short
    files.write_durably(fresh, content)
    try:
        os.link(fresh, path)
    finally:
        fresh.unlink()
    files.settle(path.parent)


def read_secret(path: Path, size: int = 32) -> bytes:
    """Read a secret; refuses one that others can read."""
    try:
        mode = path.stat().st_mode & 0o077
        content = path.read_bytes()
    except FileNotFoundError:
        raise KeyFileError(f"The key file {path.name} is missing. Restore it from your own safe copy.") from None
    if mode:
        raise KeyFileError(f"Others can read the key file {path.name}. Run: chmod 600 {path}")
    if len(content) < size:
        raise KeyFileError(f"The key file {path.name} is damaged. Restore it from your own safe copy.")
    return content


def destroy(path: Path) -> None:
    """Overwrite, then remove."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _new_hub(folder: Path, hub_key_id: int, now: int) -> HubKey:
    secret = secrets.token_bytes(32)
    write_secret(folder / f"hub-{hub_key_id}", secret + now.to_bytes(8, "big"))
    return HubKey(hub_key_id, secret, now)


def _read_hub(path: Path) -> HubKey:
    content = read_secret(path, 40)
    return HubKey(int(path.name.split("-")[1]), content[:32], int.from_bytes(content[32:40], "big"))


def _signer(path: Path) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(read_secret(path))


def manifest_json(manifest: Manifest) -> list[dict[str, str]]:
    """The manifest as `/.well-known/kith.json` carries it."""
    return [
        {"entry": base64.b64encode(e.entry).decode(), "signature": base64.b64encode(e.signature).decode()}
        for e in manifest.signed
    ]


def _write_manifest(path: Path, manifest: Manifest) -> None:
    fresh = path.with_suffix(".new")
    files.write_durably(fresh, json.dumps(manifest_json(manifest), indent=1).encode())
    fresh.replace(path)
    files.settle(path.parent)


def _read_manifest(path: Path) -> Manifest:
    rows = json.loads(path.read_text())
    return verify_manifest(
        [SignedEntry(base64.b64decode(row["entry"]), base64.b64decode(row["signature"])) for row in rows]
    )


def _new_push() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")


def _push_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return ec.derive_private_key(int.from_bytes(read_secret(path), "big"), ec.SECP256R1())
    except ValueError:
        raise KeyFileError(f"The key file {path.name} is damaged. Restore it from your own safe copy.") from None
