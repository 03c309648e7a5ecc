"""Training in the open: a loop that fits on a screen, a history, an evaluation.

    python -m helpers.training DATA                            # fine-tunes a network; --help tells the options
    torchrun --nproc-per-node=2 -m helpers.training DATA       # the same on two GPUs (or in two processes)

``fit`` does what the plain loop of notebook 07 does, and adds what a session in the browser needs: progress, a
checkpoint after every epoch, ``resume=True``, and sentences where training goes wrong.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from helpers import machine, models
from helpers.loaders import Loaders
from helpers.training import checkpoints, distributed, optimizers, resuming
from helpers.training.acceleration import Precision, cached_features, memory_format
from helpers.training.history import Epoch, Evaluation, History, TrainConfig
from helpers.training.progress import Progress

__all__ = ["Epoch", "Evaluation", "History", "TrainConfig", "TrainingError", "evaluate", "fit"]


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what to change."""


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader) -> Evaluation:
    """Run ``model`` in ``eval`` mode over ``loader``; the mode of every layer is restored."""
    device, layout = next(model.parameters()).device, None
    scores, labels = [], []
    with models.evaluating(model):
        for images, targets in distributed.share_pictures(loader):
            layout = layout or memory_format(model, images[:1].to(device))
            scores.append(model(images.to(device, memory_format=layout)).float().cpu())
            labels.append(targets.cpu())
    scores, labels = distributed.gathered(scores), distributed.gathered(labels)
    if not scores:
        raise ValueError("There is nothing to evaluate on: this loader holds no pictures.")
    return _evaluation(torch.cat(scores), torch.cat(labels))


def _evaluation(scores: torch.Tensor, labels: torch.Tensor) -> Evaluation:
    classes = scores.shape[1]
    predicted = scores.argmax(dim=1)
    return Evaluation(
        accuracy=100 * (predicted == labels).float().mean().item(),
        loss=F.cross_entropy(scores, labels).item(),
        confusion=torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes),
        probabilities=scores.softmax(dim=1),
        labels=labels,
    )


def fit(model: nn.Module, loaders: Loaders, config: TrainConfig, *, resume: bool = False) -> History:
    """Train ``model`` on ``loaders.train``, watch ``loaders.val``, keep the best epoch's weights.

    Trains the parameters with ``requires_grad``. A frozen backbone without random augmentation computes its features
    once, and only the head is trained on them. Every epoch draws its random numbers from ``(config.seed, epoch)``, so
    a resumed run ends in the same weights as one that was never interrupted (bit for bit on the CPU).

    Inside ``distributed.group()`` all processes of torchrun call it, and ``evaluate`` too, together: a batch is shared
    between them, and all end with the same history and the same weights. Ctrl-C then ends the program.

    Args:
        resume: continue from ``config.checkpoint`` if there is one; else start from the beginning.

    Returns:
        the history. The network is left on ``machine.device()`` in ``eval`` mode. Ctrl-C (or the stop button) ends
        training early and leaves the best epoch so far.

    Raises:
        ValueError: the network has another number of outputs than there are classes, or nothing to train.
        TrainingError: the loss is no number, or the memory is full.
        CheckpointError: the checkpoint belongs to other data or settings, or cannot be written.
    """
    run = _Run(model, loaders, config)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            run.start(resume=resume)
            while run.epoch < config.epochs:
                run.train_one_epoch()
        except KeyboardInterrupt:
            if not distributed.alone():
                raise  # the others would wait for this process for ever
            print(f"Stopped by you in epoch {run.epoch + 1} of {config.epochs}.")
        except BaseException as error:
            run.finish(failed=True)
            explained = _explained(error, loaders)
            if explained is None:
                raise
            raise explained from error
        run.finish()
    return run.history


