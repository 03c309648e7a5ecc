"""Training in the open: a loop that fits on a screen, a history, an evaluation.

``train_one_epoch`` is the loop of notebook 07; ``fit`` calls it epoch after epoch and adds what a session in the
browser needs: progress, a checkpoint after every epoch, ``resume=True``, and sentences where training goes wrong.
``python -m helpers.training --help`` tells how to train from the command line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from helpers import machine, models
from helpers.loaders import Loaders, unchanged
from helpers.training import acceleration, checkpoints, errors, processes
from helpers.training.acceleration import FLOAT32, Precision, cached_features, memory_format
from helpers.training.config import (
    EVERY_STEP,
    Epoch,
    Evaluation,
    History,
    Scheduler,
    TrainConfig,
    build_optimizer,
    build_schedule,
)
from helpers.training.errors import TrainingError, with_sentences
from helpers.training.identity import identity, trained_state
from helpers.training.progress import Progress

__all__ = [
    "Epoch", "Evaluation", "History", "TrainConfig", "TrainingError", "evaluate", "fine_tune", "fit", "train_one_epoch",
    "train_step"
]  # fmt: skip

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]  # images (N, C, H, W) float32 and labels (N,) int64


def train_step(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    label_smoothing: float = 0.0,
    precision: Precision = FLOAT32,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Forward, backward, and one step of ``optimizer``, on one batch that lies on the model's device.

    Returns the mean cross-entropy ``()`` and the scores ``(N, classes)``, both from before the step, without gradient.
    """
    with precision.autocast():
        scores = _scores(model, images)
        loss = F.cross_entropy(scores, labels, label_smoothing=label_smoothing)
    optimizer.zero_grad()
    precision.scaler.scale(loss).backward()  # scales and unscales with float16 only
    precision.scaler.step(optimizer)
    precision.scaler.update()
    return loss.detach(), scores.detach()


def train_one_epoch(
    model: nn.Module,
    loader: Batches,
    optimizer: torch.optim.Optimizer,
    *,
    scheduler: Scheduler | None = None,
    label_smoothing: float = 0.0,
    precision: Precision = FLOAT32,
    progress: Progress | None = None,
) -> tuple[float, float]:
    """One pass over ``loader`` in ``train`` mode (frozen batch norm stays in ``eval`` mode).

    ``scheduler`` moves after every batch. Returns the mean loss over the images and the accuracy in percent, taken
    while the weights change. It ends early where ``progress`` sees that the loss is no number.
    """
    device, layout = next(model.parameters()).device, None
    loss_sum, right, seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
    models.train_mode(model)
    for images, labels in loader:
        layout = layout or memory_format(model, images[:1].to(device))
        images, labels = images.to(device, memory_format=layout), labels.to(device)
        loss, scores = train_step(
            model, images, labels, optimizer, label_smoothing=label_smoothing, precision=precision
        )
        if scheduler is not None:
            scheduler.step()
        loss_sum += loss * len(labels)
        right += (scores.argmax(dim=1) == labels).sum()
        seen += len(labels)
        if progress is not None and not progress.step(loss_sum, right, seen) and processes.count() == 1:
            break  # several processes make the same number of steps, whatever they see
    losses, rights, images_seen = processes.summed(loss_sum, right, seen)
    return losses / images_seen, 100 * rights / images_seen


@with_sentences
@torch.no_grad()
def evaluate(model: nn.Module, loader: Batches) -> Evaluation:
    """Run ``model`` in ``eval`` mode over ``loader``; the mode of every layer is restored.

    Raises:
        ValueError: the loader is empty, the labels go beyond the outputs of the network, or it gives no scores.
        TrainingError: the memory is full, or a layer does not take what arrives.
    """
    if isinstance(loader, Loaders):
        raise ValueError("evaluate takes one of the loaders: training.evaluate(model, loaders.test).")
    device, layout = next(model.parameters()).device, None
    all_scores, all_labels = [], []
    with models.evaluating(model):
        for images, targets in loader:
            layout = layout or memory_format(model, images[:1].to(device))
            all_scores.append(_scores(model, images.to(device, memory_format=layout)).float().cpu())
            all_labels.append(targets.cpu())
    if not all_scores:
        raise ValueError("There is nothing to evaluate on: this loader holds no pictures.")
    scores, labels = torch.cat(all_scores), torch.cat(all_labels)
    classes, highest = scores.shape[1], int(labels.max())
    if highest >= classes:
        raise ValueError(
            f"The network has {classes} outputs and the labels go up to {highest}: it was made for other classes. Give "
            f"it a new last layer with models.replace_head(model, {highest + 1}), and train that."
        )
    predicted = scores.argmax(dim=1)
    return Evaluation(
        accuracy=100 * (predicted == labels).float().mean().item(),
        loss=F.cross_entropy(scores, labels).item(),
        confusion=torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes),
        probabilities=scores.softmax(dim=1),
        labels=labels,
    )


