"""Effects, worked into the stored rows of a room; what waits for its target; what is put away, and until when.

Runs inside the transaction of whoever adds a row.
"""

from typing import Final, Literal

from msgspec.structs import replace

from kith.protocol import content as mimi
from kith.protocol.changes import Withdraw, change_of
from kith.protocol.content import closes_loop
from kith.sdk import receive
from kith.sdk.effects import Changed, base_of, doing_of, fold, hidden
from kith.sdk.records import Doing, HeldEffect, Hold, MessageRecord, padded
from kith.sdk.vault import Vault

DAY_MS: Final = 24 * 3600 * 1000
KEEP_MS: Final = 7 * DAY_MS
"""How long what was deleted, or disappeared, stays reportable here, shown nowhere."""
MAX_HELD: Final = 64
"""Effects of one sender that wait for their target in one room, and how long they do. Nobody takes others' places."""
MAX_CHAIN: Final = 64
"""Answers to answers that are walked."""
HELD_MS: Final = 7 * DAY_MS


class Folding:
    """One room's rows, at one moment. `foreign`: the accounts that tried to change what is not theirs."""

    def __init__(self, vault: Vault, room: str, now: int) -> None:
        self._vault, self._room, self._now = vault, room, now
        self.foreign: set[str] = set()

    def added(self, key: str, row: MessageRecord) -> None:
        """This row was just stored: it may change others, and others may have waited for it."""
        if row.kind == "effect":
            self._settle(key, row)
        if row.content is not None:
            self._release(row.id)

    def loops(self, row: MessageRecord) -> bool:
        """Whether an answer leads back into its own chain, as far as one looks."""
        chain: dict[bytes, bytes | None] = {}
        at = row.reply_to
        while at is not None and len(chain) < MAX_CHAIN and bytes.fromhex(at) not in chain:
            found = self.find(at)
            after = None if found is None else found[1].reply_to
            chain[bytes.fromhex(at)] = None if after is None else bytes.fromhex(after)
            at = after
        answered = None if row.reply_to is None else bytes.fromhex(row.reply_to)
        return closes_loop(bytes.fromhex(row.id), answered, chain)

    def find(self, message: str) -> tuple[str, MessageRecord] | None:
        """A row of this room by the id of its message."""
        key = self._vault.get("ids", f"{self._room}/{message}", str)
        row = None if key is None else self._vault.get("messages", key, MessageRecord)
        return None if key is None or row is None else (key, row)

    def base(self, message: str) -> tuple[str, MessageRecord] | None:
        """The row of a message by the id of any of its versions."""
        found = self.find(message)
        name = found and base_of(found[1])
        return None if name is None else self.find(name)

    def _settle(self, key: str, row: MessageRecord) -> None:
        over = row.keep_ms is not None or (row.vanish_ms is not None and row.vanish_ms <= self._now)
        content = None if row.content is None or over else mimi.decode(row.content)
        change = None if content is None else change_of(content)
        if change is None:
            return None
        via = self.find(change.target.hex())
        if via is None:
            return self._hold(change.target.hex(), key, row)
        base = self.base(via[1].id)
        if base is None:
            # What it names waits for its own target, or is something that nothing can be done to.
            awaited = self._awaited(via[1])
            return None if awaited is None else self._hold(awaited, key, row)
        outcome = fold(row, change, via[1], base[1])
        done = isinstance(outcome, Changed)
        doing = doing_of(change, row, via[1], base[1]) if done else Doing(what="none", base=base[1].id)
        self._vault.put("messages", key, replace(row, doing=doing))
        if isinstance(outcome, Changed):
            self._changed(*base, outcome)
            if outcome.what == "edit":  # one more than count puts the latest away
                self._bury({edit.id for edit in base[1].edits} - {edit.id for edit in outcome.base.edits})
        if outcome == "buried":
            self._bury({row.id})
        if outcome == "foreign":
            self.foreign.add(row.sender)
        return None

    def _awaited(self, via: MessageRecord) -> str | None:
        """The first message that is not here, on the way from an unsettled effect to what it changes."""
        for _ in range(MAX_CHAIN):
            change = None if via.doing is not None or via.content is None else change_of(mimi.decode(via.content))
            if change is None or isinstance(change, Withdraw):  # a deletion has nothing that could be changed
                return None
            found = self.find(change.target.hex())
            if found is None:
                return change.target.hex()
            via = found[1]
        return None

    def _changed(self, key: str, before: MessageRecord, outcome: Changed) -> None:
        match outcome.what:
            case "delete":
                self.put_away(key, before, "deleted")
            case "edit":
                self._vault.put("messages", key, self._reworded(outcome.base))
            case "react":
                self._vault.put("messages", key, outcome.base)

    def _bury(self, ids: set[str]) -> None:
        """Edits that are shown nowhere stay reportable for a while."""
        for key, row in filter(None, map(self.find, ids)):
            self._put(key, replace(row, text="", keep_ms=self._now + KEEP_MS))

    def _reworded(self, base: MessageRecord) -> MessageRecord:
        newest = self.find(base.edits[-1].id)
        if newest is None or newest[1].content is None:
            return base
        kind, words = receive.shown(mimi.decode(newest[1].content))
        return replace(base, kind=kind, text=words)

    def put_away(self, key: str, row: MessageRecord, kind: Literal["deleted", "gone"]) -> None:
        """A message and its edits: nothing of them is shown any more; they stay reportable for a while."""
        self._bury({edit.id for edit in row.edits})
        self._put(key, hidden(row, kind, self._now + KEEP_MS))

    def read(self, key: str, row: MessageRecord) -> None:
        """It was read here: the time until it disappears begins."""
        if row.fades_s is not None and row.vanish_ms is None and not row.mine:
            self._put(key, replace(row, vanish_ms=self._now + row.fades_s * 1000))

    def fade(self, key: str, row: MessageRecord) -> None:
        """Its time is over: what somebody reads is hidden, of a change the bytes go soon.

        A version of a message goes when the message does, or it would say less than is shown.
        """
        if row.kind != "effect":
            return self.put_away(key, row, "gone")
        base = self.find(row.doing.base) if row.doing is not None and row.doing.what == "edit" else None
        if base is None or all(edit.id != row.id for edit in base[1].edits):
            self._bury({row.id})
        return None

    def _put(self, key: str, row: MessageRecord) -> None:
        self._vault.put("messages", key, row)
        remember_end(self._vault, key, row)

    def _hold(self, target: str, key: str, row: MessageRecord) -> None:
        held = self._vault.scan("meta", f"holds/{self._room}/{row.sender}/", Hold)
        over = [(place, one) for place, one in held if one.until_ms < self._now]
        for place, one in over:
            self._vault.drop("meta", one.at)
            self._vault.drop("meta", place)
        if len(held) - len(over) < MAX_HELD:
            until_ms, at = self._now + HELD_MS, f"held/{self._room}/{target}/{padded(row.seq or 0)}"
            self._vault.put("meta", at, HeldEffect(key=key, until_ms=until_ms))
            self._vault.put("meta", self._hold_of(row), Hold(at=at, until_ms=until_ms))

    def _hold_of(self, row: MessageRecord) -> str:
        return f"holds/{self._room}/{row.sender}/{padded(row.seq or 0)}"

    def _release(self, message: str) -> None:
        """What waited for this message, in the order in which it was said."""
        for place, held in self._vault.scan("meta", f"held/{self._room}/{message}/", HeldEffect):
            self._vault.drop("meta", place)
            row = self._vault.get("messages", held.key, MessageRecord)
            if row is None:
                continue
            self._vault.drop("meta", self._hold_of(row))
            if held.until_ms >= self._now:
                self._settle(held.key, row)


def remember_end(vault: Vault, key: str, row: MessageRecord) -> None:
    """A row that disappears, or whose bytes are forgotten, is found by the time at which that is due."""
    due = row.keep_ms if row.keep_ms is not None else row.vanish_ms
    if due is not None:
        vault.put("meta", f"due/{padded(due)}/{key}", key)


def sweep(vault: Vault, now: int) -> set[str]:
    """Everything whose time is over: what disappears is hidden, what was hidden long enough is forgotten.

    The rooms in which something changed. Rows stay, empty, so that no gap opens in the numbers.
    """
    due = vault.scan("meta", "due/", str, before=f"due/{padded(now + 1)}")
    if not due:
        return set()
    with vault.transaction():
        for place, key in due:
            vault.drop("meta", place)
            row = vault.get("messages", key, MessageRecord)
            if row is None:
                continue
            if row.keep_ms is not None and row.keep_ms <= now:
                vault.put("messages", key, replace(row, content=None, frank=None, text="", keep_ms=None))
            elif row.keep_ms is None and row.vanish_ms is not None and row.vanish_ms <= now:
                Folding(vault, key.split("/")[0], now).fade(key, row)
    return {key.split("/")[0] for _, key in due}
