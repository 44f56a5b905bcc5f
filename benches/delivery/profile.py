"""Where a server under load spends its time, function by function, as py-spy sees it."""

from __future__ import annotations

import collections
import shutil
import subprocess
import sys
from pathlib import Path

from delivery import measure
from delivery.measure import REPOSITORY, SCENARIOS
from delivery.servers import Kith, compiled

TOP = 40
EVERYTHING = 0.7
"""A function with more than this share is the loop itself."""
RATE_HZ = 500


def run(scenario: str, seconds: float, *, native: bool) -> None:
    """Profile one load; prints two tables and keeps the stacks."""
    spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if spy is None:
        raise SystemExit("A profile needs py-spy, which is not installed: .venv/bin/python -m pip install py-spy")
    chosen = next(one for one in SCENARIOS if one.name == scenario)
    stacks = REPOSITORY / "benches" / "results" / f"profile-{scenario}.stacks"
    stacks.parent.mkdir(exist_ok=True)
    with measure.folder() as folder:
        town = measure.towns({"Kith": REPOSITORY}, crowd=300)["Kith"]
        server = Kith(folder / "kith", town, REPOSITORY)
        server.start()
        try:
            record = [spy, "record", "-d", str(int(seconds)), "-r", str(RATE_HZ), "-f", "raw", "-o", str(stacks)]
            record += ["-p", str(server.pid), *(["--native"] if native else [])]
            generator = compiled("load", folder)
            with subprocess.Popen(record, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as spying:
                figures = measure.load(generator, server, town, chosen, seconds=seconds, warm=1)
                said = spying.communicate()[1]
        finally:
            server.stop()
    if spying.returncode:
        raise SystemExit(f"py-spy: {said.strip()}")
    print(
        f"{chosen.says}: {figures['delivered_per_s']:,.0f} messages a second while being watched, "
        f"{figures['cpu_us_per_delivery']:.0f} us of CPU each ({figures['user_us_per_delivery']:.0f} of them user)"
    )
    _print(_counted(stacks), figures["user_us_per_delivery"])
    print(f"stacks: {stacks} (for a flame graph)")


def _counted(stacks: Path) -> tuple[collections.Counter[str], collections.Counter[str], int]:
    """Samples by function: in itself, in it or below it, and all of them."""
    own: collections.Counter[str] = collections.Counter()
    below: collections.Counter[str] = collections.Counter()
    total = 0
    for line in stacks.read_text().splitlines():
        names, _, count = line.rpartition(" ")
        functions = [name.rpartition(":")[0] or name for name in names.split(";")]
        own[functions[-1]] += int(count)
        for function in set(functions):
            below[function] += int(count)
        total += int(count)
    return own, below, total


def _print(counted: tuple[collections.Counter[str], collections.Counter[str], int], user_us: float) -> None:
    own, below, total = counted
    for title, counter in (("in the function itself", own), ("in it and what it calls", below)):
        print(f"\n{'share':>7}{'us each':>9}  {title}")
        for name, count in [one for one in counter.most_common() if one[1] < EVERYTHING * total][:TOP]:
            print(f"{count / total:>7.1%}{count / total * user_us:>9.1f}  {name}")
    print()