class _Run:
    """One call of ``fit``: the pieces, and the loop over batches."""

    def __init__(self, model: nn.Module, loaders: Loaders, config: TrainConfig) -> None:
        self.model, self.loaders, self.config = model, loaders, config
        self.device = torch.device(machine.device())
        self.history = History(loaders.name, models.name_of(model), config)
        self.bar: Progress | None = None
        self.best_state = resuming.on_cpu(resuming.trained_state(model))  # a failure in the first epoch goes back to it
        self.shuffling = loaders.train.generator and loaders.train.generator.get_state()
        self.epoch = 0  # epochs done

    def start(self, *, resume: bool) -> None:
        config, model = self.config, self.model.to(self.device)
        distributed.check_batches(self.loaders.train)
        groups = models.parameter_groups(model, config.lr, backbone_factor=config.backbone_factor)
        example = _example(model, self.loaders, groups)
        self.optimizer = optimizers.optimizer(groups, config)
        steps = len(distributed.share_batches(self.loaders.train))
        self.scheduler = optimizers.schedule(self.optimizer, config, steps)
        self.precision = Precision(self.device, config.mixed_precision)
        self._open_checkpoint(resume=resume)
        began = time.perf_counter()
        self.layout = memory_format(model, example)
        frozen = cached_features(model, self.loaders, layout=self.layout) if self.epoch < config.epochs else None
        self.trained, batches, self.val = frozen or (model, self.loaders.train, self.loaders.val)
        self.parallel, self.batches = distributed.parallel(self.trained), distributed.share_batches(batches)
        if frozen:
            self.layout = torch.preserve_format  # features come as the backbone leaves them
        self.preparation = time.perf_counter() - began
        self.bar = Progress(len(self.batches), config.epochs, done=self.epoch)

    def train_one_epoch(self) -> None:
        config, began = self.config, time.perf_counter()
        _seed(config.seed, self.epoch, self.batches)
        models.train_mode(self.trained)
        loss_sum, right, seen = torch.zeros((), device=self.device), torch.zeros((), device=self.device), 0
        for images, labels in self.batches:
            images, labels = images.to(self.device, memory_format=self.layout), labels.to(self.device)
            with self.precision.autocast():
                scores = self.parallel(images)
                loss = F.cross_entropy(scores, labels, label_smoothing=config.label_smoothing)
            self.optimizer.zero_grad()
            self.precision.backward_and_step(distributed.weighted(loss, len(labels)), self.optimizer)
            if config.schedule in optimizers.PER_STEP:
                self.scheduler.step()
            loss_sum += loss.detach() * len(labels)
            right += (scores.detach().argmax(dim=1) == labels).sum()
            seen += len(labels)
            shown = self.bar.step(loss_sum, right, seen)
            if shown is not None and not math.isfinite(shown) and distributed.alone():
                break  # several processes make the same number of steps, whatever they see
        loss_sum, right, seen = distributed.sums(loss_sum, right, seen)
        distributed.same_buffers(self.trained)
        self._end_epoch(loss_sum / seen, 100 * right / seen, began)

    def _end_epoch(self, loss: float, accuracy: float, began: float) -> None:
        self._check_finite(loss)
        val = evaluate(self.trained, self.val)
        self._check_finite(val.loss)
        if self.config.schedule == "plateau":
            self.scheduler.step(val.loss)
        seconds = time.perf_counter() - began + self.preparation
        self.preparation = 0.0  # counted once
        lr = self.optimizer.param_groups[-1]["lr"]
        self.history.epochs.append(Epoch(self.epoch + 1, loss, accuracy, val.loss, val.accuracy, lr, seconds))
        if self.history.best is self.history.epochs[-1]:
            self.best_state = resuming.on_cpu(resuming.trained_state(self.model))
        self.epoch += 1
        self.bar.epoch(loss, accuracy, val.accuracy)
        if self.config.checkpoint:
            distributed.from_first(lambda: checkpoints.save(self._state(), resuming.file_of(self.config)))

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} in epoch {self.epoch + 1}: the steps are too large. Try a smaller learning "
                f"rate (lr={self.config.lr / 10:g} in place of {self.config.lr:g}). The network is back at "
                + (f"epoch {self.history.best.epoch}." if self.history.epochs else "where it began.")
            )

    def finish(self, *, failed: bool = False) -> None:
        if self.history.epochs or failed:
            self.model.load_state_dict(self.best_state, strict=False)
        self.model.eval()
        if self.shuffling is not None:
            self.loaders.train.generator.set_state(self.shuffling)
        if self.bar is not None:
            self.bar.close()

    # --- checkpoints ---

    def _open_checkpoint(self, *, resume: bool) -> None:
        name = self.config.checkpoint
        if name is None:
            if resume:
                raise ValueError("resume=True needs a name to resume from: TrainConfig(..., checkpoint='my-run').")
            return
        self.identity = resuming.identity(self.model, self.loaders, self.config)
        state = distributed.from_first(lambda: checkpoints.load(resuming.file_of(self.config))) if resume else None
        if state is None:
            resuming.announce(self.best_state, self.config)
            if resume:
                print(f"There is no whole checkpoint {name!r} yet: starting with the first epoch.")
            return
        resuming.check_same(state["identity"], self.identity)
        self._restore(state)
        print(f"Continuing {name!r} after epoch {self.epoch} of {self.config.epochs}.")

    def _state(self) -> dict[str, Any]:
        """Tensors and plain values only, so that it loads with ``weights_only=True``."""
        return {
            "identity": self.identity,
            "history": [dataclasses.asdict(epoch) for epoch in self.history.epochs],
            "weights": resuming.trained_state(self.model),
            "best_weights": None if self.history.best.epoch == self.epoch else self.best_state,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.history.epochs = [Epoch(**epoch) for epoch in state["history"]]
        self.epoch = len(self.history.epochs)
        self.model.load_state_dict(state["weights"], strict=False)
        self.best_state = state["best_weights"] or resuming.on_cpu(resuming.trained_state(self.model))
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if state["scaler"]:  # empty when the session before worked without one
            self.precision.scaler.load_state_dict(state["scaler"])


@torch.no_grad()
def _example(model: nn.Module, loaders: Loaders, groups: list[dict]) -> torch.Tensor:
    """One picture (1, 3, H, W) on the model's device, once it is sure that ``model`` can learn from ``loaders``."""
    if not groups:
        raise ValueError("Nothing to train: every parameter is frozen. See models.freeze(model, except_for=...).")
    if not len(loaders.val.dataset):
        raise ValueError(
            "fit chooses the best epoch on validation pictures, and there are none: give image_folder a val_fraction "
            "above 0 and at least two pictures of a class."
        )
    example = next(iter(loaders.val))[0][:1].to(next(model.parameters()).device)
    with models.evaluating(model):
        outputs = model(example).shape[1]
    if outputs != len(loaders.classes):
        raise ValueError(
            f"The network has {outputs} outputs and {loaders.name} has {len(loaders.classes)} classes: give it a new "
            f"last layer with models.replace_head(model, {len(loaders.classes)})."
        )
    return example


def _seed(seed: int, epoch: int, loader: DataLoader) -> None:
    """Every epoch's shuffling, augmentation and dropout follow from (seed, epoch) alone, whatever came before."""
    number = 1_000_003 * seed + epoch
    torch.manual_seed(distributed.own_seed(number))
    if loader.generator is not None:
        loader.generator.manual_seed(number)


def _explained(error: BaseException, loaders: Loaders) -> TrainingError | None:
    """A sentence in place of what torch says; None where torch's own words will do."""
    said = str(error)
    if isinstance(error, MemoryError) or "out of memory" in said or "allocate memory" in said:
        return TrainingError(
            f"The memory is full. Try a smaller batch_size (now {loaders.train.batch_size}), smaller pictures (now "
            f"size={loaders.size}), a smaller network, or freeze the backbone. In Colab, Runtime > Restart frees what "
            "earlier cells hold."
        )
    if "Output size is too small" in said or "Kernel size can't be greater than actual input size" in said:
        return TrainingError(f"Pictures of size={loaders.size} are too small for this network. Try size=64 or more.")
    if "Expected more than 1 value per channel" in said:
        return TrainingError(
            "Batch norm cannot learn from a batch of one picture. Choose a batch_size that leaves no single picture "
            f"over: {len(loaders.train.dataset)} training pictures in batches of {loaders.train.batch_size}."
        )
    return None
