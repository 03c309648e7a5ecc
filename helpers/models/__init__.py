"""Networks by name, with the weights that were asked for, and what fine-tuning does to them.

``load("alexnet")`` is torchvision's AlexNet with its ImageNet weights, or an error; never something else in its place.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import re
from collections.abc import Callable, Iterator
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from helpers import machine
from helpers.models import alexnet_mini, resnet_mini
from helpers.models.alexnet2012 import AlexNet2012
from helpers.models.cifar_nets import CifarNet
from helpers.models.copies import meta_copy, quietly, unwrapped
from helpers.models.lenet import LeNet5

FROM_PAPERS = ("lenet5", "alexnet_2012", "resnet20_cifar", "plainnet20_cifar")  # the last two with any depth 6n+2
OWN = {"alexnet_mini": alexnet_mini, "resnet_mini": resnet_mini}  # their pretrained weights come with the kit
HEAD_NAMES = ("classifier", "fc", "head", "heads")  # what torchvision and timm call the part that ends in the classes
# What layers average (norms, also one's own) or iterate (spectral norm, old and new) while they train.
MOVING = {"running_mean", "running_var", "_u", "weight_u"}


class WeightsUnavailable(OSError):
    """The pretrained weights are neither on this machine nor to be had from the network."""


def load(name: str, *, num_classes: int | None = None, pretrained: bool = True) -> nn.Module:
    """The network ``name``, on the CPU and in ``eval`` mode: call ``.train()`` before a training loop of your own.

    Input ``(N, 3, H, W)`` float32 normalised (LeNet-5: one channel), output scores ``(N, num_classes)``.

    Args:
        name: one of torchvision's ("alexnet", "vgg16", "resnet18", ...); "alexnet_mini" or "resnet_mini", the small
            pretrained AlexNet and ResNet that come with the kit; or, untrained only, one of the papers' own that the
            kit writes out: "lenet5" (32x32 px), "alexnet_2012" (227x227), "resnet20_cifar", "plainnet56_cifar", ...
            (32x32).
        num_classes: None keeps the head that the network was made with (1000 classes of ImageNet); a number puts a
            new last layer in, see ``replace_head``.
        pretrained: True loads the weights that torchvision calls DEFAULT; False starts from random ones.

    Raises:
        ValueError: no network of that name.
        WeightsUnavailable: the weights are not in torch's cache and cannot be downloaded, or nobody published any.
    """
    if num_classes is not None:
        _check_number(num_classes)
    build = _from_paper(name)
    if build is not None:
        if pretrained:
            raise WeightsUnavailable(f"{name} has no pretrained weights; load({name!r}, pretrained=False) builds it.")
        model = build() if num_classes is None else build(num_classes=num_classes)
    elif name in OWN:
        model = OWN[name].load() if pretrained else OWN[name].build()
    elif name in torchvision.models.list_models(module=torchvision.models):
        model = _pretrained(name) if pretrained else _build(name, None)
    else:
        raise ValueError(
            f"There is no network {name!r}. Some that there are: alexnet, vgg16, resnet18, resnet50, squeezenet1_1, "
            "mobilenet_v2, alexnet_mini, resnet_mini; torchvision.models.list_models() names the others. Untrained "
            f"there are also {', '.join(FROM_PAPERS)}."
        )
    if num_classes is not None and build is None:
        replace_head(model, num_classes)
    _note(model, name=name)  # stands in histories, plots and checkpoints
    return model.eval()


def about(name: str) -> tuple[int, list[str]]:
    """The side of the images that the pretrained network ``name`` is judged on, in px, and the names of its classes.

    ``name`` is one of torchvision's, "alexnet_mini" or "resnet_mini"; any other is a ValueError.
    """
    if name in OWN:
        return 64, OWN[name].card()["classes"]
    weights = torchvision.models.get_model_weights(name).DEFAULT
    return weights.transforms().crop_size[0], weights.meta["categories"]


def name_of(model: nn.Module) -> str:
    """The name that ``load`` was asked for; the class of a network that was not made by it."""
    name = getattr(model, "name", None)
    return name if isinstance(name, str) else type(model).__name__


def scores_of(output: Any) -> torch.Tensor:
    """The class scores ``(N, classes)`` in what a network puts out.

    That is the tensor itself; ``output.logits`` or ``output["logits"]`` (transformers, Inception with its side head);
    else the first tensor of a tuple, list or dict.

    Raises:
        ValueError: there is no tensor in it.
    """
    values = output.values() if isinstance(output, dict) else output if isinstance(output, (tuple, list)) else ()
    named = output.get("logits") if isinstance(output, dict) else getattr(output, "logits", None)
    found = next((value for value in (output, named, *values) if isinstance(value, torch.Tensor)), None)
    if found is None:
        raise ValueError(
            f"The network puts out a {type(output).__name__} without scores: let forward return a tensor "
            "(N, classes), or something that has it as .logits."
        )
    return found


def _note(module: nn.Module, **facts: Any) -> None:
    """Plain attributes of a module, kept in its copies; not in its ``state_dict``."""
    vars(module).update(facts)


def _from_paper(name: str) -> Callable[..., nn.Module] | None:
    """What builds the network ``name`` of ``FROM_PAPERS``, untrained and in train mode; None for other names."""
    if name in ("lenet5", "alexnet_2012"):
        return LeNet5 if name == "lenet5" else AlexNet2012
    found = re.fullmatch(r"(resnet|plainnet)(\d+)_cifar", name)
    return functools.partial(CifarNet, int(found[2]), residual=found[1] == "resnet") if found else None


def _pretrained(name: str) -> nn.Module:
    weights = _weights(name)
    try:
        return _build(name, weights)
    except Exception as error:  # torch.load names no exception for a damaged file
        file, reason = weights_file(weights), f"The pretrained weights of {name} could not be fetched: {error}."
        if file.is_file() and not isinstance(error, OSError):
            reason = f"The file {file} is damaged: delete it and run the cell again, and it is fetched anew."
        raise WeightsUnavailable(reason) from error


def _weights(name: str) -> torchvision.models.WeightsEnum:
    """The published weights to use: the default ones, or older ones where only these lie on this machine."""
    choices = torchvision.models.get_model_weights(name)
    default, file = choices.DEFAULT, weights_file(choices.DEFAULT)
    if file.is_file() or machine.can_reach(default.url):
        return default
    for older in choices:
        # VGG16 has a set without categories: its classifier is missing.
        if weights_file(older).is_file() and older.meta.get("categories"):
            now = f"using {older.name}, which are on this machine"
            print(f"{name}: the weights {default.name} cannot be had now; {now}.")
            return older
    raise WeightsUnavailable(
        f"The pretrained weights of {name} are not on this machine and {machine.no_network('their')}. "
        f"With a network, run the cell again; without one, put the file {file.name} into {file.parent}."
    )


def _build(name: str, weights: torchvision.models.WeightsEnum | None) -> nn.Module:
    if name not in ("googlenet", "inception_v3"):
        return torchvision.models.get_model(name, weights=weights)
    model = torchvision.models.get_model(name, weights=weights, **({} if weights else {"init_weights": True}))
    model.aux_logits = False  # with their side heads these two return a tuple in train mode
    model.aux1 = model.aux2 = model.AuxLogits = None
    return model


def weights_file(weights: torchvision.models.WeightsEnum) -> Path:
    """Where torchvision puts, and looks for, the file of these weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


