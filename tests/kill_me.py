"""A training that is killed with SIGKILL again and again and taken up each time; run by ``test_training.py``.

    python kill_me.py FOLDER KILLS

The parent imports torch once and forks a child for every session, since starting Python costs more than the training.
It prints one line of JSON: how many sessions were killed in the middle of a training, how many trainings came to their
end, and whether each of these ended in the weights and the history of one that nobody disturbed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from helpers import loaders, training
from helpers.training import checkpoints

EPOCHS = 12


def tiny_folder(
    folder: Path, *, classes: int = 3, train: int = 10, test: int = 4, side: int = 12, seed: int = 0
) -> Path:
    """``folder/train/<class>/*.png`` and ``folder/test/...``: noise whose colour tells the class."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("test", test)):
        for label in range(classes):
            where = folder / split / f"class{label}"
            where.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = rng.integers(0, 160, (side, side, 3))
                pixels[..., label % 3] += 80
                Image.fromarray(pixels.astype(np.uint8)).save(where / f"{number:03d}.png")
    return folder


def tiny_model(*, classes: int = 3, seed: int = 0) -> nn.Module:
    """A network with all that a checkpoint must bring back: batch norm's averages, dropout, a head of its own."""
    torch.manual_seed(seed)
    model = nn.Sequential()
    model.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    model.flatten = nn.Flatten()
    model.classifier = nn.Sequential(nn.Dropout(0.3), nn.Linear(24, classes))
    return model


def tiny_loaders(folder: Path, **options: object) -> loaders.Loaders:
    """Loaders of ``tiny_folder``'s pictures: small batches, a validation picture of every class."""
    return loaders.image_folder(folder, **{"size": 12, "batch_size": 8, "val_fraction": 0.2} | options)


def session(folder: Path, name: str | None) -> tuple[nn.Module, training.History]:
    """One session of the training ``name`` from where the one before was killed; ``None``: undisturbed."""
    config = training.TrainConfig(epochs=EPOCHS, lr=0.01, schedule="one_cycle", checkpoint=name)
    model = tiny_model()
    return model, training.fit(model, tiny_loaders(folder, augment="light"), config, resume=name is not None)


def outcome(model: nn.Module, history: training.History) -> list[object]:
    """Everything that must be the same, bit for bit: weights, averages, and the history but for its clock."""
    weights = [(name, tensor.numpy().tobytes().hex()) for name, tensor in model.state_dict().items()]
    return [weights, [[e.epoch, e.train_loss, e.val_loss, e.val_accuracy, e.lr] for e in history.epochs]]


# --- ways to die ------------------------------------------------------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_saving(step: str) -> None:
    """Be killed at one step of ``checkpoints.save``: with half a file written, or between the two renamings."""
    if step == "half written":
        written = os.fsync

        def half(descriptor: int) -> None:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            written(descriptor)
            die()

        os.fsync = half
    else:
        renamed = Path.replace

        def replace(self: Path, target: Path) -> Path:
            result = renamed(self, target)
            if target.name.endswith(".previous"):
                die()
            return result

        Path.replace = replace


def child(folder: Path, name: str, result: Path, *, death: str | None, training_began: int) -> None:
    """What the forked process does; it leaves ``result`` when nobody killed it."""
    if death is not None:
        arm(death, after=random.Random(name + death).randint(1, 3))
    train_one_epoch = training.train_one_epoch

    def announced(*arguments: object, **options: object) -> tuple[float, float]:
        os.write(training_began, b"x")
        training.train_one_epoch = train_one_epoch  # once is enough
        return train_one_epoch(*arguments, **options)

    training.train_one_epoch = announced
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        done = outcome(*session(folder, name))
    partial = result.with_suffix(".partial")
    partial.write_text(json.dumps(done))
    partial.replace(result)


def arm(death: str, *, after: int) -> None:
    """Let ``checkpoints.save`` go well ``after`` times, and then be killed in it."""
    save, saved = checkpoints.save, 0

    def armed(state: dict, path: Path) -> None:
        nonlocal saved
        saved += 1
        if saved > after:
            die_while_saving(death)
        save(state, path)

    checkpoints.save = armed


def run_child(folder: Path, name: str, result: Path, *, delay: float | None, death: str | None = None) -> bool:
    """Fork a session and kill it ``delay`` seconds after its training began; True when that was before its end."""
    ear, mouth = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child(folder, name, result, death=death, training_began=mouth)
            status = 0
        finally:
            os._exit(status)
    os.close(mouth)
    os.read(ear, 1)  # returns with nothing when the session ends without training
    if delay is not None:
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)  # a process that ended by itself is still there for its parent
    os.close(ear)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise RuntimeError("a session ended in an error")
    return os.WIFSIGNALED(status)


def main(folder: Path, kills_wanted: int) -> dict[str, object]:
    torch.set_num_threads(1)  # a forked process cannot use the threads of its parent
    tqdm.set_lock(threading.RLock())  # its own lock is shared with the children: one killed in it would stop all others
    tqdm.monitor_interval = 0  # no thread that could hold the lock while this process forks
    tiny_folder(folder / "data")
    model, history = session(folder / "data", None)
    undisturbed = json.loads(json.dumps(outcome(model, history)))
    longest = 3 * history.seconds / EPOCHS
    chance = random.Random(0)
    kills, ends, same = 0, 0, True
    while kills < kills_wanted or ends == 0:
        name, result = f"run{ends}", folder / f"run{ends}.json"
        deaths: list[str | None] = ["half written", "between renamings"]
        while not result.exists():
            death = deaths.pop() if deaths else None
            delay = None if death else chance.uniform(0, longest)
            kills += run_child(folder / "data", name, result, delay=delay, death=death)
            longest *= 1.05  # on a machine that has become slower, a session must get somewhere too
        ends += 1
        same = same and json.loads(result.read_text()) == undisturbed
    return {"kills": kills, "ends": ends, "same": same}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
