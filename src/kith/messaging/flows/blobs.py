"""Blobs as rows: who may begin one, how far it came, when it goes. Their bytes are `blob_keeper`'s business."""

from __future__ import annotations

from typing import NamedTuple

from kith.ledger.database import Reader, Tx
from kith.messaging import blobs as policy
from kith.messaging import store
from kith.messaging.flows.limiting import refused
from kith.messaging.limits import DEFAULTS, Limits
from kith.messaging.outcomes import ABSENT, Code, Refusal
from kith.people import enforcement
from kith.people.buckets import Charge, charge

POLICY = "messaging.blobs"
MOST = 100
"""Rows that one flow deals with: well under a millisecond."""


class Held(NamedTuple):
    """A blob that is there now. `received`: bytes that are durable."""

    blob: str
    account: str
    size: int
    received: int
    complete: bool
    expires_ms: int


def begin(tx: Tx, account: str, blob: str, size: int, *, key: bytes, limits: Limits = DEFAULTS) -> Held | Refusal:
    """Make room for an upload under this fresh id. `key` blinds whose bytes are counted (`buckets.charge`)."""
    there = tx.one(store.BLOBS_HELD, who=account, now=tx.now)
    held, unfinished = (0, 0) if there is None else (there.held, there.unfinished)
    kept = int(tx.value(store.BYTES_KEPT, who=account))
    facts = policy.Uploader(suspended(tx, account), unfinished, held, kept)
    decision = policy.may_upload(facts, size, limits)
    if decision.refused:
        code: Code = "restricted" if decision.reasons[0].rule == "standing" else "limited"
        # As one sum: what of it is evidence would tell its reader that she was reported.
        known = {"open_uploads": unfinished, "counted_bytes": facts.counted(limits), "size": size}
        return refused(tx, POLICY, account, decision, known, code=code)
    allowance = Charge("blob-bytes", account, policy.allowance(limits), policy.tokens(size))
    wait = charge(tx, key, (allowance,))
    if wait is not None:
        per_day = limits.blob_bytes_per_day // policy.MEBIBYTE
        return Refusal("limited", f"You've sent {per_day} MB today. Wait a little, then go on.", retry_after_ms=wait)
    tx.put(
        store.blobs,
        blob=blob,
        account=account,
        size=size,
        received=0,
        created_ms=tx.now,
        touched_ms=tx.now,
        expires_ms=tx.now + limits.blob_unfinished_ms,
    )
    return Held(blob, account, size, 0, complete=False, expires_ms=tx.now + limits.blob_life_ms)


def suspended(reader: Reader, account: str) -> bool:
    """Whether a measure keeps her from sending, and so from bringing octets."""
    return not enforcement.standing(reader, account).can_send


def stopped(tx: Tx, account: str) -> Refusal:
    """Why an upload of somebody who was suspended does not go on."""
    decision = policy.may_upload(policy.Uploader(suspended=True, open_uploads=0, held_bytes=0, kept_bytes=0), 0)
    return refused(tx, POLICY, account, decision, {}, code="restricted")


def found(reader: Reader, blob: str) -> Held | None:
    """The blob with this id, unless it is over."""
    row = reader.one(store.BLOB, id=blob)
    if row is None or row.expires_ms <= reader.now:
        return None
    return Held(row.blob, row.account, row.size, row.received, row.complete_ms is not None, row.expires_ms)


def received(tx: Tx, blob: str, length: int, *, limits: Limits = DEFAULTS) -> bool:
    """So many bytes are durable; with the last of them it is complete. False when the blob went meanwhile."""
    row = tx.one(store.BLOB, id=blob)
    if row is None or row.complete_ms is not None:
        return False
    last = row.created_ms + limits.blob_life_ms
    done = length == row.size
    until = last if done else min(last, tx.now + limits.blob_unfinished_ms)
    tx.run(store.BLOB_RECEIVED, id=blob, length=length, now=tx.now, done=tx.now if done else None, until=until)
    return True


def remove(tx: Tx, account: str, blob: str) -> Refusal | None:
    """Take back an own blob, whatever state it is in."""
    row = tx.one(store.BLOB, id=blob)
    if row is None or row.account != account or row.expires_ms <= tx.now:
        return ABSENT
    _gone(tx, blob)
    return None


def expire(tx: Tx) -> bool:
    """One bounded piece of what is over; True when there may be more."""
    over = tx.all(store.BLOBS_EXPIRED, now=tx.now, most=MOST)
    for row in over:
        _gone(tx, row.blob)
    return len(over) == MOST


def _gone(tx: Tx, blob: str) -> None:
    """From now on nobody finds it; its bytes follow, also after a crash, unless evidence needs them."""
    tx.run(store.BLOB_GONE, id=blob)
    if not tx.any(store.HOLD, id=blob):
        tx.put(store.blob_removals, blob=blob)


def hold(tx: Tx, blob: str, size: int, holder: str) -> bool:
    """Keep the bytes of a complete blob for evidence, whatever becomes of it; False when it is not here as that.

    Nobody's allowance refuses it; what it adds to its uploader's is counted when she begins the next upload.
    """
    there = found(tx, blob)
    if there is None or not there.complete or there.size != size:
        return False
    if blob not in {row.blob for row in tx.all(store.HOLDS_OF, by=holder)}:  # a message may name it twice
        tx.put(store.blob_holds, blob=blob, holder=holder, account=there.account, size=size)
    return True


def release(tx: Tx, holder: str) -> None:
    """This evidence is destroyed; bytes that nothing else needs go as well."""
    blobs = [row.blob for row in tx.all(store.HOLDS_OF, by=holder)]
    tx.run(store.HOLDS_GONE, by=holder)
    for blob in blobs:
        if not tx.any(store.HOLD, id=blob) and not tx.any(store.BLOB, id=blob):
            tx.put(store.blob_removals, blob=blob)


def to_remove(reader: Reader) -> list[str]:
    """Blobs whose bytes still lie somewhere."""
    return [row.blob for row in reader.all(store.BLOBS_TO_REMOVE, most=MOST)]


def removed(tx: Tx, blobs: list[str]) -> None:
    """Their bytes are gone."""
    tx.run_many(store.BLOB_REMOVED, [{"id": blob} for blob in blobs])


class Stored(NamedTuple):
    """A complete blob whose bytes must lie somewhere. `evidence`: a report needs them."""

    blob: str
    size: int
    evidence: bool


def stored(reader: Reader) -> list[Stored]:
    """Everything that storage must have now."""
    held = {row.blob: row.size for row in reader.all(store.BLOBS_KEPT)}
    own = {row.blob: row.size for row in reader.all(store.BLOBS_COMPLETE, now=reader.now)}
    return [Stored(blob, size, evidence=blob in held) for blob, size in {**held, **own}.items()]


def unknown(reader: Reader, blobs: list[str]) -> list[str]:
    """Those of these ids that no row knows: what a restored database has forgotten."""
    return [blob for blob in blobs if not reader.any(store.BLOB, id=blob) and not reader.any(store.HOLD, id=blob)]
