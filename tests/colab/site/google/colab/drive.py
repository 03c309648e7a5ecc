"""``google.colab.drive`` for somebody who does not give permission."""


def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
    raise ValueError("mount failed: credential propagation was unsuccessful")


def flush_and_unmount(timeout_ms=24 * 60 * 60 * 1000):
    print("Drive not mounted, so nothing to flush and unmount.")
