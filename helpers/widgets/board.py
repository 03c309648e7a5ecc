"""A board that shows a network learning, live: start, stop, and move the learning rate while it trains.

After ConvNetJS's demo of CIFAR-10 (Karpathy). The training runs in a thread of its own, so that the notebook and the
controls answer meanwhile; the drawing is redrawn twice a second.
"""

from __future__ import annotations

import copy
import math
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial

import ipywidgets as widgets
import numpy as np
import torch
from torch import Tensor, nn

from helpers import models
from helpers.svg import Picture
from helpers.svg.board import BoardState, Tile, board_picture
from helpers.training import train_step
from helpers.widgets.explorer import Drawing, button, choice, columns, labelled

VAL_IMAGES = 1000  # looked at with every redraw, so that it stays quick
LOWEST, HIGHEST = -4, 1  # the learning rate's range, in powers of ten
SHOWN = 8  # validation images with their classes
TRAINERS: dict[str, Callable[..., torch.optim.Optimizer]] = {  # a learning rate is set before every step
    "SGD, momentum 0.9": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "SGD": partial(torch.optim.SGD, lr=0.1),
    "Adam": torch.optim.Adam,
}

# A new board stops those that train: a cell that is run again leaves nothing behind that cannot be reached any more.
_BOARDS: weakref.WeakSet[TrainingBoard] = weakref.WeakSet()

Pictures = tuple[Tensor, Tensor]  # (N, C, H, W) float32 as the network takes them, and their labels (N,) int64


class TrainingBoard(Drawing):
    """Curves, first filters, images with their classes, a start button; trainer and learning rate act at once.

    In a notebook ``board`` alone shows it; press Start. From code: ``start`` returns at once, ``run`` waits, ``stop``
    ends cleanly after the step at hand. What goes wrong in the thread stands as a sentence on the board and in
    ``problem``. A board that stands still leaves the network in ``eval`` mode.

    Args:
        model: trained where it is, on its device.
        train, val: images ``(N, C, H, W)`` and labels ``(N,)``; of ``val`` the first 1000 are looked at.
        lr: where the slider begins, from 1e-4 to 10.
        classes: their names; None: numbers.
        most_steps: after so many steps it stops by itself.
        redraw_seconds: time between two pictures while it trains.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Pictures,
        val: Pictures,
        *,
        classes: Sequence[str] | None = None,
        lr: float = 0.02,
        batch_size: int = 64,
        seed: int = 0,
        most_steps: int = 5000,
        redraw_seconds: float = 0.5,
        font_px: int | None = None,
    ) -> None:
        _check(train, val, lr)
        for other in list(_BOARDS):
            other.stop()
        self.most_steps, self.redraw_seconds = most_steps, redraw_seconds
        self._trainer = _Trainer(model, train, (val[0][:VAL_IMAGES], val[1][:VAL_IMAGES]), batch_size, seed)
        self._classes = classes
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._seed, self.problem = seed, ""
        self._forget()
        self.rate = widgets.FloatLogSlider(
            value=lr, base=10, min=LOWEST, max=HIGHEST, step=0.05, readout_format=".2g", **labelled("learning rate")
        )
        self.kind = choice("trainer", {name: name for name in TRAINERS})
        self.start_button = button("Start", primary=True)
        self.anew_button = button("Begin anew")
        buttons = widgets.HBox([self.start_button, self.anew_button])
        super().__init__([columns([buttons], [self.kind, self.rate])], font_px=font_px)
        self.start_button.on_click(lambda _: self.stop() if self.running else self.start())
        self.anew_button.on_click(lambda _: self.reset())
        self.redraw()
        _BOARDS.add(self)

    @property
    def state(self) -> BoardState:
        """What the picture shows, as it is at this moment."""
        return BoardState(
            tuple(self._losses), tuple(self._checks), tuple(self._rates), self._filters, self._status, self.problem,
            self._images,
        )  # fmt: skip

    def svg(self) -> Picture:
        return board_picture(self.state, font_px=self.font_px)

    @property
    def steps(self) -> int:
        """Steps done so far."""
        return len(self._losses)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, steps: int | None = None) -> None:
        """Train in the background, ``steps`` more or until ``most_steps`` are done. While it trains: nothing.

        After a problem it begins anew.
        """
        if self.running:
            return
        if self.problem:
            self.reset()
        last = self.most_steps if steps is None else self.steps + steps
        self._stopping.clear()
        self._status, self.start_button.description = "training", "Stop"
        self._thread = threading.Thread(target=self._work, args=(last,), name="training board", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the training after the step at hand, and wait for that."""
        self._stopping.set()
        self.wait()

    def wait(self) -> None:
        """Wait until the training stands still; the stop button of the notebook ends it."""
        try:
            while self._thread is not None and self._thread.is_alive():
                self._thread.join(0.1)  # with a limit, so that an interrupt gets through on Windows too
        except KeyboardInterrupt:
            print(f"Stopped by you after {self.steps} steps.")
            self.stop()

    def run(self, steps: int) -> None:
        """Train ``steps`` more steps and wait for them; the board shows them live."""
        self.stop()
        self.start(steps)
        self.wait()

    def reset(self) -> None:
        """Back to the weights that the board was made with, with empty curves."""
        self.stop()
        self._trainer.reset()
        self._forget()
        self.redraw()

    def _forget(self) -> None:
        self._losses: list[float] = []
        self._checks: list[tuple[int, float]] = []
        self._rates: list[tuple[int, float]] = []
        self._images: tuple[Tile, ...] = ()
        self._filters = self._trainer.filters()
        self._status, self.problem = "not started", ""

    def _tiles(self, scores: Tensor) -> tuple[Tile, ...]:
        """Some of the validation images, and the classes that the network takes for the most likely."""
        images, labels = self._trainer.val
        names = self._classes or [str(number) for number in range(scores.shape[1])]
        shown = torch.linspace(0, len(images) - 1, min(SHOWN, len(images))).long().tolist()
        found = []
        for n in shown:
            top = scores[n].nan_to_num().softmax(dim=0).topk(min(3, len(names)))
            bars = tuple((names[k], share) for share, k in zip(*map(Tensor.tolist, top), strict=True))
            found.append(Tile(_drawable(images[n]), bars=bars, right=names[int(labels[n])]))
        return tuple(found)

    # --- in the thread: while it runs, only it draws ---

    def _work(self, last: int) -> None:
        try:
            self._train(last)
        except Exception as error:  # whatever it is, a person should read it on the board
            stopped = f"The training stopped by itself: {type(error).__name__}: {error}"
            self.problem = str(error) if isinstance(error, _Diverged) else stopped
        self._status = "stopped"
        self.start_button.description = "Start"
        self.redraw()

    def _train(self, last: int) -> None:
        looked = 0.0
        while self.steps < last and not self._stopping.is_set():
            rate = self.rate.value  # read anew for every step: this is how the slider acts at once
            if not self._rates or self._rates[-1][1] != rate:
                self._rates.append((self.steps, rate))
            with torch.random.fork_rng(range(torch.cuda.device_count())):  # dropout leaves the caller's numbers alone
                torch.manual_seed(self._seed + self.steps)
                self._losses.append(self._trainer.step(rate, self.kind.value))
            if time.perf_counter() - looked > self.redraw_seconds:
                self._look()
                looked = time.perf_counter()
        self._look()

    def _look(self) -> None:
        scores = self._trainer.scores()
        right = (scores.argmax(dim=1) == self._trainer.val[1]).sum().item()
        self._checks.append((self.steps, 100 * right / len(scores)))
        self._filters, self._images = self._trainer.filters(), self._tiles(scores)
        self.redraw()


