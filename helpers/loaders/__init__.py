"""From a folder of pictures to batches ready for a network.

Every file is decoded *once*, into one uint8 tensor ``(N, 3, size, size)`` that stays in memory (on the GPU where
there is room), so that an epoch reads no file. Augmentation and normalisation work on whole batches. What comes out is
still a ``torch.utils.data.DataLoader``: ``for images, labels in loaders.train`` as everywhere else.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from helpers import pictures
from helpers.loaders import augment as augmentation
from helpers.loaders.decoding import Decoded, Undecoded, fits_memory, read_pixels

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of the red, green and blue values of ImageNet's training pictures, 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Loaders:
    """Batches for training, for choosing the epoch, and for the final examination."""

    train: DataLoader
    val: DataLoader
    test: DataLoader
    classes: list[str]
    name: str  # of the data set; stands in plot titles, histories and checkpoints
    size: int  # side of the pictures, px

    def __str__(self) -> str:
        train, val, test = (len(loader.dataset) for loader in (self.train, self.val, self.test))
        return (
            f"{self.name}: {train + val} = {train} for training + {val} for validation, {test} for the test; "
            f"{len(self.classes)} classes ({', '.join(self.classes)}); pictures {self.size}x{self.size}"
        )


def image_folder(
    folder: str | Path,
    *,
    size: int = 224,
    batch_size: int = 32,
    val_fraction: float = 0.1,
    augment: str | augmentation.Augment | None = None,
    seed: int = 0,
    squeeze: bool = False,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    in_memory: bool | None = None,
) -> Loaders:
    """Loaders for ``folder/train/<class>/*`` and ``folder/test/<class>/*``.

    Batches are ``images`` (N, 3, size, size) float32, normalised with ``mean`` and ``std``, and ``labels`` (N,) int64.

    Args:
        size: side of the pictures in px. The short side is scaled to it and the middle is cut out, as torchvision's
            pretrained networks expect; ``squeeze=True`` scales both sides to it instead and distorts, as the lecture
            does. Square pictures come out the same either way.
        val_fraction: share of the training pictures set aside, stratified (the same share of every class), by ``seed``.
        augment: "flip", "light", "strong" or a function of a uint8 batch; training pictures only.
        in_memory: None decides by itself; False reads the files in every epoch, as ``ImageFolder`` does.

    Raises:
        FileNotFoundError: no train/ or test/, or no class folders in them.
        ValueError: a class without pictures, classes that differ between train and test, unreadable pictures.
    """
    if size < 1 or batch_size < 1:
        raise ValueError(f"size={size} and batch_size={batch_size} must be at least 1.")
    folder = Path(os.path.abspath(Path(folder).expanduser()))  # absolute, so that it has a name; links stay as they are
    classes = _classes(folder)
    files = {split: _files(folder / split, classes) for split in ("train", "test")}
    if in_memory is None:
        needed = sum(len(paths) for paths, _ in files.values()) * 3 * size * size
        in_memory = fits_memory(needed * int(os.environ.get("LOCAL_WORLD_SIZE", 1)))  # torchrun: each process keeps all
    data = {
        split: (Decoded if in_memory else Undecoded)(paths, labels, size=size, squeeze=squeeze)
        for split, (paths, labels) in files.items()
    }
    train, val = stratified_split(data["train"].labels, val_fraction, seed=seed)
    plain = Prepare(mean=tuple(mean), std=tuple(std))
    changed = Prepare(mean=tuple(mean), std=tuple(std), augment=augmentation.recipe(augment))
    everything = torch.arange(len(data["test"]))
    return Loaders(
        train=_loader(data["train"], train, changed, batch_size=batch_size, shuffle=True, seed=seed),
        val=_loader(data["train"], val, plain, batch_size=batch_size, shuffle=False, seed=seed),
        test=_loader(data["test"], everything, plain, batch_size=batch_size, shuffle=False, seed=seed),
        classes=classes,
        name=folder.name,
        size=size,
    )


@dataclass(frozen=True)
class Prepare:
    """uint8 pictures -> what the network sees: augmented, then ``(x / 255 - mean) / std`` in one go."""

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    augment: augmentation.Augment | None = None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if self.augment is not None:
            images = self.augment(images)
        scale, offset = _scale_and_offset(self.mean, self.std, images.device)
        result = torch.empty(images.shape, device=images.device)
        # Picture by picture all three steps find their numbers in the processor's cache; a GPU wants them all at once.
        step = 1 if images.device.type == "cpu" else max(1, len(images))
        for pixels, target in zip(images.split(step), result.split(step), strict=True):
            target.copy_(pixels).mul_(scale).add_(offset)
        return result

    def undo(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised (..., 3, H, W) back to values in 0..1, for looking at."""
        scale, offset = _scale_and_offset(self.mean, self.std, images.device)
        return ((images - offset) / (255 * scale)).clamp(0, 1)


@functools.lru_cache(maxsize=16)
def _scale_and_offset(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(3, 1, 1) each, such that ``pixels * scale + offset == (pixels / 255 - mean) / std``."""
    means, stds = (torch.tensor(values, device=device).view(3, 1, 1) for values in (mean, std))
    return 1 / (255 * stds), -means / stds


class Part(Dataset):
    """Some pictures of a data set, prepared for the network. ``part[i]`` works, and a whole batch is made at once."""

    def __init__(self, data: Decoded | Undecoded, indices: torch.Tensor, prepare: Prepare) -> None:
        self.data, self.indices, self.prepare = data, indices, prepare

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        images, labels = self.__getitems__([index])
        return images[0], int(labels[0])

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """What ``DataLoader`` calls with the positions of one batch."""
        images, labels = self.data.batch(self.indices[indices])
        return self.prepare(images), labels

    @property
    def paths(self) -> list[Path]:
        return [self.data.paths[index] for index in self.indices.tolist()]

    @property
    def labels(self) -> torch.Tensor:
        return self.data.labels[self.indices]


def one_picture(path: str | Path, *, size: int = 224, squeeze: bool = False) -> torch.Tensor:
    """The picture in a file as a batch of one: (1, 3, size, size) float32, normalised as ImageNet's."""
    return Prepare()(torch.from_numpy(read_pixels(Path(path), size=size, squeeze=squeeze)).unsqueeze(0))


def as_image(images: torch.Tensor) -> torch.Tensor:
    """The first of normalised ``(N, 3, H, W)`` images as ``(H, W, 3)`` in 0..1, for ``plt.imshow``."""
    return Prepare().undo(images[0].cpu()).permute(1, 2, 0)


def stratified_split(labels: torch.Tensor, fraction: float, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (sorted, int64) for training and validation: ``fraction`` of every class, to the nearest picture.

    The validation part as a whole has ``round(fraction * N)`` pictures, at least one; classes with the largest
    remainder give one more. Every class keeps at least one picture for training.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"val_fraction={fraction} must be at least 0 and below 1, for example 0.1.")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, number in enumerate(_pictures_to_take(torch.bincount(labels), fraction)):
        members = (labels == label).nonzero().flatten()
        chosen[members[torch.randperm(len(members), generator=generator)[:number]]] = True
    return (~chosen).nonzero().flatten(), chosen.nonzero().flatten()


def _pictures_to_take(counts: torch.Tensor, fraction: float) -> list[int]:
    """How many pictures of each class go to validation."""
    shares = counts.double() * fraction
    take = shares.floor().long()
    wanted = max(round(fraction * int(counts.sum())), 1 if fraction else 0)
    for label in (take - shares).argsort(stable=True).tolist():  # the largest remainder first
        if int(take.sum()) < wanted and take[label] < counts[label] - 1:
            take[label] += 1
    return take.tolist()


def _loader(
    data: Decoded | Undecoded, indices: torch.Tensor, prepare: Prepare, *, batch_size: int, shuffle: bool, seed: int
) -> DataLoader:
    return DataLoader(
        Part(data, indices, prepare),
        batch_size=batch_size,
        shuffle=shuffle,
        # With a generator of its own, a pass over the pictures leaves torch's global one alone.
        generator=torch.Generator().manual_seed(seed),
        collate_fn=as_it_is,
        num_workers=0 if isinstance(data, Decoded) else min(4, os.cpu_count() or 1),
        # Batch norm cannot work with a single picture, so one that is left over waits for the next epoch.
        drop_last=shuffle and len(indices) > batch_size and len(indices) % batch_size == 1,
    )


def as_it_is(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return batch


def _classes(folder: Path) -> list[str]:
    for split in ("train", "test"):
        if not (folder / split).is_dir():
            raise FileNotFoundError(
                f"{folder} has no folder {split!r}. It must hold train/<class>/ and test/<class>/ with pictures in "
                "them; helpers.doctor.examine(folder) tells what it holds."
            )
    train, test = (pictures.list_classes(folder / split) for split in ("train", "test"))
    if not train:
        raise FileNotFoundError(f"{folder / 'train'} holds no class folders: put the pictures of each class in one.")
    if train != test:
        raise ValueError(
            f"train and test must hold the same classes. Only in train: {sorted(set(train) - set(test)) or 'none'}, "
            f"only in test: {sorted(set(test) - set(train)) or 'none'}."
        )
    return train


def _files(folder: Path, classes: list[str]) -> tuple[list[Path], torch.Tensor]:
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = pictures.list_pictures(folder / name)
        if not found:
            raise ValueError(f"The class folder {folder / name} holds no pictures: add some, or remove the folder.")
        paths += found
        labels += [label] * len(found)
    return paths, torch.tensor(labels)
