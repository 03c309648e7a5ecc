"""How long one redraw of an explorer takes in Python: ``python -m tests.benchmarks.bench_explorer``.

A step of the slider, the whole way: new state, arithmetic, SVG string, assignment to the widget (without a browser).
Prints the median and the slowest of 200 steps in ms of this thread's CPU time (a busy machine makes no difference),
and the size of the picture. A redraw should stay under 5 ms.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from helpers.svg import Picture
from helpers.widgets import ConvExplorer, Explorer, ReceptiveFieldExplorer, VolumeView

STEPS = 200
CASES: dict[str, tuple[Callable[[], Explorer], str]] = {
    "7x7, kernel 3": (lambda: ConvExplorer(), "step"),
    "7x7, padding 1, input view": (lambda: ConvExplorer({"padding": 1, "view": "input"}), "step"),
    "12x12, padding 3, kernel 5": (lambda: ConvExplorer({"size": 12, "padding": 3, "kernel_size": 5}), "step"),
    "12x12, 16 channels, 16 filters": (
        lambda: ConvExplorer({"size": 12, "in_channels": 16, "out_channels": 16, "padding": 1}),
        "step",
    ),
    "16 channels, another setup each step": (lambda: ConvExplorer({"size": 12, "in_channels": 16}), "padding"),
    "AlexNet conv1 at 224 (strip)": (lambda: ConvExplorer("AlexNet conv1 at 224"), "step"),
    "LeNet C1 (strip)": (lambda: ConvExplorer("LeNet C1"), "step"),
    "receptive field, three layers": (lambda: ReceptiveFieldExplorer(), "cell"),
    "receptive field, VGG-16": (lambda: ReceptiveFieldExplorer("VGG-16"), "cell"),
    "volume": (lambda: VolumeView(), "size"),
}


def measure(explorer: Explorer, setting: str) -> tuple[list[float], Picture]:
    """Milliseconds of every step of one slider, back and forth over its range, and the last picture."""
    control, times = explorer.controls[setting], []
    places = list(range(control.min, control.max + 1)) or [0]
    for step in range(STEPS + 1):
        target = places[step % len(places)]
        if target == control.value:
            target = places[(step + 1) % len(places)]
        begin = time.thread_time()
        control.value = target
        times.append(1000 * (time.thread_time() - begin))
    return times[1:], explorer.svg()


def main() -> None:
    print(f"{'picture':<38}{'median ms':>10}{'slowest ms':>12}{'KiB':>7}")
    for name, (make, setting) in CASES.items():
        times, picture = measure(make(), setting)
        print(f"{name:<38}{statistics.median(times):>10.2f}{max(times):>12.2f}{len(picture.encode()) / 1024:>7.1f}")


if __name__ == "__main__":
    main()