@with_sentences
def fit(
    model: nn.Module,
    loaders: Loaders,
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> History:
    """Train ``model`` on ``loaders.train``, watch ``loaders.val``, keep the best epoch's weights.

    Trains the parameters with ``requires_grad``. A frozen backbone without random augmentation computes its features
    once, and only the head is trained on them. Every epoch draws its random numbers from ``(config.seed, epoch)``, so
    a resumed run ends in the same weights as one that was never interrupted (bit for bit on the CPU).

    Inside ``processes.group()`` all processes of torchrun call it together: they share every batch, and end with the
    same history and the same weights. Ctrl-C then ends the program.

    Args:
        config: None for ``TrainConfig()``.
        resume: continue from ``config.checkpoint`` if there is one; else start from the beginning.
        overwrite: start from the beginning also where there is one, and save in its place.

    Returns:
        the history. The network is left on ``machine.device()`` in ``eval`` mode. Ctrl-C (or the stop button) ends
        training early and leaves the best epoch so far.

    Raises:
        ValueError: the network has another number of outputs than there are classes, or nothing to train.
        TrainingError: the loss is no number, the memory is full, or a layer does not take what arrives.
        CheckpointError: there is a checkpoint of that name, and neither ``resume`` nor ``overwrite`` is asked for; it
            belongs to other data or settings; or it cannot be written.
    """
    config = config or TrainConfig()
    if not isinstance(loaders, Loaders):
        raise ValueError(
            f"fit takes the Loaders for training and validation together, not one {type(loaders).__name__}: those of "
            "image_folder, or Loaders(train=..., val=..., test=..., classes=[...], name='my data', size=32)."
        )
    if resume and config.checkpoint is None:
        raise ValueError("resume=True needs a name to resume from: TrainConfig(..., checkpoint='my-run').")
    if resume and overwrite:
        raise ValueError("resume=True goes on with a training and overwrite=True begins it anew: choose one of them.")
    device = torch.device(machine.device())
    history = History(loaders.name, models.name_of(model), config)
    best = trained_state(model)  # a failure in the first epoch goes back to it
    progress = None
    try:
        with _random_numbers_kept(loaders.train):
            groups = models.parameter_groups(model.to(device), config.lr, backbone_factor=config.backbone_factor)
            doubts = _check(model, loaders, groups)
            optimizer = build_optimizer(groups, config)
            scheduler = build_schedule(optimizer, config, len(processes.shared(loaders.train)))
            path = None if config.checkpoint is None else checkpoints.file_of(config.checkpoint)
            settings = identity(model, loaders, config) if path else {}
            state = path and checkpoints.begin(model, config, settings, path, resume=resume, overwrite=overwrite)
            if state:
                history.epochs = [Epoch(**numbers) for numbers in state["history"]]
                model.load_state_dict(state["weights"], strict=False)
                best = state["best_weights"] or trained_state(model)
                optimizer.load_state_dict(state["optimizer"])
                scheduler.load_state_dict(state["scheduler"])
                history.precision = state.get("precision", "an unknown precision")
                if len(history.epochs) >= config.epochs:
                    return history

            print(*doubts, sep="\n", end="\n" * bool(doubts))
            began = time.perf_counter()
            trained, train, val = cached_features(model, loaders) or (model, loaders.train, loaders.val)
            precision = acceleration.precision(trained, device, config.mixed_precision)
            if state and state["scaler"]:  # empty when the session before worked without one
                precision.scaler.load_state_dict(state["scaler"])
            if not history.epochs:
                history.precision = str(precision)
            elif history.precision.rpartition(" ")[2] != str(precision):
                print(f"The session before multiplied in {history.precision}, this one does in {precision}.")
                history.precision += f", then {precision}"
            batches = processes.shared(train)
            parallel = processes.parallel(trained, batches)
            progress = Progress(len(batches), config.epochs, done=len(history.epochs))
            for epoch in range(len(history.epochs), config.epochs):
                _seed(config.seed, epoch, train)
                loss, accuracy = train_one_epoch(
                    parallel,
                    batches,
                    optimizer,
                    scheduler=scheduler if config.schedule in EVERY_STEP else None,
                    label_smoothing=config.label_smoothing,
                    precision=precision,
                    progress=progress,
                )
                _check_finite(loss, history)
                processes.same_buffers(trained)
                result = processes.from_first(evaluate, trained, val)
                _check_finite(result.loss, history)
                if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                    scheduler.step(result.loss)

                lr = optimizer.param_groups[-1]["lr"]  # of the new layers
                began, seconds = time.perf_counter(), time.perf_counter() - began
                history.epochs.append(Epoch(epoch + 1, loss, accuracy, result.loss, result.accuracy, lr, seconds))
                best_so_far = history.best is history.epochs[-1]
                if best_so_far:
                    best = trained_state(model)
                progress.epoch(loss, accuracy, result.accuracy)
                if path is not None:
                    state = {
                        "identity": settings,
                        "history": [dataclasses.asdict(done) for done in history.epochs],
                        "precision": history.precision,
                        "weights": trained_state(model),
                        "best_weights": None if best_so_far else best,
                        "optimizer": optimizer.state_dict(),
                        "scheduler": scheduler.state_dict(),
                        "scaler": precision.scaler.state_dict(),
                    }
                    processes.from_first(checkpoints.save, state, path)
    except KeyboardInterrupt:
        if processes.count() > 1:
            raise  # the others would wait for this process for ever
        if not history.epochs:
            best = trained_state(model)  # the little that was learned
        print(f"Stopped by you in epoch {len(history.epochs) + 1} of {config.epochs}.")
    finally:
        model.load_state_dict(best, strict=False)
        model.eval()
        if progress is not None:
            progress.close()
    return history


def fine_tune(
    model: nn.Module,
    loaders: Loaders,
    epochs: int = 3,
    *,
    lr: float = 1e-3,
    head_epochs: int = 10,
    seed: int = 0,
    checkpoint: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> list[History]:
    """Fine-tune a pretrained network that was given a new head, in two calls of ``fit``.

    First the new layers alone, for ``head_epochs`` on features computed once (so without augmentation). Then everything
    for ``epochs`` epochs by one cycle of the learning rate, up to ``lr / 10`` for new and ``0.03 * lr`` for pretrained
    layers. Batch norm keeps the weights and averages that it brought: few images could only spoil them.

    Args:
        checkpoint, resume, overwrite: as for ``fit``; the first part is saved as ``checkpoint + "-head"``.

    Returns:
        a history for each part. The network is left with the best epoch of the second, whatever the first had reached:
        few validation images do not tell the two apart. Stopped by Ctrl-C in the first part, the second is not begun.

    Raises:
        ValueError, TrainingError, CheckpointError: as ``fit``; ValueError too where nothing in the network is new.
    """
    alone = TrainConfig(head_epochs, lr, seed=seed, checkpoint=checkpoint and f"{checkpoint}-head")
    together = TrainConfig(
        epochs, lr / 10, "adamw", schedule="one_cycle", backbone_factor=0.3, seed=seed, checkpoint=checkpoint
    )
    models.freeze(model)
    head = fit(model, unchanged(loaders), alone, resume=resume, overwrite=overwrite)
    if len(head.epochs) < head_epochs:
        return [head]
    model.requires_grad_(True)
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.requires_grad_(False)
    return [head, fit(model, loaders, together, resume=resume, overwrite=overwrite)]


def _scores(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The scores (N, classes) of ``images``. Raises ValueError where the network gives something else."""
    scores = models.scores_of(model(images))
    if scores.dim() != 2 or len(scores) != len(images):
        raise ValueError(
            f"For {len(images)} pictures the network gives {tuple(scores.shape)}, and not ({len(images)}, classes). "
            "Put the maps of each picture in a row, nn.Flatten() or x.flatten(1), and end in nn.Linear(..., classes)."
        )
    return scores


def _check(model: nn.Module, loaders: Loaders, groups: list[dict[str, Any]]) -> list[str]:
    """Raise ValueError where ``model`` cannot learn from ``loaders``; returns what its accuracy will not mean."""
    if not groups:
        raise ValueError("Nothing to train: every parameter is frozen. See models.freeze(model, except_for=...).")
    if not len(loaders.val):
        raise ValueError(
            "fit chooses the best epoch on validation pictures, and there are none: give image_folder a val_fraction "
            "above 0 and at least two pictures of a class."
        )
    images, _ = next(iter(loaders.val))
    with models.evaluating(model, grad=True):
        scores = _scores(model, images[:2].to(next(model.parameters()).device))
    if scores.shape[1] != len(loaders.classes):
        raise ValueError(
            f"The network has {scores.shape[1]} outputs and {loaders.name} has {len(loaders.classes)} classes: give it "
            f"a new last layer with models.replace_head(model, {len(loaders.classes)})."
        )
    return errors.doubts(loaders.classes, loaders.val.dataset, scores)


def _check_finite(loss: float, history: History) -> None:
    if not math.isfinite(loss):
        done, lr = len(history.epochs), history.config.lr
        raise TrainingError(
            f"The loss became {loss} in epoch {done + 1}: the steps are too large. Try a smaller learning rate "
            f"(lr={lr / 10:g} in place of {lr:g}). The network is back "
            + (f"at epoch {history.best.epoch}." if done else "where it began.")
        )


@contextlib.contextmanager
def _random_numbers_kept(loader: DataLoader) -> Iterator[None]:
    """Inside, random numbers may be drawn and seeded; afterwards the caller's go on as if nothing had been."""
    state = None if loader.generator is None else loader.generator.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        if loader.generator is not None and state is not None:
            loader.generator.set_state(state)


def _seed(seed: int, epoch: int, loader: DataLoader) -> None:
    """Every epoch's shuffling, augmentation and dropout follow from (seed, epoch) alone, whatever came before."""
    for generator in (torch, loader.generator):
        if generator is not None:
            generator.manual_seed(1_000_003 * seed + epoch)
