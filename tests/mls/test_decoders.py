"""Any bytes are refused as Malformed or written again the same; a short coverage-guided run finds nothing else."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mls.decoders import DECODERS, check, seeds

SEEDS = list(seeds())


def test_every_decoder_reads_real_bytes() -> None:
    """The seeds are read, so mutations start from something that means something."""
    for seed in SEEDS[:13]:
        assert DECODERS[seed[0]](seed[1:]) == seed[1:]


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.integers(0, 10**6),
    st.binary(max_size=4),
    st.integers(0, 4),
    st.integers(0, len(DECODERS)),
)
def test_mutated_bytes_are_refused_or_written_again_the_same(
    seed: bytes, at: int, put: bytes, drop: int, decoder: int
) -> None:
    """Near real bytes, through the decoder they are for and through others."""
    at = 1 + at % len(seed)
    first = seed[:1] if decoder == len(DECODERS) else bytes((decoder,))
    check(first + seed[1:at] + put + seed[at + drop :])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_written_again_the_same(data: bytes) -> None:
    """Far from everything."""
    check(data)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="there is no atheris wheel for this platform")
def test_a_short_fuzzing_run_finds_nothing(tmp_path: Path) -> None:
    """Some thousands of inputs; `python tests/mls/fuzz.py` goes on for as long as wanted."""
    script = Path(__file__).with_name("fuzz.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "-runs=4000", "-seed=1", f"-artifact_prefix={tmp_path}/"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Done 4000 runs" in run.stderr
