"""From calls to rows: what is counted once, what belongs to which block, which calls are layers at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from torch import Tensor, fx, nn

from helpers.dissect import field as dissect_field
from helpers.dissect import geometry, trace
from helpers.dissect.field import Reach
from helpers.dissect.geometry import Call
from helpers.dissect.rows import Row
from helpers.dissect.trace import BATCH, Tracer


@dataclass(frozen=True)
class Recorded:
    """What a pass has shown."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]


@dataclass
class _Book:
    """What is known while the rows are written one after the other."""

    counted: set[int] = field(default_factory=set)  # ids of parameters
    notes: dict[str, None] = field(default_factory=dict)  # in their order, each once

    def note(self, sentence: str) -> None:
        self.notes[sentence] = None

    def row(self, call: Call, inputs: Iterable[str], weights: Iterable[nn.Parameter]) -> Row:
        """The row of one call; its receptive field is added by whoever knows it."""
        new = [weight for weight in weights if id(weight) not in self.counted]
        self.counted.update(map(id, new))
        macs = geometry.macs(call)
        if macs is None:
            self.note(f"The work of {call.type} is not counted among the MACs.")
        arriving = [tensor for tensor in call.tensors() if not isinstance(tensor, nn.Parameter)]
        return Row(
            name=call.name,
            type=call.type,
            kind=call.kind(),
            inputs=tuple(inputs),
            input_shape=self.shape(call, arriving[0]) if arriving else (),
            output_shape=self.shape(call, call.result),
            params=sum(weight.numel() for weight in new),
            trainable=sum(weight.numel() for weight in new if weight.requires_grad),
            activation_bytes=call.result.numel() * call.result.element_size() // BATCH,
            shares_memory=geometry.shares_memory(call),
            macs=(macs or 0) // BATCH,
            window=geometry.window(call),
        )

    def shape(self, call: Call, tensor: Tensor) -> tuple[int, ...]:
        """Without the batch; as it is where the batch has been lost on the way."""
        if tensor.ndim and tensor.shape[0] == BATCH:
            return tuple(tensor.shape[1:])
        self.note(f"{call.name} ({call.type}) mixes the pictures of a batch: its shape is given as it is.")
        return tuple(tensor.shape)


def record(model: nn.Module, graph: fx.Graph, tracer: Tracer, pictures: list[Tensor]) -> Recorded:
    """The rows of a traced network; ``model`` and ``pictures`` are on the meta device."""
    calls = trace.run(model, graph, tracer.names, pictures)
    blocks, book = _blocks(model, tracer), _Book()
    reaches: dict[fx.Node, Reach | None] = {}
    origins: dict[fx.Node, tuple[str, ...]] = {}  # the rows that a value comes from
    given: dict[fx.Node, list[nn.Parameter]] = {}  # what a call uses, directly or through what forward made of them
    rows: list[Row] = []
    for node, call in calls.items():
        if node.op == "placeholder" and isinstance(call.result, Tensor):
            reaches[node], origins[node] = dissect_field.picture(tuple(call.result.shape)), (call.name,)
            continue
        sources = [source for source in node.all_input_nodes if source in origins]
        loose = [source for source in node.all_input_nodes if source not in origins]  # do not depend on the picture
        given[node] = _parameters(call) + [weight for source in loose for weight in given[source]]
        if node.op in ("placeholder", "get_attr", "output") or not sources or not _holds_tensors(call.result):
            continue
        arriving = [calls[source].result for source in sources]
        reaches[node], odd = geometry.reach_after(call, arriving, [reaches[source] for source in sources])
        origins[node] = tuple(dict.fromkeys(name for source in sources for name in origins[source]))
        if odd:
            book.note(f"At {call.name} {odd}: the receptive field is not known from there on.")
        shown = _shown(call)
        if shown is not None:
            row = book.row(shown, origins[node], given[node])
            rows.append(_placed(row, reaches[node], *blocks.get(node, ("", ""))))
            origins[node] = (call.name,)
    unused = sum(weight.numel() for weight in model.parameters() if id(weight) not in book.counted)
    if unused:
        parts = _unused(model, book.counted)
        book.note(f"{unused:,} of the parameters are not used between input and output: {parts}.")
    return Recorded(tuple(rows), tuple(book.notes))


def record_hooked(model: nn.Module, pictures: list[Tensor]) -> Recorded:
    """The rows of the modules without children, in the order of their calls; functional calls are not seen."""
    book, rows, before = _Book(), [], "input"
    for call in trace.run_hooked(model, pictures):
        if _holds_tensors(call.result):
            rows.append(book.row(_shown(call), (before,), call.module.parameters()))
            before = call.name
    return Recorded(tuple(rows), tuple(book.notes))


def _holds_tensors(value: object) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, (tuple, list)) and isinstance(next(iter(value), None), Tensor)
    )


def _parameters(call: Call) -> list[nn.Parameter]:
    """Those of a module, or the one that a node fetches."""
    if call.module is not None:
        return list(call.module.parameters())
    return [call.result] if isinstance(call.result, nn.Parameter) else []


def _shown(call: Call) -> Call | None:
    """The call as a row shows it: a layer that returns several values by its first; chunk and the like not at all."""
    if isinstance(call.result, Tensor):
        return call
    return replace(call, result=call.result[0]) if call.module is not None else None


def _placed(row: Row, reach: Reach | None, block: str, block_type: str) -> Row:
    axes, whole = (reach.axes, reach.whole) if reach is not None else (None, False)
    return replace(row, axes=axes, whole_image=whole, block=block, block_type=block_type)


def _unused(model: nn.Module, counted: set[int]) -> str:
    """The parts whose parameters no row has: "AuxLogits"."""
    names = [name for name, weight in model.named_parameters() if id(weight) not in counted]
    return ", ".join(dict.fromkeys(name.split(".")[0] for name in names))


# ---- blocks ------------------------------------------------------------------------------------------------------


def _blocks(model: nn.Module, tracer: Tracer) -> dict[fx.Node, tuple[str, str]]:
    """For every node in a block the block's name and class: the outermost module that is more than a container.

    Something that holds more than half of the calls is the network itself in a wrapping, not one of its blocks.
    """
    modules = dict(model.named_modules())
    owners = {node: owner for node, owner in tracer.owners.items() if node.op.startswith("call")}
    sizes: dict[str, int] = {}
    for owner in owners.values():
        for path in _paths(owner):
            sizes[path] = sizes.get(path, 0) + 1
    small = {path for path, size in sizes.items() if size * 2 <= len(owners) and not _is_container(modules[path])}
    found = {}
    for node, owner in owners.items():
        block = next((path for path in _paths(owner) if path in small), None)
        if block is not None:
            found[node] = (block, type(modules[block]).__name__)
    return found


def _paths(owner: str) -> list[str]:
    """For "a.b.c" the list "a", "a.b", "a.b.c"."""
    parts = owner.split(".") if owner else []
    return [".".join(parts[: index + 1]) for index in range(len(parts))]


def _is_container(module: nn.Module) -> bool:
    """A list of modules: nn.Sequential and its like, also named ones (torchvision's AnyStage) that hold blocks."""
    if type(module) is nn.Sequential or isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        return True
    return isinstance(module, nn.Sequential) and any(True for child in module for _ in child.children())
