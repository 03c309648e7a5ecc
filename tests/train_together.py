"""What several processes do together; started with torchrun by ``test_distributed.py``.

    torchrun ... train_together.py IMAGES RESULTS RANK OPTIONS ...

trains every case (process 1 leaves RESULTS/1.pt), and then what ``helpers.training OPTIONS`` says, in whose epoch 2 the
process RANK is killed. One start for both: starting Python twice costs more than all that is trained.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import signal
import sys
from pathlib import Path

import torch
from kill_me import tiny_loaders, tiny_model
from torch import nn

from helpers import loaders, models, training
from helpers.training import __main__ as command

CASES = {  # of 24 images, in two processes
    "parts of unequal size": {"batch_size": 7},  # 3 + 4, the last batch 1 + 2
    "cached features": {"batch_size": 10},
    "images changed at random": {"batch_size": 9, "augment": "light"},
    "dropout and batch norm": {"batch_size": 8, "augment": "light"},
    "dropout and batch norm, resumed": {"batch_size": 8, "augment": "light"},
}


def model_of(case: str) -> nn.Module:
    model = tiny_model()
    if not case.startswith("dropout"):
        model.features[1], model.classifier[0] = nn.Identity(), nn.Dropout(0.0)
    return models.freeze(model, except_for="classifier") if case == "cached features" else model


def outcome(pictures: Path, case: str) -> dict[str, object]:
    """All that must be the same in one process and in several."""
    data, model = tiny_loaders(pictures, **CASES[case]), model_of(case)
    config = training.TrainConfig(epochs=2, lr=0.05, optimizer="sgd", momentum=0.5, mixed_precision=False)
    if case.endswith("resumed"):
        config = dataclasses.replace(config, checkpoint="together")
        training.fit(model_of(case), data, dataclasses.replace(config, epochs=1))
    history = training.fit(model, data, config, resume=config.checkpoint is not None)
    test = training.evaluate(model, data.test)
    numbers = [[e.train_loss, e.train_accuracy, e.val_loss, e.val_accuracy, e.lr] for e in history.epochs]
    return {
        "weights": dict(model.state_dict()),
        "history": torch.tensor(numbers, dtype=torch.float64),
        "probabilities": test.probabilities,
        "labels": test.labels,
        "random number": torch.rand(()),  # of the caller, whose generator fit leaves alone
    }


def refusal(data: loaders.Loaders) -> str:
    """What ``fit`` says where it refuses ``data``."""
    try:
        training.fit(tiny_model(), data, training.TrainConfig())
    except ValueError as error:
        return str(error)
    return ""


def compare(pictures: Path, results: Path) -> None:
    """Train every case; the bars of their progress are not shown."""
    print("the first process says this")
    torch.manual_seed(7)
    with contextlib.redirect_stderr(io.StringIO()):
        found = {case: outcome(pictures, case) for case in CASES}
        found["batches of one"] = refusal(tiny_loaders(pictures, batch_size=1))
    torch.save(found, results / f"{os.environ['RANK']}.pt")


def main(pictures: str, results: str, rank: str, *options: str) -> int:
    fit, train_one_epoch, done = training.fit, training.train_one_epoch, []

    def killed(*arguments: object, **settings: object) -> tuple[float, float]:
        if done and os.environ["RANK"] == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(train_one_epoch(*arguments, **settings))
        return done[-1]

    def fit_after_the_cases(*arguments: object, **settings: object) -> training.History:
        training.fit = fit
        compare(Path(pictures), Path(results))
        training.train_one_epoch = killed
        return fit(*arguments, **settings)

    training.fit = fit_after_the_cases  # within the group of processes that the command makes
    return command.main(options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main(*sys.argv[1:]))
