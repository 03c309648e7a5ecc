"""Pictures decoded once: files in, one uint8 tensor out, kept in memory and cached on disk.

The cache lies in ``machine.home()/decoded`` and is keyed by the files' paths, sizes and dates, so that a changed folder
is decoded anew.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from helpers import machine, pictures

MEMORY_SHARE = 0.4  # of the free memory, for what is kept in it
CACHED_SETS = 6  # decoded sets kept on disk


class Decoded(Dataset):
    """All pictures in one uint8 tensor. ``dataset[i]`` is ``(3, size, size)`` uint8 and a label."""

    def __init__(self, paths: list[Path], labels: torch.Tensor, *, size: int, squeeze: bool) -> None:
        self.paths, self.labels = paths, labels
        pixels = torch.from_numpy(_decode_all(paths, size=size, squeeze=squeeze))
        on_gpu = torch.cuda.is_available() and fits_memory(pixels.nbytes, "cuda")
        self.pixels = pixels.cuda() if on_gpu else pixels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.pixels[index], int(self.labels[index])

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        device = self.pixels.device
        # index_select copies whole pictures; pixels[indices] would go through them number by number.
        return self.pixels.index_select(0, indices.to(device)), self.labels[indices].to(device)


class Undecoded(Dataset):
    """The same, but each picture is read and decoded when it is asked for: for sets larger than the memory."""

    def __init__(self, paths: list[Path], labels: torch.Tensor, *, size: int, squeeze: bool) -> None:
        self.paths, self.labels, self.size, self.squeeze = paths, labels, size, squeeze

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        pixels = read_pixels(self.paths[index], size=self.size, squeeze=self.squeeze)
        return torch.from_numpy(pixels), int(self.labels[index])

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = [self[index][0] for index in indices.tolist()]
        return torch.stack(pixels), self.labels[indices]


def read_pixels(path: Path, *, size: int, squeeze: bool = False) -> np.ndarray:
    """One picture as (3, size, size) uint8, pixel for pixel as torchvision's ``Resize`` and ``CenterCrop`` make it."""
    image = pictures.open_rgb(path)
    if squeeze or image.width == image.height:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    else:
        width, height = (side * size // min(image.size) for side in image.size)
        left, top = round((width - size) / 2), round((height - size) / 2)
        image = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
    return np.array(image).transpose(2, 0, 1)  # (H, W, 3) -> (3, H, W)


def _decode_all(paths: list[Path], *, size: int, squeeze: bool) -> np.ndarray:
    """(N, 3, size, size) uint8, from the cache on disk when these very files were decoded before."""
    shape = (len(paths), 3, size, size)
    cache = _cache_file(paths, size=size, squeeze=squeeze)
    pixels = _read_cache(cache, shape)
    if pixels is not None:
        return pixels
    pixels = np.empty(shape, np.uint8)
    bad: list[str] = []

    def decode(index: int) -> None:
        try:
            pixels[index] = read_pixels(paths[index], size=size, squeeze=squeeze)
        except pictures.PictureError as error:
            bad.append(str(error))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow lets other threads run while it decodes
        steps = pool.map(decode, range(len(paths)))
        list(tqdm(steps, total=len(paths), desc="decoding", leave=False, disable=len(paths) < 5000))
    if bad:
        raise ValueError(
            f"{len(bad)} of {len(paths)} pictures cannot be read, for example: {'; '.join(sorted(bad)[:3])} "
            "Take them out of the folder (helpers.doctor.examine(folder) lists them all) and try again."
        )
    _write_cache(cache, pixels)
    return pixels


# --- the cache on disk: a help, never a hindrance -------------------------------------------------------------------


def _cache_file(paths: list[Path], *, size: int, squeeze: bool) -> Path | None:
    """The file for these pictures as they are now; None where the data home cannot be used."""
    digest = hashlib.sha256(f"2 {PIL.__version__} {size} {squeeze}".encode())  # 2: how this module decodes
    for path in paths:
        status = path.stat()
        digest.update(f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}\n".encode())
    try:
        return machine.home() / "decoded" / f"{digest.hexdigest()[:32]}.npy"
    except OSError:
        return None


def _read_cache(cache: Path | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """What ``_write_cache`` wrote; None for a file that is missing, torn or another's."""
    if cache is None:
        return None
    try:
        with cache.open("rb") as file:
            pixels, checksum = np.lib.format.read_array(file), np.lib.format.read_array(file)
    except (OSError, EOFError, ValueError, MemoryError):  # a torn header may ask for any amount of memory
        return None
    whole = pixels.shape == shape and pixels.dtype == np.uint8 and int(checksum) == zlib.crc32(pixels)
    return pixels if whole else None


def _write_cache(cache: Path | None, pixels: np.ndarray) -> None:
    """Write what ``_read_cache`` reads. A full or read-only disk costs the next start a few seconds, nothing else."""
    if cache is None:
        return
    partial = cache.with_name(f"{cache.stem}.{os.getpid()}.tmp")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                np.save(file, pixels)
                np.save(file, np.array(zlib.crc32(pixels)))
            partial.replace(cache)
        finally:
            partial.unlink(missing_ok=True)  # or it would keep a full disk full
        for old in sorted(cache.parent.glob("*.npy"), key=lambda path: path.stat().st_mtime)[:-CACHED_SETS]:
            old.unlink()
    except OSError:
        pass


def fits_memory(needed: int, device: str | torch.device = "cpu") -> bool:
    """True when ``needed`` bytes leave most of the device's memory free."""
    free = torch.cuda.mem_get_info(device)[0] if torch.device(device).type == "cuda" else _free_memory()
    return needed < MEMORY_SHARE * free


def _free_memory() -> int:
    """Free memory in bytes, as far as the system tells; 4 GiB where it does not."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 4 << 30
