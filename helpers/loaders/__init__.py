"""From a folder of images to batches ready for a network.

Every file is decoded *once*, into one uint8 tensor ``(N, 3, size, size)`` that stays in memory (on the GPU where
there is room), so that an epoch reads no file. What comes out is still a ``torch.utils.data.DataLoader``:
``for images, labels in loaders.train`` as everywhere else.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torchvision.transforms import v2

from helpers import pictures
from helpers.loaders import augment as augmentation
from helpers.loaders.decoding import DecodedImages, LazyImages, fits_memory, read_pixels
from helpers.pictures import IMAGENET_MEAN, IMAGENET_STD, PictureError, printable


@dataclass(frozen=True)
class Loaders:
    """Batches for training, for choosing the epoch, and for the final examination."""

    train: DataLoader[Any]
    val: DataLoader[Any]
    test: DataLoader[Any]
    classes: list[str]
    name: str  # of the dataset; stands in plot titles, histories and checkpoints
    size: int  # side of the images, px

    def __str__(self) -> str:
        train, val, test = (len(cast(Sized, loader.dataset)) for loader in (self.train, self.val, self.test))
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
    augment: str | v2.Transform | augmentation.Augment | None = None,
    seed: int = 0,
    stretch: bool = False,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    in_memory: bool | None = None,
) -> Loaders:
    """Loaders for ``folder/train/<class>/*`` and ``folder/test/<class>/*``.

    Batches are ``images`` (N, 3, size, size) float32, normalised with ``mean`` and ``std``, and ``labels`` (N,) int64.
    Files of more than 8 bits are all scaled by one rule, ``pictures.usual_range``. Photos that are left out for their
    ending, and a single class, give a warning.

    Args:
        size: side of the images in px. The short side is scaled to it and the middle is cut out, as torchvision's
            pretrained networks expect; ``stretch=True`` scales both sides to it instead and distorts, as the lecture
            does. Square images come out the same either way.
        val_fraction: share of the training images set aside, stratified (the same share of every class), by ``seed``.
        augment: "flip", "light", "strong", a transform of ``torchvision.transforms.v2`` (applied to every image by
            itself), or a function of a uint8 batch; training images only.
        in_memory: None decides by itself; False reads the files in every epoch, as ``ImageFolder`` does.

    Raises:
        FileNotFoundError: no train/ or test/, or no class folders in them.
        ValueError: a class without pictures, classes that differ between train and test, unreadable pictures, one
            folder level too many, a link that leads back.
    """
    if isinstance(size, Sequence):
        raise ValueError(f"size={size} must be one number, the side of square images in px: size={size[0]}.")
    if size < 1 or batch_size < 1:
        raise ValueError(f"size={size} and batch_size={batch_size} must be at least 1.")
    folder = Path(os.path.abspath(Path(folder).expanduser()))  # absolute, so that it has a name; links stay as they are
    files = _files(folder)
    classes = list(files["train"])
    paths = {split: [path for name in classes for path in found[name]] for split, found in files.items()}
    values = pictures.value_range(paths["train"] + paths["test"])
    if in_memory is None:
        needed = sum(map(len, paths.values())) * 3 * size * size
        in_memory = fits_memory(needed * int(os.environ.get("LOCAL_WORLD_SIZE", 1)))  # torchrun: each process keeps all
    data = {}
    for split, found in files.items():
        labels = torch.tensor([label for label, name in enumerate(classes) for _ in found[name]])
        kind = DecodedImages if in_memory else LazyImages
        data[split] = kind(paths[split], labels, size=size, stretch=stretch, values=values)
    train, val = stratified_split(data["train"].labels, val_fraction, seed=seed)
    plain = Preprocess(mean=tuple(mean), std=tuple(std))
    changed = replace(plain, augment=augmentation.recipe(augment, size=size))
    everything = torch.arange(len(data["test"]))
    workers = 0 if in_memory else _workers(batch_size * 3 * size**2)
    options = {"batch_size": batch_size, "seed": seed, "workers": workers}
    return Loaders(
        train=_loader(data["train"], train, changed, shuffle=True, **options),
        val=_loader(data["train"], val, plain, shuffle=False, **options),
        test=_loader(data["test"], everything, plain, shuffle=False, **options),
        classes=classes,
        name=printable(folder.name),
        size=size,
    )


@dataclass(frozen=True)
class Preprocess:
    """uint8 images -> what the network sees: augmented, then ``(x / 255 - mean) / std``, a whole batch at once."""

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    augment: augmentation.Augment | None = None

    def __call__(self, images: Tensor) -> Tensor:
        return self.normalised(self.augmented(images))

    def augmented(self, images: Tensor) -> Tensor:
        """uint8 images -> uint8 images."""
        if self.augment is not None:
            images = self.augment(images)
            if images.dtype != torch.uint8:
                raise ValueError(
                    f"augment gave back {images.dtype}, but it must give back uint8 images as it gets them: leave out "
                    "ToDtype and Normalize, which come afterwards by themselves."
                )
        return images

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 images -> float32."""
        mean, std = self._column(self.mean, images), self._column(self.std, images)
        result = torch.empty(images.shape, device=images.device)
        # Image by image, all four steps find their numbers in a processor's cache: measured twice as fast. A GPU wants
        # all images at once.
        step = 1 if images.device.type == "cpu" else max(1, len(images))
        for pixels, target in zip(images.split(step), result.split(step), strict=True):
            target.copy_(pixels).div_(255).sub_(mean).div_(std)
        return result

    def undo(self, images: Tensor) -> Tensor:
        """Normalised (..., 3, H, W) back to values in 0..1, for looking at."""
        return (images * self._column(self.std, images) + self._column(self.mean, images)).clamp(0, 1)

    @staticmethod
    def _column(values: Sequence[float], images: Tensor) -> Tensor:
        return torch.tensor(values, device=images.device).view(-1, 1, 1)


Prepare = Preprocess  # its name in last term's notebooks


class Subset(Dataset):
    """Some images of a dataset, preprocessed for the network; ``DataLoader`` has a whole batch made at once."""

    def __init__(self, data: LazyImages, indices: Tensor, transform: Preprocess) -> None:
        self.data, self.indices, self.transform = data, indices, transform

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        images, labels = self.__getitems__([index])
        return images[0], int(labels[0])

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """What ``DataLoader`` calls with the positions of one batch: images ``(N, 3, H, W)``, labels ``(N,)``."""
        images, labels = self.data.batch(self.indices[indices])
        return (self.transform if get_worker_info() is None else self.transform.augmented)(images), labels

    @property
    def paths(self) -> list[Path]:
        return [self.data.paths[index] for index in self.indices.tolist()]

    @property
    def labels(self) -> Tensor:
        return self.data.labels[self.indices]


def unchanged(loaders: Loaders) -> Loaders:
    """The same images in the same batches, without augmentation."""
    loader, data = loaders.train, loaders.train.dataset
    if not isinstance(data, Subset) or data.transform.augment is None:
        return loaders
    plain, size = replace(data.transform, augment=None), cast(int, loader.batch_size)
    options = {"batch_size": size, "seed": 0, "workers": loader.num_workers}
    return replace(loaders, train=_loader(data.data, data.indices, plain, shuffle=True, **options))


def one_picture(path: str | Path, *, size: int = 224, stretch: bool = False) -> Tensor:
    """The image in a file as a batch of one: (1, 3, size, size) float32, normalised as ImageNet's."""
    return Preprocess()(torch.from_numpy(read_pixels(Path(path), size=size, stretch=stretch)).unsqueeze(0))


def as_image(images: Tensor) -> Tensor:
    """The first of normalised ``(N, 3, H, W)`` images as ``(H, W, 3)`` in 0..1, for ``plt.imshow``."""
    return Preprocess().undo(images[0].cpu()).permute(1, 2, 0)


def stratified_split(labels: Tensor, fraction: float, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Positions (sorted, int64) for training and validation: ``fraction`` of every class, to the nearest image.

    The validation part as a whole has ``round(fraction * N)`` images, at least one, or fewer where a class cannot
    spare its share: every class keeps at least one image for training.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"val_fraction={fraction} must be at least 0 and below 1, for example 0.1.")
    generator, counts = torch.Generator().manual_seed(seed), labels.bincount()
    shares = fraction * counts.double()
    take = shares.floor().long()
    wanted = max(round(fraction * len(labels)), 1 if fraction else 0)
    for label in (take - shares).argsort(stable=True).tolist():  # the largest remainder first gives one more
        take[label] += bool(take.sum() < wanted and take[label] < counts[label] - 1)
    is_chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, number in enumerate(take.tolist()):
        members = (labels == label).nonzero().flatten()
        is_chosen[members[torch.randperm(len(members), generator=generator)[:number]]] = True
    return (~is_chosen).nonzero().flatten(), is_chosen.nonzero().flatten()


class _ReadAhead(DataLoader[Any]):
    """Workers read the files and hand over uint8, a quarter of float32; normalised in this process, as it comes."""

    def __iter__(self) -> Any:
        return self._normalised(super().__iter__())

    def _normalised(self, batches: Iterator[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        try:
            for images, labels in batches:
                yield cast(Subset, self.dataset).transform.normalised(images), labels
        except PictureError as error:  # the worker's traceback, with the sentence at its end
            raise PictureError(str(error).rpartition("PictureError: ")[2].strip()) from None


def _loader(
    data: LazyImages, indices: Tensor, transform: Preprocess, *, batch_size: int, shuffle: bool, seed: int, workers: int
) -> DataLoader[Any]:
    return (_ReadAhead if workers else DataLoader)(
        Subset(data, indices, transform),
        batch_size=batch_size,
        shuffle=shuffle,
        # With a generator of its own, a pass over the images leaves torch's global one alone.
        generator=torch.Generator().manual_seed(seed),
        collate_fn=as_it_is,
        num_workers=workers,
        # Batch norm cannot work with a single image, so one that is left over waits for the next epoch.
        drop_last=shuffle and len(indices) > batch_size and len(indices) % batch_size == 1,
    )


def _workers(batch: int) -> int:
    """Processes that read ahead, each with up to four batches of so many bytes on their way through /dev/shm."""
    workers = min(4, os.cpu_count() or 1)
    if not os.path.isdir("/dev/shm"):  # no Linux
        return workers
    free = shutil.disk_usage("/dev/shm").free
    if free < 4 * batch:
        _warn(
            f"/dev/shm has {free / 2**20:.0f} MiB left, too little to read ahead in other processes, so this one reads "
            "the files, which is slower. Take a smaller batch_size, or give the container more (--shm-size=1g)."
        )
    return min(workers, free // (4 * batch))


def as_it_is(batch: Any) -> Any:
    """The ``collate_fn`` of datasets that make a whole batch at once."""
    return batch


def _files(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """The pictures of "train" and of "test", class by class, once nothing speaks against training on them."""
    for split in ("train", "test"):
        if not (folder / split).is_dir():
            inner = [path for path in folder.glob("*") if (path / split).is_dir()]
            advice = (
                f"Pass {inner[0]}, which has one." if inner else "helpers.doctor.examine(folder) tells what it holds."
            )
            sentence = f"{folder} has no folder {split!r}. It must hold train/<class>/ and test/<class>/. {advice}"
            raise FileNotFoundError(printable(sentence))
    files: dict[str, dict[str, list[Path]]] = {"train": {}, "test": {}}
    others: dict[str, list[Path]] = {}
    for split, found in files.items():
        for name, folders in pictures.class_folders(folder / split).items():
            every = [path for each in folders for path in pictures.list_files(each)]
            found[name] = [path for path in every if pictures.is_picture_name(path.name)]
            others[f"{split}/{name}"] = [path for path in every if not pictures.is_picture_name(path.name)]
        if deeper := pictures.one_level_down(found, folder / split):
            if len(found) == 1:
                raise PictureError(deeper)
            _warn(deeper)
    train, test = (set(found) for found in files.values())
    if not train:
        sentence = f"{folder / 'train'} holds no class folders: put the pictures of each class in one."
        raise FileNotFoundError(printable(sentence))
    if train != test:
        raise ValueError(
            f"train and test must hold the same classes. Only in train: {sorted(train - test) or 'none'}, "
            f"only in test: {sorted(test - train) or 'none'}." + f" {pictures.UNLABELLED}" * train.isdisjoint(test)
        )
    for name, rest in others.items():
        split, label = name.split("/")
        if not files[split][label]:
            what = pictures.left_out(rest) or "it is empty. Add some, or remove the folder."
            raise PictureError(f"The class folder {folder / name} holds no pictures that count: {what}")
    if photos := pictures.left_out((path for rest in others.values() for path in rest), only_photos=True):
        _warn(f"Left out of {folder}: {photos}")
    if len(train) == 1:
        _warn(f"{folder} has a single class, {min(train)}: every answer is right, 100 % accuracy means nothing.")
    return files


def _warn(sentence: str) -> None:
    warnings.warn(printable(sentence), stacklevel=4)
