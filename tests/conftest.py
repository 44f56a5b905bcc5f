"""What every folder of tests shares."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# A busy machine is slow, and no test here is about time.
settings.register_profile("kith", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kith")

if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    # Where nothing compiled is kept, every program that a test starts would compile whatever it imports, for seconds.
    _compiled = tempfile.TemporaryDirectory(prefix="kith-compiled-")
    os.environ["PYTHONPYCACHEPREFIX"] = _compiled.name


def folder_from(variable: str, beside: str) -> Path:
    """A folder of public material, from the environment or beside the checkout; skips with the reason if absent."""
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / beside)
    if not path.is_dir():
        pytest.skip(f"no {beside}: set {variable} to the folder that holds them")
    return path


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The official MLS vectors and the franking vectors."""
    return folder_from("KITH_VECTORS", "vectors")


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Public data sets."""
    return folder_from("KITH_DATA", "data")
