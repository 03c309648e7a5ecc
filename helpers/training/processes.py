"""Several processes that train one network together, by torch's DistributedDataParallel (DDP).

torchrun starts the same program several times. All processes draw the *same* batches, with the same random changes of
the images, and each works on its own part of every batch; DDP adds up their gradients, so that all make the step that
one process would make. Outside torchrun a process is alone, and every function here gives back what it was given.

What differs from one process: batch norm (where it is trained) sees only its part of a batch, dropout drops the same
values in every part, and a last batch with fewer images than processes is left out.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import BatchSampler, DataLoader

from helpers import machine

T = TypeVar("T")


class PeerLost(RuntimeError):
    """Another process of the training is gone, and no step can be made without it."""

    def __init__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it too: once is enough
        super().__init__(
            "Another process of this training ended before its time: it was killed, its memory was full, or it failed "
            "with an error of its own. Start the same again with --resume (in Python: resume=True): it goes on after "
            "the last whole epoch."
        )


@contextlib.contextmanager
def group() -> Iterator[None]:
    """Join the processes that torchrun started (on GPUs: NCCL, a GPU each; on the CPU: gloo); without it do nothing.

    Inside, only the first process writes to the screen. Raises PeerLost where another process is gone, ValueError when
    there are more processes than GPUs, or on an Apple GPU.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield
        return
    gpus, own = torch.cuda.device_count(), int(os.environ["LOCAL_RANK"])
    if machine.device() == "mps" or own >= gpus > 0:
        raise ValueError(f"Each process needs an NVIDIA GPU of its own, or there is none at all; there are {gpus}.")
    if gpus:
        torch.cuda.set_device(own)
    signal.signal(signal.SIGTERM, _lost)  # what torchrun sends to the others when one process is gone
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
    try:
        with open(os.devnull, "w") as nowhere:
            out, err = (sys.stdout, sys.stderr) if is_first() else (nowhere, nowhere)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo/" in str(error):  # gloo names its source file, NCCL has a class
            raise PeerLost from error
        raise
    dist.destroy_process_group()  # not after an error: it could wait for a process that is gone


def _lost(*_: object) -> NoReturn:
    raise PeerLost


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """True in the process that speaks and saves."""
    return count() == 1 or dist.get_rank() == 0


def from_first(action: Callable[..., T], *arguments: Any) -> T:
    """What ``action(*arguments)`` returns; only the first process calls it, and all wait for the result."""
    result: list[Any] = [action(*arguments) if is_first() else None]
    if count() > 1:
        dist.broadcast_object_list(result, device=torch.device("cpu"))
    return result[0]


def part(length: int) -> slice:
    """This process's part of ``length`` things in a row, as large as that of any other, or one larger."""
    rank = dist.get_rank() if count() > 1 else 0
    return slice(length * rank // count(), length * (rank + 1) // count())


def gathered(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The lists of all processes one after the other, on the CPU."""
    if count() == 1:
        return tensors
    lists: list[list[torch.Tensor]] = [[] for _ in range(count())]
    dist.all_gather_object(lists, [tensor.cpu() for tensor in tensors])
    return [tensor for each in lists for tensor in each]


def summed(*values: torch.Tensor | int) -> list[float]:
    """The sum of each value over all processes."""
    totals = torch.tensor([float(value) for value in values], dtype=torch.float64)
    if count() > 1:
        dist.all_reduce(totals)
    return totals.tolist()


class SharedBatches:
    """This process's part of every batch of ``loader``; ``weight`` is the share that its last part was of the batch."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader, self.weight = loader, 1.0
        batches = loader.batch_sampler or loader.sampler
        if not isinstance(batches, BatchSampler):
            raise ValueError("Several processes can share the batches of a DataLoader with a batch_size only.")
        images = len(batches.sampler)  # type: ignore[arg-type]  # the samplers of a data set know their length
        largest = min(batches.batch_size, images)
        if largest < count():
            raise ValueError(
                f"A batch of {largest} cannot be shared by {count()} processes: choose a batch size of {count()} or "
                "more (it counts the images of all processes together), or start fewer processes."
            )
        self.left_out = 0 < images % batches.batch_size < count() and not batches.drop_last

    def __len__(self) -> int:
        return len(self.loader) - self.left_out

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for images, labels in self.loader:
            if len(labels) >= count():
                own = part(len(labels))
                self.weight = len(labels[own]) / len(labels)
                yield images[own], labels[own]


def shared(loader: DataLoader) -> DataLoader | SharedBatches:
    """The batches that this process trains on."""
    return loader if count() == 1 else SharedBatches(loader)


def parallel(model: nn.Module, batches: DataLoader | SharedBatches) -> nn.Module:
    """``model``, whose gradients become those of whole batches; all begin with the first process's weights."""
    if not isinstance(batches, SharedBatches):
        return model

    def weighted_sum(_, bucket):  # without hints: DDP refuses those that are strings
        work = dist.all_reduce(bucket.buffer().mul_(batches.weight), async_op=True)
        return work.get_future().then(lambda done: done.value()[0])

    together = DistributedDataParallel(model)
    together.register_comm_hook(None, weighted_sum)  # DDP's own mean is right only for parts of one size
    return together


def same_buffers(model: nn.Module) -> None:
    """Give ``model`` the first process's buffers (batch norm's averages) everywhere."""
    for buffer in model.buffers() if count() > 1 else ():
        dist.broadcast(buffer, src=0)
