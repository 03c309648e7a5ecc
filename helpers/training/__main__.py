"""``python -m helpers.training``: fine-tune a pretrained network from the command line, on one GPU or on several."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from helpers import datasets, drive, loaders, models, results, training
from helpers.loaders import augment
from helpers.training import config, processes

EPILOG = """
On several GPUs (or, without a GPU, in several processes) start it with torchrun. The batch is then shared between the
processes; --batch-size counts the pictures of all of them together, so that the same options give the same result:

    torchrun --nproc-per-node=2 -m helpers.training bcdp_v1 --batch-size 64

A training that was stopped or killed goes on after its last whole epoch with the same command and --resume.
"""


def parser() -> argparse.ArgumentParser:
    """The command line of ``train``."""
    top = argparse.ArgumentParser(
        prog="python -m helpers.training",
        description="Fine-tune a pretrained network on a folder of pictures.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("data", metavar="DATA", help="a data set (bcdp_v1, bcdp_standin, ...) or a folder with "
                     "train/<class>/ and test/<class>/")  # fmt: skip
    top.add_argument("--model", default="alexnet", help="alexnet (the default), vgg16, ..., resnet_mini, alexnet_mini")
    top.add_argument("--frozen", action="store_true", help="train only a new last layer, on features computed once")
    top.add_argument("--epochs", type=int, default=5, help="(5)")
    top.add_argument("--lr", type=float, help="learning rate (1e-4; with --frozen 1e-3)")
    top.add_argument("--optimizer", choices=config.OPTIMIZERS, default="adam", help="(adam)")
    top.add_argument("--schedule", choices=config.SCHEDULES, default="constant", help="of the learning rate (constant)")
    top.add_argument("--weight-decay", type=float, default=0.0, help="(0)")
    top.add_argument("--batch-size", type=int, default=32, help="pictures a step, of all processes together (32)")
    top.add_argument("--size", type=int, help="side of the pictures, px (224; alexnet_mini and resnet_mini 64)")
    top.add_argument("--augment", choices=tuple(augment.RECIPES), help="change the training pictures at random")
    top.add_argument("--mixed-precision", action=argparse.BooleanOptionalAction, help="(where the device gains by it)")
    top.add_argument("--seed", type=int, default=0, help="of the split, the new layer and the training (0)")
    top.add_argument("--checkpoint", metavar="NAME", help="what this training is called (MODEL-DATA)")
    anew = top.add_mutually_exclusive_group()
    anew.add_argument("--resume", action="store_true", help="go on after the last whole epoch of that name")
    anew.add_argument("--overwrite", action="store_true", help="begin anew in the place of what has that name")
    return top


def train(options: argparse.Namespace) -> None:
    """Fine-tune in all processes of torchrun together; the first evaluates on the test pictures and saves the model."""
    size = options.size or (64 if options.model in models.OWN else 224)
    folder = processes.from_first(_folder, options.data)  # one process fetches it, all read it
    data = loaders.image_folder(
        folder, size=size, batch_size=options.batch_size, augment=options.augment, seed=options.seed
    )
    torch.manual_seed(options.seed)
    model = models.load(options.model, num_classes=len(data.classes))
    if options.frozen:
        models.freeze(model)
    options.checkpoint = options.checkpoint or f"{options.model}-{data.name}"
    if options.lr is None:
        options.lr = 1e-3 if options.frozen else 1e-4
    names = [field.name for field in dataclasses.fields(training.TrainConfig)]
    settings = training.TrainConfig(**{name: value for name, value in vars(options).items() if name in names})
    print(data)
    if processes.count() > 1:
        print(f"{processes.count()} processes share every batch of {options.batch_size}.")
    done = training.fit(model, data, settings, resume=options.resume, overwrite=options.overwrite)
    if not done.epochs:
        raise KeyboardInterrupt  # in the first epoch: there is nothing to evaluate or to save
    if processes.is_first():
        evaluation = training.evaluate(model, data.test)
        saved = results.save(model, data, done, evaluation, to=drive.persist() / "results" / options.checkpoint)
        print(done)
        print(f"Test accuracy: {evaluation.accuracy:.1f} % of {len(evaluation.labels)} pictures\nModel: {saved}")


def _folder(data: str) -> Path:
    if datasets.known(data):
        return datasets.fetch(data)
    if not Path(data).expanduser().is_dir():
        raise ValueError(
            f"{data!r} is no data set and no folder. Data sets: {', '.join(datasets.names())}; or give the path of a "
            "folder that holds train/<class>/ and test/<class>/ with pictures in them."
        )
    return Path(data)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status. What went wrong is said in one sentence."""
    try:
        with processes.group():
            train(parser().parse_args(arguments))
        return 0
    except KeyboardInterrupt:
        status, sentence = 130, "Stopped by you. The same command with --resume goes on after the last whole epoch."
    except (ValueError, OSError, training.TrainingError, processes.PeerLost) as error:
        status, sentence = 1, str(error)
    print(sentence, file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
