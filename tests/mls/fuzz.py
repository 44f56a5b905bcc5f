"""Coverage-guided fuzzing of every decoder: `python tests/mls/fuzz.py [corpus folder] [-max_total_time=60]`.

Options are libFuzzer's. The dictionary is `fuzz.dict`; the seeds are real messages (`decoders.seeds`).
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore] # no types, not for every platform

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["kith.protocol"]):
    from mls.decoders import check, seeds


def main() -> None:
    """Seed the corpus and run until the time or the number of runs is over; a crash ends with status 77."""
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    corpus = Path(folders[0] if folders else tempfile.mkdtemp(prefix="kith-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    options = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    dictionary = Path(__file__).with_name("fuzz.dict")
    atheris.Setup([sys.argv[0], str(corpus), f"-dict={dictionary}", "-max_len=8192", *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