# --- the head: the layers that turn features into classes -----------------------------------------------------------


def replace_head(model: nn.Module, num_classes: int, *, hidden: tuple[int, ...] = ()) -> nn.Module:
    """Give ``model`` a new, untrained head for ``num_classes`` classes; in place, and returned.

    With ``hidden=()`` only the last layer is new. With ``hidden=(4096, 512)`` the whole head is: on AlexNet the
    lecture's 9216-4096-512-classes, each hidden layer followed by ReLU and dropout. The width that goes in is read
    from the network.

    Raises:
        ValueError: no head is found, or with the new one a pass does not end in ``num_classes`` scores (a network with
            two heads); the network is then as it was.
    """
    _check_number(num_classes)
    network = unwrapped(model)
    name = head_name(network)
    head = network.get_submodule(name)
    if hidden:
        new: nn.Module = _mlp(head, hidden, num_classes)
    else:
        inner = _last_layer(head)
        last = head.get_submodule(inner)
        name = f"{name}.{inner}" if inner else name
        if isinstance(last, nn.Linear):
            new = nn.Linear(last.in_features, num_classes)
        else:  # SqueezeNet ends in a 1x1 convolution, and averages the map of each class
            assert isinstance(last, nn.Conv2d)
            new = nn.Conv2d(last.in_channels, num_classes, kernel_size=(last.kernel_size[0], last.kernel_size[1]))
    _note(new, is_new=True)  # freeze() leaves it trainable
    _check_head(network, name, new, num_classes)
    old = next(head.parameters())
    _exchange(network, name, new.to(old.device, old.dtype).train(model.training), num_classes)
    return model


