"""Several processes that train one network together: what DistributedDataParallel (DDP) needs around it.

    torchrun --nproc-per-node=2 -m helpers.training DATA

starts two processes of the same program. Each takes its part of every batch; DDP gives all of them the mean of their
gradients, so that all make the same step and hold the same weights. Outside torchrun the one process is *alone*, and
every function here gives back what it was given.

What differs from one process: augmentation and dropout draw other random numbers in each process; batch norm (where it
is trained) sees only the process's own part of a batch, and keeps the first one's averages; and a last batch with fewer
pictures than processes is left out, as one with a single picture always is.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler, Subset

from helpers import machine

T = TypeVar("T")
Items = TypeVar("Items", bound=Sequence)


class PeerLost(RuntimeError):
    """Another process of the training is gone, and no step can be made without it."""

    def __init__(self) -> None:
        super().__init__(
            "Another process of this training ended before its time: it was killed, its memory was full, or it failed "
            "with an error that stands above. Start the same again with --resume (in Python: resume=True): it goes on "
            "after the last whole epoch."
        )


# --- the processes ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def group() -> Iterator[None]:
    """Join the processes that torchrun started (CUDA: NCCL, a GPU each; CPU: gloo); without torchrun do nothing.

    Inside, only the first process writes to the screen. Raises PeerLost in place of what gloo, NCCL and torchrun say
    when another process is gone, ValueError when there are more processes than GPUs, or on an Apple GPU.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield
        return
    on_gpu = torch.cuda.is_available()
    if machine.device() not in ("cuda", "cpu"):
        raise ValueError("Several processes can train on NVIDIA GPUs or on the CPU, not on an Apple GPU.")
    if on_gpu:
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    before = signal.signal(signal.SIGTERM, _ended_by_torchrun)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
        with contextlib.nullcontext() if is_first() else _silence():
            yield
        dist.destroy_process_group()  # not after an error: it could wait for a process that is gone
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process ends by itself, and may have something to say
        if _tells_of_a_lost_peer(error):
            raise PeerLost from error
        raise
    signal.signal(signal.SIGTERM, before)


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def alone() -> bool:
    return count() == 1


def is_first() -> bool:
    return alone() or dist.get_rank() == 0


def on_this_machine() -> int:
    """How many processes share this machine's memory."""
    return 1 if alone() else int(os.environ.get("LOCAL_WORLD_SIZE", count()))


def own_seed(seed: int) -> int:
    """A seed that no other process has; the first process keeps ``seed``."""
    return seed if alone() else seed + (dist.get_rank() << 40)


def first_to_speak() -> bool:
    """True in that process that asks first: the one with the reason. The others fail only because it did."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        return True
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = dist.TCPStore(address, port, is_master=False, timeout=datetime.timedelta(seconds=5))
        return store.add(f"spoken {os.environ['TORCHELASTIC_RESTART_COUNT']}", 1) == 1
    except RuntimeError:  # torchrun is gone too
        return True


# --- one after the other ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process of each machine does this alone, the others after it: they find on the disk what it fetched."""
    first_here = alone() or os.environ["LOCAL_RANK"] == "0"
    if not first_here:
        _wait_for_all()
    yield
    if first_here and not alone():
        _wait_for_all()


def from_first(action: Callable[[], T]) -> T:
    """What ``action`` returns; only the first process does it, and all get the result."""
    if alone():
        return action()
    result = [action() if is_first() else None]
    dist.broadcast_object_list(result, device=torch.device("cpu"))
    return result[0]


# --- sharing the work -------------------------------------------------------------------------------------------------


