"""`make vectors`, the Python half: re-verifies frozen bytes and says plainly how much of each file is covered.

The official MLS files (mlswg/mls-implementations) are not part of this repository: KITH_VECTORS names the folder that
holds them. Of suite 1, the server reads the public parts; the secret parts belong to the engine and are not run here.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kith.protocol import content as mimi
from kith.protocol.franking import Context, build_aad, franking_tag, integrity_tbs, server_frank, sign_single
from kith.protocol.mls import ratchet_tree
from kith.protocol.mls.framing import parse_commit, parse_private_message
from kith.protocol.mls.group_info import parse_group_info
from kith.protocol.mls.key_package import parse_key_package
from kith.protocol.mls.refusals import Unsupported
from kith.protocol.mls.welcome import parse_welcome
from kith.protocol.signing import verify_with_label
from kith.protocol.wire import Malformed, Reader
from protocol.franked import seeded
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


def varint(case: Case) -> bool:
    """deserialization.json: the whole case."""
    length: int = case["length"]
    return Reader(bytes.fromhex(case["vlbytes_header"])).varint() == length


def message(case: Case) -> bool:
    """messages.json: the message kinds that a delivery service reads; other suites must be refused as such."""
    parse_private_message(bytes.fromhex(case["private_message"]))
    kinds: tuple[tuple[str, Callable[[bytes], object]], ...] = (
        ("mls_welcome", parse_welcome),
        ("mls_group_info", parse_group_info),
        ("mls_key_package", parse_key_package),
        ("public_message_commit", parse_commit),
    )
    for name, parse in kinds:
        try:
            parse(bytes.fromhex(case[name]))
        except Unsupported:  # by name: another suite, or a commit with references
            continue
    return True


def joiner(case: Case) -> bool:
    """Key package: both signatures; Welcome: addresses it; commits: read, or refused by name."""
    offered = parse_key_package(bytes.fromhex(case["key_package"]))
    signed = verify_with_label(offered.signature_key, "KeyPackageTBS", offered.signed, offered.signature)
    addressed = offered.ref in parse_welcome(bytes.fromhex(case["welcome"])).refs
    for epoch in case.get("epochs", []):
        try:
            parse_commit(bytes.fromhex(epoch["commit"]))
        except Unsupported:
            continue
    return signed and offered.leaf.verify_signature() and addressed


def tree(case: Case) -> bool:
    """tree-validation.json: tree hashes and leaf signatures; resolutions and parent hashes are not checked here."""
    nodes = ratchet_tree.read_tree(bytes.fromhex(case["tree"]))
    group_id = bytes.fromhex(case["group_id"])
    hashes = [value.hex() for value in ratchet_tree.tree_hashes(nodes)] == case["tree_hashes"]
    return hashes and all(leaf.verify_signature(group_id, at) for at, leaf in ratchet_tree.leaves_of(nodes))


MLS: tuple[tuple[str, str, Callable[[Case], bool]], ...] = (
    ("deserialization", "whole", varint),
    ("messages", "delivery kinds: parse", message),
    ("passive-client-welcome", "key package, Welcome addresses", joiner),
    ("passive-client-handling-commit", "the same, and commits: parse", joiner),
    ("passive-client-random", "the same, and commits: parse", joiner),
    ("welcome", "key package, Welcome addresses", joiner),
    ("tree-validation", "tree hashes, leaf signatures", tree),
)
NOT_RUN = (
    "crypto-basics, key-schedule, message-protection, psk_secret, secret-tree, transcript-hashes, tree-math, "
    "tree-operations, treekem"
)


def passed(case: Case, check: Callable[[Case], bool]) -> bool:
    """Whether the check holds; malformed counts as failed."""
    try:
        return check(case)
    except Malformed:
        return False


def line(name: str, good: int, total: int, covers: str) -> bool:
    """One row of the table; whether it is in order."""
    print(f"{'ok  ' if good == total else 'FAIL'} {name:<36} {good:>4}/{total:<4} {covers}")
    return good == total


def own() -> list[bool]:
    """Kith's frozen files against what the code makes today."""
    frozen = {name: (GOLDEN / f"{name}.json").read_text("utf-8") for name in FILES}
    return [line(f"golden/{name}", int(text == rendered(name)), 1, "whole") for name, text in frozen.items()]


def official(folder: Path) -> list[bool]:
    """The franking vector and the MLS cases of suite 1 or of no suite."""
    vector = json.loads((folder / "franking" / "frank_vectors.json").read_text("utf-8"))
    rows = [line("franking/frank_vectors", int(passed(vector, franking)), 1, "whole")]
    for name, covers, check in MLS:
        cases = json.loads((folder / "mls" / f"{name}.json").read_text("utf-8"))
        ours = [case for case in cases if case.get("cipher_suite", 1) == 1]
        rows.append(line(f"mls/{name}", sum(passed(case, check) for case in ours), len(ours), covers))
    print(f"     not run in Python: {NOT_RUN}, and the secret parts of the files above")
    return rows


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
