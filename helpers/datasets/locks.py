"""One process at a time: notebooks that fetch or train the same thing wait for each other."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PATIENCE = 900.0  # s
SILENT = 10.0  # s; a shorter wait needs no word


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path`` (made if needed, never deleted); wait while another process or thread has it.

    Gives False where nothing can be locked (Windows, some network file systems): then nobody waits. The lock ends
    with the process, however it ends. Raises TimeoutError after 15 minutes.
    """
    with path.open("a") as file:  # closing it frees the lock
        locked, began, said = _lock(file), time.monotonic(), False
        while locked is None:
            waited = time.monotonic() - began
            if waited > SILENT and not said:
                print("Another notebook is at work on this; waiting for it.", file=sys.stderr)
                said = True
            if waited > PATIENCE:
                raise TimeoutError(f"Another notebook has held {path} for {PATIENCE:g} s. Stop it and run this again.")
            time.sleep(0.1)
            locked = _lock(file)
        yield locked


def _lock(file: IO[str]) -> bool | None:
    """True: it is ours. None: somebody else has it. False: nothing can be locked here."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except (ImportError, OSError):
        return False
    return True
