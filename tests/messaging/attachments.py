"""Somebody's attachments over HTTP, on a real folder."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litestar.testing import TestClient

from kith.app import keys as key_files
from kith.app.http import people_app
from kith.app.keys import Keys
from kith.messaging import blob_routes
from kith.messaging.blob_keeper import Keeper
from kith.messaging.blob_storage import Folder, Storage
from kith.messaging.limits import DEFAULTS, Limits
from kith.people.server import ServerFacts
from kith.protocol.attachments import padme
from messaging.mls import HOST
from messaging.town import START, Town

PLENTY = 10**12


def ciphertext(length: int, seed: int = 1) -> bytes:
    """Bytes of a length that is a bucket."""
    assert padme(length) == length
    return random.Random(seed).randbytes(length)


class Depot:
    """Blobs of a town: `depot(account, method, path, …)`, and the folder that they lie in."""

    def __init__(self, town: Town, folder: Path, storage: Storage, client: Any, keeper: Keeper) -> None:
        self.town, self.folder, self.storage, self.client, self.keeper = town, folder, storage, client, keeper
        self.tokens: dict[str, str] = {}

    def person(self, handle: str) -> str:
        """A person with a phone that is signed in."""
        account = self.town.person(handle)
        self.tokens[account] = self.town.tokens[self.town.phone(account).device]
        return account

    def __call__(self, who: str, method: str, path: str = "", **how: Any) -> Any:
        """A call as that person."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}", **how.pop("headers", {})}
        return self.client.request(method, f"/api/v1/blobs{path}", headers=headers, **how)

    def begin(self, who: str, size: int) -> str:
        """A fresh upload."""
        answer = self(who, "POST", json={"size": size})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["blob"])

    def bring(self, who: str, blob: str, offset: object, data: Any) -> Any:
        """The next octets."""
        headers = {"Content-Type": "application/octet-stream", "Upload-Offset": str(offset)}
        return self(who, "PATCH", f"/{blob}", content=data, headers=headers)

    def put(self, who: str, data: bytes, piece: int = 4 * 1024 * 1024) -> str:
        """A complete upload."""
        blob = self.begin(who, len(data))
        for at in range(0, len(data), piece):
            answer = self.bring(who, blob, at, data[at : at + piece])
            assert answer.status_code == 204, answer.text
        return blob

    def sweep(self) -> None:
        """What the server does every minute."""
        with self.client.portal() as portal:
            portal.call(self.keeper.clear)

    def files(self) -> set[str]:
        """Names of all files."""
        return {file.name for file in self.folder.rglob("*") if file.is_file()}


@contextmanager
def depot(town: Town, tmp_path: Path, *, limits: Limits = DEFAULTS, storage: Storage | None = None) -> Iterator[Depot]:
    """A server of attachments."""
    key_files.create(tmp_path / "keys", START)
    folder = tmp_path / "blobs"
    storage = storage or Folder(folder)
    keeper = Keeper(town.database, storage, free=lambda: PLENTY, limits=limits)
    app = people_app(
        database=town.database,
        server=ServerFacts(name=HOST, origin=f"https://{HOST}", ticket_key=b"k" * 32, clock=town.clock),
        keys=Keys(tmp_path / "keys"),
        client=tmp_path,
        routes=blob_routes.ROUTES,
        provide={"blobs": lambda: keeper},
    )
    with TestClient(app) as client:
        yield Depot(town, folder, storage, client, keeper)
    keeper.close()