def share(items: Items) -> Items:
    """This process's part of ``items``: what follows the part of the process before it, and of equal size or so."""
    if alone():
        return items
    rank = dist.get_rank()
    return items[len(items) * rank // count() : len(items) * (rank + 1) // count()]


def gathered(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The lists of all processes one after the other, on the CPU: undoes ``share``."""
    if alone():
        return tensors
    lists: list[list[torch.Tensor]] = [[] for _ in range(count())]
    dist.all_gather_object(lists, [tensor.cpu() for tensor in tensors])
    return [tensor for each in lists for tensor in each]


def share_pictures(loader: DataLoader) -> DataLoader:
    """A loader of this process's part of the pictures, for ``gathered`` results in the data set's order."""
    if alone():
        return loader
    return DataLoader(
        Subset(loader.dataset, share(range(len(loader.dataset)))),
        batch_size=loader.batch_size,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        generator=loader.generator,
    )


def share_batches(loader: DataLoader) -> DataLoader:
    """A loader of this process's part of every batch. The batches and their order are those of ``loader``."""
    if alone():
        return loader
    left_over = len(loader.dataset) % loader.batch_size
    drop_last = loader.drop_last or left_over < count()
    return DataLoader(
        loader.dataset,
        batch_sampler=_Parts(BatchSampler(loader.sampler, loader.batch_size, drop_last=drop_last)),
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        generator=loader.generator,
        worker_init_fn=_Reseed(own_seed(0)),
    )


class _Parts(Sampler[list[int]]):
    """This process's part of every batch."""

    def __init__(self, batches: Sampler[list[int]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return map(share, self.batches)


class _Reseed:
    """Lets the reading processes of a ``DataLoader`` draw other random numbers in every process of the training."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, _worker: int) -> None:
        torch.manual_seed(torch.initial_seed() + self.number)


# --- one step of training ---------------------------------------------------------------------------------------------


def check_batches(loader: DataLoader) -> None:
    """Raise ValueError unless every process gets a picture of a batch, and all draw the pictures in one order."""
    if alone():
        return
    if not isinstance(loader.sampler, SequentialSampler) and getattr(loader.sampler, "generator", None) is None:
        raise ValueError(
            "Several processes must draw the pictures in the same order: give the DataLoader a generator of its own."
        )
    pictures = min(loader.batch_size, len(loader.dataset))
    if pictures < count():
        raise ValueError(
            f"A batch of {pictures} cannot be shared by {count()} processes: choose a batch size of {count()} or "
            "more (it counts the pictures of all processes together), or start fewer processes."
        )


def parallel(model: nn.Module) -> nn.Module:
    """``model``, whose gradients become the mean over the processes; all begin with the first one's weights."""
    return model if alone() else DistributedDataParallel(model)


def weighted(loss: torch.Tensor, pictures: int) -> torch.Tensor:
    """``loss``, a mean over this process's ``pictures``, so scaled that the mean of all processes is that over all
    pictures of the batch, also where it could not be shared equally."""
    if alone():
        return loss
    total = torch.full((), float(pictures), device=loss.device)
    dist.all_reduce(total)
    return loss * (count() * pictures / total)


def sums(*values: torch.Tensor | int) -> list[float]:
    """The sum of each value over all processes."""
    if alone():
        return [float(value) for value in values]
    totals = torch.tensor([float(value) for value in values], dtype=torch.float64)
    dist.all_reduce(totals)
    return totals.tolist()


def same_buffers(model: nn.Module) -> None:
    """Give ``model`` the first process's buffers (batch norm's averages) everywhere."""
    for buffer in () if alone() else model.buffers():
        dist.broadcast(buffer, src=0)


# --- what may go wrong ------------------------------------------------------------------------------------------------


def _take_gpu(number: int) -> None:
    there = torch.cuda.device_count()
    if number >= there:
        raise ValueError(f"Each process needs a GPU of its own, and there are {there}: --nproc-per-node={there}.")
    torch.cuda.set_device(number)


def _ended_by_torchrun(*_: object) -> NoReturn:
    """torchrun sends SIGTERM to the others when one process is gone."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise PeerLost


def _tells_of_a_lost_peer(error: BaseException) -> bool:
    """NCCL's errors have a class of their own; gloo's are known by the source file that they name."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo/" in str(error))


def _wait_for_all() -> None:
    dist.all_reduce(torch.zeros(()))  # on the CPU; dist.barrier() would ask which GPU it should use


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield
