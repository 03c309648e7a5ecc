"""How long taking a network apart takes, and how much memory: ``python tests/benchmarks/bench_dissect.py``.

The network holds real weights, as in a notebook. Time: median of the rounds, in turn with torchinfo's summary of the
same network (install torchinfo for that column). Memory: peak of a fresh process, above what it had with the network
loaded. Wanted: at most 0.5 s and 100 MB.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import paired
import torch
import torchvision

from helpers import dissect

NAMES = ("alexnet", "vgg16", "resnet18", "resnet152")
SIZE = 224  # px


def work(name: str, tool: str) -> Callable[[], object]:
    """Dissecting the network ``name`` with the kit or with torchinfo."""
    with torch.device("meta"):
        model = torchvision.models.get_model(name).eval()
    model.to_empty(device="cpu")
    for value in (*model.parameters(), *model.buffers()):  # real memory, without the temporaries of an initialisation
        value.data.fill_(0.01)
    if tool == "kit":
        return lambda: dissect.layers(model, SIZE)
    import torchinfo

    return lambda: torchinfo.summary(model, (1, 3, SIZE, SIZE), device="cpu", verbose=0)


def peak() -> float:
    """Most memory that this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss would begin with the memory of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def extra_memory(name: str, tool: str) -> str:
    """MB that a first dissection adds to the peak, measured in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", name, "--tool", tool]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def measure_memory(name: str, tool: str) -> None:
    run = work(name, tool)
    work("squeezenet1_1", tool)()  # imports are not what is measured
    before = peak()
    run()
    print(f"{peak() - before:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements (default 5)")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--tool", default="kit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        measure_memory(options.memory_of, options.tool)
        return
    tools = ["kit", "torchinfo"] if importlib.util.find_spec("torchinfo") else ["kit"]
    if len(tools) == 1:
        print("torchinfo is not installed, so there is nothing to compare with: pip install torchinfo")
    print(f"{SIZE} px, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name in NAMES:
        runs = {tool: work(name, tool) for tool in tools}
        times: dict[str, list[float]] = {tool: [] for tool in tools}
        paired.seconds(runs["kit"])  # the first one imports parts of torch
        for _ in range(options.rounds):
            for tool, run in runs.items():
                times[tool].append(paired.seconds(run))
        for tool in tools:
            median, slowest = statistics.median(times[tool]), max(times[tool])
            memory = extra_memory(name, tool)
            print(f"{name:<11}{tool:<10} median {median:6.3f} s  slowest {slowest:6.3f} s  extra memory {memory:>5} MB")
        if len(tools) == 2:
            ratio = statistics.median(slow / fast for fast, slow in zip(times["kit"], times["torchinfo"], strict=True))
            print(f"{name:<11}torchinfo takes {ratio:.1f} times as long")


if __name__ == "__main__":
    main()
