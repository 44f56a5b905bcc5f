"""The delivery benchmark fits the server: its people come on line, and its messages are accepted and arrive."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCENARIOS = ("saturated", "rooms10")


@pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="the load generator needs a C compiler")
def test_the_benchmark_delivers_what_it_sends(tmp_path: Path) -> None:
    """A refusal, a closed connection or a message that never arrives ends the benchmark with a fault."""
    results = tmp_path / "results.json"
    command = [sys.executable, "benches/run.py", "delivery", "--quick", "--servers", "kith", "--repeat", "1"]
    command += ["--seconds", "0.3", "--crowd", "10", "--results", str(results)]
    command += [word for name in SCENARIOS for word in ("--only", name)]
    environment = {**os.environ, "KITH_BENCH_DIR": str(tmp_path / "bench"), "PYTHONPATH": str(REPOSITORY / "src")}

    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(results.read_text())["delivery"]["rows"]
    assert {row["scenario"] for row in rows} == set(SCENARIOS)
    for row in rows:
        assert row["figures"]["deliveries"][0] > 0
        assert row["figures"]["undelivered"] == [0, 0, 0]
