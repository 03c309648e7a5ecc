"""One process at a time: notebooks that fetch or train the same thing wait for each other."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

SILENT = 10.0  # s; a shorter wait needs no word
PATIENCE = 900.0  # s


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path``; wait while another process or thread has it.

    Gives False where nothing can be locked (some network file systems): then nobody waits. The lock ends with the
    process, however it ends. Raises TimeoutError after 15 minutes.
    """
    lock = FileLock(path)
    try:
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=SILENT)
        if not lock.is_locked:
            print("Another notebook is at work on this; waiting for it.", file=sys.stderr)
            lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        said = f"Another notebook has held {path} for {PATIENCE:g} s. Stop it and run this again."
        raise TimeoutError(said) from error
    except (OSError, NotImplementedError):
        pass
    try:
        yield lock.is_locked
    finally:
        lock.release()
