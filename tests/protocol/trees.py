"""A prefix tree and a log over it in memory, as an honest or a lying server would keep them."""

from __future__ import annotations

from kith.protocol import transparency as kt


class Tree:
    """A prefix tree and a log over it, in memory."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, kt.Node] = {}
        self.root = kt.NOTHING
        self.log: dict[tuple[int, int], bytes] = {}
        self.entries: list[tuple[int, bytes]] = []

    def add(self, key: bytes, commitment: bytes, at_ms: int = 0) -> None:
        """Commit to something, in an entry of its own."""
        self.root, made = kt.insert(self.nodes.__getitem__, self.root, kt.Leaf(key, commitment))
        self.nodes |= {node.hash: node for node in made}
        self.append(at_ms)

    def append(self, at_ms: int) -> None:
        """One more entry."""
        leaf = kt.log_leaf(at_ms, self.root)
        for level, place, value in kt.completed(len(self.entries), leaf, self.subtree):
            self.log[level, place] = value
        self.entries.append((at_ms, self.root))

    def subtree(self, level: int, place: int) -> bytes:
        """A complete subtree of the log."""
        return self.log[level, place]

    def look_up(self, key: bytes) -> kt.Lookup:
        """Search the newest tree."""
        return kt.look_up(self.nodes.__getitem__, self.root, key)

    def entry(self, position: int, label: bytes, held: int, since: int = 0) -> kt.Entry:
        """An entry as served, when the label had `held` versions."""
        at_ms, root = self.entries[position]
        greatest = held - 1 if held else None
        keys = [kt.search_key(label, version) for version in kt.wanted(greatest, since)]
        return kt.Entry(
            position,
            at_ms,
            root,
            tuple(kt.inclusion(self.subtree, position, len(self.entries))),
            greatest,
            tuple(kt.look_up(self.nodes.__getitem__, root, key).encode(key) for key in keys),
        )
