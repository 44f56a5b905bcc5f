"""`make vectors`, the Python half: re-verifies frozen bytes and says plainly how much of each file is covered.

The official MLS files (mlswg/mls-implementations) are not part of this repository: KITH_VECTORS names the folder that
holds them. `official_mls` has the checks; cases of other suites do not count.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kith.protocol import content as mimi
from kith.protocol.franking import Context, build_aad, franking_tag, integrity_tbs, server_frank, sign_single
from kith.protocol.wire import Malformed
from protocol.franked import seeded
from vectors import official_mls
from vectors.make_golden import FILES, rendered
from vectors.shared import GOLDEN, vectors_folder

Case = dict[str, Any]


def franking(vector: Case) -> bool:
    """Everything in the franking vector follows from its inputs."""
    m, ctx = bytes.fromhex(vector["content"]), Context(**vector["ctx"])
    content = mimi.decode(m)
    tag = franking_tag(content.salt, m)
    frank = server_frank(bytes.fromhex(vector["hub_key"]), tag, ctx)
    tbs = integrity_tbs(frank, ctx)
    private = seeded(bytes.fromhex(vector["sign_seed"])[0])
    made = {
        "message_id": mimi.message_id(content.sender_uri, content.room_uri, m, content.salt),
        "franking_tag": tag,
        "aad": build_aad(tag),
        "ctx_bytes": ctx.encode(),
        "server_frank": frank,
        "tbs": tbs,
        "signature": sign_single(private, tbs).signature,
    }
    return all(value.hex() == vector[name] for name, value in made.items())


def passed(case: Case, check: Callable[[Case], bool]) -> bool:
    """Whether the check holds; malformed counts as failed."""
    try:
        return check(case)
    except Malformed:
        return False


def line(name: str, good: int, total: int) -> bool:
    """One row of the table; whether it is in order."""
    print(f"{'ok  ' if good == total else 'FAIL'} {name:<36} {good:>4}/{total}")
    return good == total


def own() -> list[bool]:
    """Kith's frozen files against what the code makes today."""
    frozen = {name: (GOLDEN / f"{name}.json").read_text("utf-8") for name in FILES}
    return [line(f"golden/{name}", int(text == rendered(name)), 1) for name, text in frozen.items()]


def official(folder: Path) -> list[bool]:
    """The franking vector and the MLS cases of suite 1 or of no suite, with the count that ends the run."""
    vector = json.loads((folder / "franking" / "frank_vectors.json").read_text("utf-8"))
    rows = [line("franking/frank_vectors", int(passed(vector, franking)), 1)]
    good_cases = 0
    for name, check in official_mls.FILES:
        cases = official_mls.counted(json.loads((folder / "mls" / f"{name}.json").read_text("utf-8")))
        good = sum(passed(case, check) for case in cases)
        rows.append(line(f"mls/{name}", good, len(cases)))
        good_cases += good
    print(f"{good_cases} of {official_mls.EXPECTED}")
    return [*rows, good_cases == official_mls.EXPECTED]


def main() -> int:
    """The table; 1 when a row failed."""
    folder = vectors_folder()
    rows = own()
    if folder.exists():
        rows += official(folder)
    else:
        print("     the franking and MLS vectors are not here; set KITH_VECTORS to the folder that holds them")
    return 0 if all(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
