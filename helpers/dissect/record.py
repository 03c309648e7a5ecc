"""From calls to rows: what is counted once, what belongs to which block, which calls are layers at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate

from torch import Tensor, fx, nn

from helpers.dissect import geometry, trace
from helpers.dissect.geometry import Call, Field, Op
from helpers.dissect.rows import Row
from helpers.dissect.trace import BATCH, Traced
from helpers.models.copies import tensors_in


@dataclass(frozen=True)
class Value:
    """What is known of a value on its way through the network."""

    field: Field | None = None  # None: not known
    origins: tuple[str, ...] = ()  # the rows that it comes from; empty where it does not depend on the image
    params: tuple[nn.Parameter, ...] = ()  # inside it, and in no row so far


class Recorder:
    """Makes rows, call after call; a parameter counts in the first row that uses it."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self.counted: set[int] = set()  # ids of parameters
        self.unlisted = 0  # MACs that belong to no row

    def add(
        self,
        call: Call,
        inputs: tuple[str, ...],
        params: Iterable[nn.Parameter],
        field: Field | None = None,
        block: tuple[str, str] = ("", ""),
    ) -> None:
        """Append the row of a call; ``block`` is the name and the class of the module that it belongs to."""
        new = [weight for weight in params if id(weight) not in self.counted]
        self.counted.update(map(id, new))
        for op in call.ops:
            if op.macs is None:
                self.note(f"The work of {op.name} ({call.name}) is not counted among the MACs.", f"work of {op.name}")
        arriving = [tensor for tensor in call.tensors() if not isinstance(tensor, nn.Parameter)]
        row = Row(
            name=call.name,
            type=call.type,
            kind=call.kind,
            inputs=inputs,
            input_shape=self._shape(call, arriving[0]) if arriving else (),
            output_shape=self._shape(call, call.result),
            params=sum(weight.numel() for weight in new),
            trainable=sum(weight.numel() for weight in new if weight.requires_grad),
            activation_bytes=call.result.numel() * call.result.element_size() // BATCH,
            shares_memory=geometry.shares_memory(call),
            macs=_macs(call.ops) // BATCH,
            window=geometry.window(call),
            whole_image=field is not None and field.whole_image,
            axes=field.axes if field is not None else None,
            block=block[0],
            block_type=block[1],
        )
        self.rows.append(row)

    def note(self, sentence: str, about: str = "") -> None:
        """Keep a sentence for the lines under the table, once; ``about`` are its words that tell it from others."""
        if not any((about or sentence) in note for note in self.notes):
            self.notes.append(sentence)

    def _shape(self, call: Call, tensor: Tensor) -> tuple[int, ...]:
        """Without the batch; as it is where the batch has been lost on the way."""
        if tensor.ndim and tensor.shape[0] == BATCH:
            return tuple(tensor.shape[1:])
        self.note(f"{call.name} ({call.type}) mixes the pictures of a batch: its shape is given as it is.")
        return tuple(tensor.shape)