def _exchange(model: nn.Module, name: str, new: nn.Module, num_classes: int) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
    if hasattr(model, "num_classes"):
        _note(model, num_classes=num_classes)


def _check_head(model: nn.Module, name: str, new: nn.Module, num_classes: int) -> None:
    """Try ``new`` in a copy on the meta device; a network of which no size of picture is known goes unchecked."""
    try:
        trial = meta_copy(model)
        trial.get_submodule(name)
    except (ValueError, AttributeError):  # it cannot be copied, or the head lies behind a wrapper in its middle
        return
    known = getattr(model, "default_cfg", None)  # timm's
    side = known.get("input_size", (3, 224))[-1] if isinstance(known, dict) else getattr(model, "image_size", 224)
    sides = (side, 224, 32, 28, 227, 299)
    working = next((side for side in sides if isinstance(_scores(trial, side), torch.Tensor)), None)
    if working is None:
        return
    _exchange(trial, name, copy.deepcopy(new).to("meta", next(trial.parameters()).dtype).eval(), num_classes)
    scores = _scores(trial, working)
    if not isinstance(scores, torch.Tensor) or scores.shape[1:2] != (num_classes,):
        told = f"{tuple(scores.shape)} comes out" if isinstance(scores, torch.Tensor) else str(scores).split("\n")[0]
        advice = f"model.reset_classifier({num_classes})" if hasattr(model, "reset_classifier") else "each of them"
        raise ValueError(
            f"{type(model).__name__} does not work with a new {name} alone: {told}. It seems to have several heads; "
            f"exchange {advice} yourself, and name the new parts in freeze(except_for=...)."
        )


def _scores(model: nn.Module, side: int) -> torch.Tensor | Exception:
    """The scores of two pictures on the meta device, or why there are none."""
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    try:
        with quietly("meta"):
            weight = next(model.parameters())
            return scores_of(model(torch.empty(2, first.in_channels if first else 3, side, side, dtype=weight.dtype)))
    except Exception as error:  # whatever a network raises that does not take this size
        return error


def _check_number(num_classes: object) -> None:
    if not isinstance(num_classes, Integral) or num_classes < 1:
        raise ValueError(f"num_classes={num_classes!r} must be a number of at least 1: of a list, len(classes).")


def head_name(model: nn.Module) -> str:
    """The name of the part of ``model`` that ends in the classes: "classifier" or "fc" in torchvision's networks.

    A network that names it itself (timm's ``get_classifier``) is asked; a wrapper with one child is looked through.
    """
    asked = getattr(model, "get_classifier", None)
    named = asked() if callable(asked) else None
    for name, module in model.named_modules():
        if name and module is named:
            return name
    for name in HEAD_NAMES:
        if isinstance(getattr(model, name, None), nn.Module):
            return name
    weighty = [name for name, child in model.named_children() if any(True for _ in child.parameters())]
    if len(weighty) == 1:
        with contextlib.suppress(ValueError):
            return f"{weighty[0]}.{head_name(model.get_submodule(weighty[0]))}"
    raise ValueError(
        f"{type(model).__name__} has no part named {' or '.join(HEAD_NAMES)}. Give its last part one of these names, "
        "or exchange its last layer yourself."
    )