class _Diverged(ArithmeticError):
    """The loss is no number any more."""


class _Trainer:
    """A network, its images and its optimiser; one call of ``step`` is one batch."""

    def __init__(self, model: nn.Module, train: Pictures, val: Pictures, batch_size: int, seed: int) -> None:
        self.model, self.train, self.val, self.batch_size, self.seed = model, train, val, batch_size, seed
        self.device = next(model.parameters()).device
        self.first_state = copy.deepcopy(model.state_dict())
        self.first_layer = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
        self.reset()

    def reset(self) -> None:
        self.model.load_state_dict(self.first_state)
        self.model.eval()
        self.kind = ""
        self.generator = torch.Generator().manual_seed(self.seed)  # the thread leaves torch's own numbers alone
        self.order = torch.empty(0, dtype=torch.int64)

    def step(self, rate: float, kind: str) -> float:
        """One batch; the loss before the step. Another kind of trainer begins without a memory of earlier steps."""
        if kind != self.kind:
            self.kind, self.optimizer = kind, TRAINERS[kind](self.model.parameters())
        if len(self.order) == 0:
            self.order = torch.randperm(len(self.train[1]), generator=self.generator)
        chosen, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
        images, labels = (part[chosen].to(self.device) for part in self.train)
        self.optimizer.param_groups[0]["lr"] = rate
        models.train_mode(self.model)
        try:
            value = train_step(self.model, images, labels, self.optimizer)[0].item()
        finally:
            self.model.eval()
        if not math.isfinite(value):
            raise _Diverged(
                f"The loss became {value} with the learning rate {rate:.2g}: the steps were too large. Move the "
                "slider to the left and press Start; the training then begins anew."
            )
        return value

    @torch.no_grad()
    def scores(self) -> Tensor:
        """What the network says about the validation images, ``(N, classes)``."""
        with models.evaluating(self.model):
            return torch.cat([self.model(part.to(self.device)).cpu() for part in self.val[0].split(250)])

    def filters(self) -> np.ndarray | None:
        """A copy of the first convolution's weights ``(K, C, h, w)``; None where there is no convolution."""
        return None if self.first_layer is None else self.first_layer.weight.detach().cpu().clone().numpy()


def _drawable(image: Tensor) -> np.ndarray:
    """``(H, W, 3)`` uint8 of ``(C, H, W)``, from its lowest value (black) to its highest."""
    scaled = 255 * (image - image.min()) / (image.max() - image.min()).clamp(min=1e-12)
    return scaled[:3].expand(3, -1, -1).permute(1, 2, 0).round().byte().cpu().numpy()


def _check(train: Pictures, val: Pictures, lr: float) -> None:
    for name, (images, labels) in (("train", train), ("val", val)):
        if len(images) != len(labels) or not len(labels):
            raise ValueError(f"{name} has {len(images)} images and {len(labels)} labels; it needs as many of both.")
        if not images.is_floating_point():
            raise ValueError(f"{name} holds {images.dtype} images; pass what the network takes, images.float() / 255.")
    if not 10**LOWEST <= lr <= 10**HIGHEST:
        raise ValueError(f"lr={lr} must be from {10**LOWEST:g} to {10**HIGHEST:g}, the range of the slider.")
