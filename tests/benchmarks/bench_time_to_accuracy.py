"""Time and accuracy of fine-tuning in one call: ``training.fine_tune`` and fastai's ``vision_learner(...).fine_tune``.

    python tests/benchmarks/bench_time_to_accuracy.py DATA_FOLDER --fastai fastai_env/bin/python

fastai wants an environment of its own: ``python3 -m venv fastai_env && fastai_env/bin/pip install fastai``. Without
``--fastai`` the kit runs alone. Both start from the same pretrained weights (torchvision's, from TORCH_HOME or the
network) and see the same photos at the same size on the same number of threads; each takes its own defaults for the
rest, sets a tenth of the training images aside, and is judged on all images of ``test/``. They run in turn, each run in
a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KIT = Path(__file__).resolve().parents[2]


def kit(run: argparse.Namespace) -> dict[str, float]:
    """One run of ``training.fine_tune``: seconds, and accuracy on the test images in percent."""
    sys.path.insert(0, str(KIT))
    import torch

    from helpers import loaders, models, training

    torch.manual_seed(run.seed)  # the new head's first weights
    began = time.perf_counter()
    data = loaders.image_folder(run.folder, size=run.size, augment="flip", seed=run.seed)
    model = models.load(run.network, num_classes=len(data.classes))
    training.fine_tune(model, data, run.epochs, seed=run.seed)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "accuracy": training.evaluate(model, data.test).accuracy}


def fastai(run: argparse.Namespace) -> dict[str, float]:
    """The same with fastai: its head, its one-cycle schedules, its augmentation."""
    import torchvision
    from fastai.vision.all import ImageDataLoaders, Resize, aug_transforms, get_image_files, set_seed, vision_learner
    from fastai.vision.all import accuracy as right

    set_seed(run.seed)
    began = time.perf_counter()
    options: dict[str, Any] = {"item_tfms": Resize(run.size), "batch_tfms": aug_transforms(size=run.size)}
    data = ImageDataLoaders.from_folder(
        run.folder / "train", valid_pct=0.1, seed=run.seed, bs=32, num_workers=0, **options
    )
    learner = vision_learner(data, getattr(torchvision.models, run.network), metrics=right)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(run.epochs)
        seconds = time.perf_counter() - began
        test = data.test_dl(get_image_files(run.folder / "test"), with_labels=True)
        share = learner.validate(dl=test)[1]
    return {"seconds": seconds, "accuracy": 100 * share}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="holds train/<class>/ and test/<class>/")
    parser.add_argument("--fastai", metavar="PYTHON", help="the Python of an environment with fastai")
    parser.add_argument("--network", default="squeezenet1_1", help="torchvision's name (squeezenet1_1)")
    parser.add_argument("--size", type=int, default=128, help="side of the images, px (128)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the whole network, after the head's (3)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each run (2)")
    parser.add_argument("--run", choices=["kit", "fastai"], help=argparse.SUPPRESS)  # one run, in a process of its own
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        import torch

        torch.set_num_threads(options.threads)
        print(json.dumps(kit(options) if options.run == "kit" else fastai(options)))
        return

    pythons = {"kit": sys.executable} | ({"fastai": options.fastai} if options.fastai else {})
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    settings = [f"--{name}={getattr(options, name)}" for name in ("network", "size", "epochs", "threads")]
    for seed in range(options.seeds):
        for name, python in pythons.items():
            command = [python, __file__, str(options.folder), *settings, f"--run={name}", f"--seed={seed}"]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            runs[name].append(json.loads(output.splitlines()[-1]))
            print(f"seed {seed}  {name:6s}  {runs[name][-1]['accuracy']:5.1f} %  {runs[name][-1]['seconds']:6.1f} s")
    for name, done in runs.items():
        accuracy, seconds = ([run[what] for run in done] for what in ("accuracy", "seconds"))
        print(f"{name:6s}  mean {statistics.mean(accuracy):5.2f} %  median {statistics.median(seconds):6.1f} s")
    if options.fastai:
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(runs["kit"], runs["fastai"], strict=True)]
        print(f"the kit takes {statistics.median(ratios):.2f} of fastai's time")


if __name__ == "__main__":
    main()
