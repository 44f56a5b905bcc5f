"""Fail-stop: what counts as a failed disk, what is said about it, and how the process ends.

After a failed fsync the system may mark pages clean that never reached the disk, and SQLite itself would go on and
commit later transactions. So the first error ends the process: what is in doubt was never acknowledged, and the next
start recovers from what is really on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys

import apsw

EXIT_STORAGE = 74
"""EX_IOERR of sysexits.h: the disk or the database failed."""
LAST_WORDS_S = 2
"""Seconds that the last sentence may take; a terminal or pipe that nobody reads must not keep the process alive."""

FAILURES = (
    apsw.IOError,
    apsw.FullError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.ProtocolError,
    apsw.FormatError,
    apsw.NoLFSError,
    apsw.NoMemError,
    apsw.InternalError,
)
"""SQLite's answers that mean the storage failed, not the statement."""

_DISK = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class StorageError(RuntimeError):
    """The storage failed or cannot be used; nothing in doubt was acknowledged. The message says what to mend."""


def is_disk(error: BaseException) -> bool:
    """Whether an error outside the database comes from the disk and not from, say, the network."""
    return isinstance(error, FAILURES) or (isinstance(error, OSError) and error.errno in _DISK)


def sentence(failure: BaseException, path: str) -> str:
    """What failed and what to do, for the operator."""
    match failure:
        case StorageError():
            return str(failure)
        case apsw.FullError():
            what, remedy = "the disk is full", "Free some space"
        case apsw.CorruptError() | apsw.NotADBError() | apsw.FormatError():
            what, remedy = "the database is damaged", "Restore a backup (kith restore)"
        case apsw.ReadOnlyError() | apsw.CantOpenError():
            what, remedy = "the database cannot be opened for writing", "Look at the disk and at the folder's owner"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            what, remedy = "the disk is full", "Free some space"
        case _:
            what, remedy = "the disk failed", "Look at the disk and the system's log"
    where = getattr(failure, "filename", None) or path
    return (
        f"Storage failed, {what}: {where} ({_detail(failure)}). "
        f"Stopped; nothing that was not saved has been confirmed. {remedy}, then start again."
    )


def _detail(failure: BaseException) -> str:
    name = apsw.mapping_extended_result_codes.get(getattr(failure, "extendedresult", -1))
    return f"{failure}, {name}" if isinstance(name, str) else str(failure)


def die(error: StorageError) -> None:
    """End the process now, with one sentence: no handler, no buffer and no thread runs any further."""
    # Should the last words block, the alarm's own default action ends the process instead.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LAST_WORDS_S)
    with contextlib.suppress(OSError):  # standard error may lie on the same full disk
        os.write(sys.stderr.fileno(), f"kith: {error}\n".encode())
    os._exit(EXIT_STORAGE)