def record(model: nn.Module, traced: Traced, images: list[Tensor]) -> Recorder:
    """The rows of a traced network; ``model`` and ``images`` are on the meta device."""
    calls, blocks, recorder = trace.run(model, traced, images), _blocks(model, traced), Recorder()
    values: dict[fx.Node, Value] = {}
    for node, call in calls.items():
        if node.op == "placeholder" and isinstance(call.result, Tensor):
            values[node] = Value(geometry.image_field(tuple(call.result.shape)), (call.name,))
            continue
        params = (*_parameters(call), *(weight for source in node.all_input_nodes for weight in values[source].params))
        sources = [source for source in node.all_input_nodes if values[source].origins]
        if not sources or node.op == "output" or not _holds_tensors(call.result):
            values[node] = Value(params=params)
            recorder.unlisted += _macs(call.ops)
            continue
        before = tuple(next(tensors_in(calls[sources[0]].result)).shape)
        field, problem = geometry.field_after(call, before, [values[source].field for source in sources])
        if problem:
            recorder.note(f"At {call.name} {problem}: the receptive field is not known from there on.")
        origins = tuple(dict.fromkeys(name for source in sources for name in values[source].origins))
        works = any(op.macs != 0 for op in call.ops)
        if isinstance(call.result, Tensor) or call.module is not None or works:  # chunk and the like have no row
            recorder.add(_first_result(call), origins, params, field, blocks.get(node, ("", "")))
            origins = (call.name,)
        values[node] = Value(field, origins)
    unused = {name: weight for name, weight in model.named_parameters() if id(weight) not in recorder.counted}
    if unused:
        count, parts = sum(map(Tensor.numel, unused.values())), dict.fromkeys(name.split(".")[0] for name in unused)
        recorder.note(f"{count:,} of the parameters are not used between input and output: {', '.join(parts)}.")
    if recorder.unlisted:
        recorder.note(f"{recorder.unlisted:,} MACs make what is the same for every image: in the sum, but in no row.")
    return recorder


def record_hooked(model: nn.Module, images: list[Tensor]) -> Recorder:
    """The rows of the modules without children, in the order of their calls; functional calls are not seen."""
    recorder, before = Recorder(), "input"
    calls, outside = trace.run_hooked(model, images)
    for call in calls:
        if _holds_tensors(call.result):
            recorder.add(_first_result(call), (before,), _parameters(call))
            before = call.name
    if unlisted := _macs(outside) // BATCH:
        recorder.unlisted = unlisted
        recorder.note(f"{unlisted:,} MACs are of functions that forward calls itself: in the sum, but in no row.")
    for name in dict.fromkeys(op.name for op in outside if op.macs is None):
        recorder.note(f"The work of {name}, which forward calls itself, is not counted among the MACs.")
    return recorder


def _macs(ops: Iterable[Op]) -> int:
    return sum(op.macs or 0 for op in ops)


def _holds_tensors(value: object) -> bool:
    return isinstance(value[0] if isinstance(value, (tuple, list)) and value else value, Tensor)


def _first_result(call: Call) -> Call:
    """The call as a row shows it: a layer that returns several values by its first."""
    return call if isinstance(call.result, Tensor) else replace(call, result=call.result[0])


def _parameters(call: Call) -> list[nn.Parameter]:
    """Those of a module, or the one that a node fetches."""
    if call.module is not None:
        return list(call.module.parameters())
    return [call.result] if isinstance(call.result, nn.Parameter) else []


# ---- blocks ------------------------------------------------------------------------------------------------------


def _blocks(model: nn.Module, traced: Traced) -> dict[fx.Node, tuple[str, str]]:
    """For every node in a block the block's name and class: the outermost module that is more than a container.

    Something that holds more than half of the calls is the network itself in a wrapping, not one of its blocks.
    """
    paths = {node: _paths(owner) for node, owner in traced.owners.items() if node.op.startswith("call_")}
    sizes = Counter(path for inside in paths.values() for path in inside)
    modules = {path: model.get_submodule(path) for path in sizes}
    blocks = {path for path, size in sizes.items() if size * 2 <= len(paths) and not _is_container(modules[path])}
    outermost = {node: next((path for path in inside if path in blocks), None) for node, inside in paths.items()}
    return {node: (path, type(modules[path]).__name__) for node, path in outermost.items() if path is not None}


def _paths(owner: str) -> list[str]:
    """For "a.b.c" the list "a", "a.b", "a.b.c"."""
    return list(accumulate(owner.split("."), "{}.{}".format)) if owner else []


def _is_container(module: nn.Module) -> bool:
    """A list of modules: nn.Sequential and its like, also named ones (torchvision's AnyStage) that hold blocks."""
    if type(module) is nn.Sequential or isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        return True
    return isinstance(module, nn.Sequential) and any(True for child in module for _ in child.children())