def _mlp(head: nn.Module, hidden: tuple[int, ...], num_classes: int) -> nn.Sequential:
    linear = next((module for module in head.modules() if isinstance(module, nn.Linear)), None)
    if linear is None:
        raise ValueError("This head has no linear layer, so hidden layers do not fit on it: leave hidden out.")
    layers: list[nn.Module] = []
    for layer in head if isinstance(head, nn.Sequential) else ():
        if isinstance(layer, nn.Linear):
            break
        if not isinstance(layer, nn.Dropout):  # ConvNeXt normalises and flattens in its head: that stays
            layers.append(layer)
    width = linear.in_features
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU(inplace=True), nn.Dropout()]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


def _last_layer(head: nn.Module) -> str:
    """The name of the last linear layer or convolution in ``head``; "" when it is ``head`` itself."""
    names = [name for name, module in head.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not names:
        raise ValueError(f"There is no linear layer or convolution to replace in this head: {head}.")
    return names[-1]


# --- what is trained ------------------------------------------------------------------------------------------------


def freeze(model: nn.Module, *, except_for: str | tuple[str, ...] | None = None) -> nn.Module:
    """Train only a part of ``model``; in place, and returned. ``model.requires_grad_(True)`` undoes it.

    Args:
        except_for: names of the parts that stay trainable, as in ``model.named_parameters()``: "classifier", or
            ("features.10", "classifier"). None: what ``replace_head`` put in.

    Raises:
        ValueError: nothing of that name, or nothing was replaced.
    """
    names = (except_for,) if isinstance(except_for, str) else except_for
    if names is None:
        names = _new_layers(model)
        if not names:
            raise ValueError("Nothing in this network is new: call replace_head first, or name what to train.")
    for name in names:
        if not any(within(parameter, name) for parameter, _ in model.named_parameters()):
            parts = ", ".join(child for child, _ in model.named_children())
            raise ValueError(f"No parameter's name begins with {name!r}. The parts are: {parts}.")
    for parameter, value in model.named_parameters():
        value.requires_grad_(any(within(parameter, name) for name in names))
    return model


def within(parameter: str, part: str) -> bool:
    """True when the parameter of this name belongs to ``part``: "fc.weight" to "fc", but "features.10.bias" not to
    "features.1"."""
    return parameter == part or parameter.startswith(part + ".")


def train_mode(model: nn.Module) -> nn.Module:
    """``model.train()``, but normalisation layers that are frozen stay in ``eval`` mode; ``model`` is returned.

    In ``train`` mode their running averages would drift towards the new data, frozen weights or not. A layer without
    parameters of its own (``affine=False``) goes with the layer before it.
    """
    model.train()
    frozen = not all(parameter.requires_grad for parameter in itertools.islice(model.parameters(), 1))
    for module in model.modules():
        if parameters := list(module.parameters(recurse=False)):
            frozen = not any(parameter.requires_grad for parameter in parameters)
        if frozen and MOVING & module._buffers.keys():
            module.training = False
    return model


@contextlib.contextmanager
def evaluating(model: nn.Module, *, grad: bool | None = None) -> Iterator[None]:
    """Run ``model`` in ``eval`` mode and leave no trace: ``with models.evaluating(model, grad=False): model(images)``.

    Afterwards every layer is back in the mode it had, whatever was called in between, and torch's global random
    numbers (CPU and GPU) go on as if nothing had been drawn. ``grad`` True or False switches gradients on or off
    inside; None leaves them as they are.
    """
    modes = [(module, module.training) for module in model.modules()]
    grad = torch.is_grad_enabled() if grad is None else grad
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch.set_grad_enabled(grad):
            model.eval()
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def parameter_groups(model: nn.Module, lr: float, *, backbone_factor: float = 1.0) -> list[dict[str, Any]]:
    """Groups for an optimiser: new layers learn with ``lr``, pretrained ones with ``lr * backbone_factor``."""
    names = _new_layers(model)
    new: list[nn.Parameter] = []
    old: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (new if any(within(name, part) for part in names) else old).append(parameter)
    groups = [{"params": old, "lr": lr * (backbone_factor if new else 1.0)}, {"params": new, "lr": lr}]
    return [group for group in groups if group["params"]]


def _new_layers(model: nn.Module) -> tuple[str, ...]:
    """Names of the parts that ``replace_head`` put in."""
    return tuple(name for name, module in model.named_modules() if getattr(module, "is_new", False))
