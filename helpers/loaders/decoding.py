"""Image files as uint8 tensors: all of them decoded once and kept in memory, or each one when it is asked for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from helpers import machine, pictures

MEMORY_SHARE = 0.4  # of the free memory, for what is kept in it


@dataclass(eq=False)
class LazyImages(Dataset):
    """Images read and decoded when they are asked for: for sets larger than the memory.

    ``dataset[i]`` is ``(3, size, size)`` uint8 and a label.
    """

    paths: list[Path]
    labels: Tensor
    size: int
    stretch: bool
    values: pictures.ValueRange | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.read(index)), int(self.labels[index])

    def read(self, index: int) -> np.ndarray:
        return read_pixels(self.paths[index], size=self.size, stretch=self.stretch, values=self.values)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(N, 3, size, size)`` uint8 and labels ``(N,)`` at ``indices`` ``(N,)``."""
        return torch.stack([self[index][0] for index in indices.tolist()]), self.labels[indices]


@dataclass(eq=False)
class DecodedImages(LazyImages):
    """The same, all decoded at once into ``pixels`` ``(N, 3, size, size)``, on the GPU where there is room.

    Raises ValueError when some cannot be read; it names three of them.
    """

    def __post_init__(self) -> None:
        pixels = torch.from_numpy(self._decode())
        self.pixels = pixels.cuda() if torch.cuda.is_available() and fits_memory(pixels.nbytes, "cuda") else pixels

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.pixels[index], int(self.labels[index])

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        device = self.pixels.device
        # index_select copies whole images; pixels[indices] would go through them number by number.
        return self.pixels.index_select(0, indices.to(device)), self.labels[indices].to(device)

    def _decode(self) -> np.ndarray:
        pixels = np.empty((len(self), 3, self.size, self.size), np.uint8)

        def decode(index: int) -> str:
            try:
                pixels[index] = self.read(index)
            except pictures.PictureError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow lets other threads run while it decodes
            steps = pool.map(decode, range(len(self)))
            bad = sorted(filter(None, tqdm(steps, "decoding", len(self), leave=False, disable=len(self) < 5000)))
        if bad:
            raise ValueError(
                f"{len(bad)} of {len(self)} pictures cannot be read, for example: {'; '.join(bad[:3])} "
                "Take them out of the folder (helpers.doctor.examine(folder) lists them all) and try again."
            )
        return pixels


def read_pixels(
    path: Path, *, size: int, stretch: bool = False, values: pictures.ValueRange | None = None
) -> np.ndarray:
    """One image as (3, size, size) uint8, pixel for pixel as torchvision's ``Resize`` and ``CenterCrop`` make it.

    Only a JPEG of four times the size or more is decoded at a half, a quarter or an eighth of its size first, as
    ``PIL.Image.thumbnail`` does: three times as fast, and a pixel differs by a third of a grey level on average.
    """
    image = pictures.open_rgb(path, at_least=2 * size, values=values)
    if stretch or image.width == image.height:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    elif max(image.size) > 16 * min(image.size):  # scaled before it is cut, a line of 20000x1 px would need 4 GiB
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    else:
        width, height = (side * size // min(image.size) for side in image.size)
        left, top = round((width - size) / 2), round((height - size) / 2)
        image = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
    return np.array(image).transpose(2, 0, 1)  # (H, W, 3) -> (3, H, W)


def fits_memory(needed: int, device: str | torch.device = "cpu") -> bool:
    """True when ``needed`` bytes leave most of the device's free memory free."""
    on_gpu = torch.device(device).type == "cuda"
    return needed < MEMORY_SHARE * (torch.cuda.mem_get_info(device)[0] if on_gpu else machine.free_memory())
