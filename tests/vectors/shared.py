"""Where the vectors are that Kith does not own: KITH_VECTORS, else next to the repository."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).resolve().parent / "golden"


def vectors_folder() -> Path:
    """The folder, whether or not it exists."""
    return Path(os.environ.get("KITH_VECTORS", str(REPOSITORY.parent / "shared" / "vectors")))


def shared_vector(name: str) -> Path:
    """The path of one vector file; the test is skipped, with the reason, where it is not there."""
    path = vectors_folder() / name
    if not path.exists():
        pytest.skip(f"the vector file {name} is not here; set KITH_VECTORS to the folder that holds it")
    return path


def mls(name: str) -> list[dict[str, Any]]:
    """The cases of one official MLS vector file."""
    cases: list[dict[str, Any]] = json.loads(shared_vector(f"mls/{name}.json").read_text("utf-8"))
    return cases


def golden(name: str) -> dict[str, Any]:
    """One of our own vector files, as committed."""
    data: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return data
