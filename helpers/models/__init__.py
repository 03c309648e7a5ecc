"""Networks by name, with the weights that were asked for, and what fine-tuning does to them.

``load("alexnet")`` is torchvision's AlexNet with its ImageNet weights, or an error; never something else in its place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
import torchvision
from torch import nn

from helpers import machine
from helpers.models import alexnet_mini, architectures

HEAD_NAMES = ("classifier", "fc", "head", "heads")  # what torchvision and timm call the part that ends in the classes


class WeightsUnavailable(OSError):
    """The pretrained weights are neither on this machine nor to be had from the network."""


def load(name: str, *, num_classes: int | None = None, pretrained: bool = True) -> nn.Module:
    """The network ``name`` ("alexnet", "vgg16", "resnet18", "squeezenet1_1", "mobilenet_v2", ...), or "alexnet_mini",
    the small pretrained AlexNet that comes with the kit. With ``pretrained=False`` also the papers' own networks in
    ``architectures``: "lenet5", "alexnet_2012", "resnet20_cifar", "plainnet56_cifar", ...

    Args:
        num_classes: None keeps the head that the network was trained with (1000 classes of ImageNet); a number puts a
            new last layer in, see ``replace_head``.
        pretrained: True loads the weights that torchvision calls DEFAULT; False starts from random ones.

    Returns:
        the network in ``eval`` mode on the CPU. Input ``(N, 3, H, W)`` float32 normalised (LeNet-5: one channel),
        output ``(N, num_classes)``.

    Raises:
        ValueError: no network of that name.
        WeightsUnavailable: the weights are not in torch's cache and cannot be downloaded.
    """
    if name == "alexnet_mini":
        model = alexnet_mini.load() if pretrained else alexnet_mini.build()
    elif architectures.is_known(name):
        if pretrained:
            raise WeightsUnavailable(f"{name} has no pretrained weights; load({name!r}, pretrained=False) builds it.")
        model = architectures.build(name, num_classes=num_classes)
    elif name in torchvision.models.list_models(module=torchvision.models):
        model = _pretrained(name) if pretrained else _build(name, None)
    else:
        raise ValueError(
            f"There is no network {name!r}. Some that there are: alexnet, vgg16, resnet18, resnet50, squeezenet1_1, "
            "mobilenet_v2, alexnet_mini; torchvision.models.list_models() names the others. Untrained there are also "
            f"{', '.join(architectures.NAMES)}."
        )
    if num_classes is not None and not architectures.is_known(name):
        replace_head(model, num_classes)
    model.name = name  # stands in histories, plots and checkpoints
    return model.eval()


def name_of(model: nn.Module) -> str:
    """The name that ``load`` was asked for; the class of a network that was not made by it."""
    name = getattr(model, "name", None)
    return name if isinstance(name, str) else type(model).__name__


def _pretrained(name: str) -> nn.Module:
    weights = _weights(name)
    try:
        return _build(name, weights)
    except OSError as error:
        raise WeightsUnavailable(f"The pretrained weights of {name} could not be fetched: {error}.") from error
    except Exception as error:  # torch.load names no exception for a damaged file
        if not _file(weights).is_file():  # what came over the network was not what was published
            raise WeightsUnavailable(f"The pretrained weights of {name} could not be fetched: {error}.") from error
        raise WeightsUnavailable(
            f"The file {_file(weights)} is damaged: delete it and run the cell again, and it is fetched anew."
        ) from error


def _weights(name: str) -> torchvision.models.WeightsEnum:
    """The published weights to use: the default ones, or older ones where only these lie on this machine."""
    choices = torchvision.models.get_model_weights(name)
    default = choices.DEFAULT
    if _file(default).is_file() or machine.can_reach(default.url):
        return default
    for older in choices:
        # VGG16 has a set without categories: its classifier is missing.
        if _file(older).is_file() and older.meta.get("categories"):
            print(
                f"{name}: the weights {default.name} cannot be had now; using {older.name}, which are on this machine."
            )
            return older
    why = "KIT_OFFLINE=1 is set" if machine.offline() else "their server cannot be reached"
    raise WeightsUnavailable(
        f"The pretrained weights of {name} are not on this machine and {why}. With a network, run the cell "
        f"again; without one, put the file {_file(default).name} into {_file(default).parent}."
    )


def _build(name: str, weights: torchvision.models.WeightsEnum | None) -> nn.Module:
    has_side_heads = name in ("googlenet", "inception_v3")
    options = {"init_weights": True} if has_side_heads and weights is None else {}
    model = torchvision.models.get_model(name, weights=weights, **options)
    if (
        has_side_heads
    ):  # used in train mode only, where these two return a tuple; without them, a tensor like the others
        model.aux_logits = False
        model.aux1 = model.aux2 = model.AuxLogits = None
    return model


def _file(weights: torchvision.models.WeightsEnum) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


# --- the head: the layers that turn features into classes -----------------------------------------------------------


def replace_head(model: nn.Module, num_classes: int, *, hidden: tuple[int, ...] = ()) -> nn.Module:
    """Give ``model`` a new, untrained head for ``num_classes`` classes; in place, and returned.

    With ``hidden=()`` only the last layer is new. With ``hidden=(4096, 512)`` the whole head is: on AlexNet the
    lecture's 9216-4096-512-classes, each hidden layer followed by ReLU and dropout. The width that goes in is read
    from the network.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes={num_classes} must be at least 1.")
    name = head_name(model)
    head = model.get_submodule(name)
    if hidden:
        new: nn.Module = _mlp(head, hidden, num_classes)
    else:
        inner = _last_layer(head)
        last = head.get_submodule(inner)
        name = f"{name}.{inner}" if inner else name
        if isinstance(last, nn.Linear):
            new = nn.Linear(last.in_features, num_classes)
        else:  # SqueezeNet ends in a 1x1 convolution, and averages the map of each class
            new = nn.Conv2d(last.in_channels, num_classes, kernel_size=last.kernel_size)
    new.is_new = True  # freeze() leaves it trainable
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new.to(next(head.parameters()).device).train(model.training))
    if hasattr(model, "num_classes"):
        model.num_classes = num_classes
    return model


def head_name(model: nn.Module) -> str:
    """The name of the part of ``model`` that ends in the classes: "classifier" or "fc" in torchvision's networks."""
    for name in HEAD_NAMES:
        if isinstance(getattr(model, name, None), nn.Module):
            return name
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
        names = tuple(name for name, module in model.named_modules() if getattr(module, "is_new", False))
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
    return parameter == part or parameter.startswith(part + ".")


def train_mode(model: nn.Module) -> nn.Module:
    """``model.train()``, but batch norm layers that are frozen stay in ``eval`` mode.

    In ``train`` mode their running averages would drift towards the new data, frozen weights or not.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and parameters:
            if not any(parameter.requires_grad for parameter in parameters):
                module.eval()
    return model


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """``model`` in ``eval`` mode; afterwards every layer is back in the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def parameter_groups(model: nn.Module, lr: float, *, backbone_factor: float = 1.0) -> list[dict]:
    """Groups for an optimiser: new layers learn with ``lr``, pretrained ones with ``lr * backbone_factor``."""
    new_names = [name for name, module in model.named_modules() if getattr(module, "is_new", False)]
    new, old = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (new if any(within(name, part) for part in new_names) else old).append(parameter)
    groups = [{"params": old, "lr": lr * (backbone_factor if new else 1.0)}, {"params": new, "lr": lr}]
    return [group for group in groups if group["params"]]
