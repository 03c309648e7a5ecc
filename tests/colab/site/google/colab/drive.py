"""``google.colab.drive``: a Drive in the folder COLAB_REPLICA_DRIVE; without one, nobody gives permission."""

import os
from pathlib import Path


def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
    folder = os.environ.get("COLAB_REPLICA_DRIVE")
    if not folder:
        raise ValueError("mount failed: credential propagation was unsuccessful")
    for name in ("MyDrive", "My Drive"):
        (Path(folder) / name).mkdir(parents=True, exist_ok=True)
    import helpers.drive

    helpers.drive.MOUNTPOINT = Path(folder)  # not everybody may write to /content
    print(f"Mounted at {mountpoint}")


def flush_and_unmount(timeout_ms=24 * 60 * 60 * 1000):
    print("Drive not mounted, so nothing to flush and unmount.")
