"""Where am I running, and with what: what notebooks ask. ``machine`` tells of the four environment variables."""

from __future__ import annotations

import difflib

from helpers import diagnosis, machine  # datasets and models below: this module needs neither numpy nor torch
from helpers.drive import persist
from helpers.machine import DRIVE_FOLDER, KIT_NAME, PROFILES, can_reach, device, home, in_colab, profile
from helpers.machine import offline as offline

__all__ = [
    "DRIVE_FOLDER", "KIT_NAME", "PROFILES", "can_reach", "choose", "describe", "device", "home", "in_colab", "offline",
    "persist", "profile", "weights_cached",
]  # fmt: skip


def describe() -> str:
    """Where this runs, with what, and what to do about anything wrong: what a notebook's set-up cell prints."""
    return diagnosis.summary(diagnosis.checks())


def weights_cached(name: str) -> bool:
    """True when pretrained weights of network ``name`` are on this machine: in torch's cache, or in the kit itself.

    Raises:
        ValueError: there is no network ``name`` with pretrained weights.
    """
    import torchvision  # here, so that the set-up cell does not wait for it

    from helpers import datasets, models

    if name in models.OWN:
        return True
    there_are = torchvision.models.list_models(module=torchvision.models)
    if name not in there_are:
        close = difflib.get_close_matches(name, [*models.OWN, *there_are, *datasets.names()])
        near = f"; near it are {', '.join(close)}" if close else ""
        raise ValueError(f"There is neither a data set nor a network with weights called {name!r}{near}.")
    return any(models.weights_file(weights).is_file() for weights in torchvision.models.get_model_weights(name))


def choose(*, online: str, offline: str | tuple[str, ...]) -> str:
    """Choose between a data set (or network) from the internet and its stand-in, and say which in one line.

    ``online`` is taken when it already lies on this machine or its server answers; otherwise the first of ``offline``
    that is on this machine (the last one always is). The choice is visible: the name it returns stands in titles,
    histories and checkpoints.

    >>> runtime.choose(online="bcdp_v1", offline="bcdp_standin")   # doctest: +SKIP

    Raises:
        ValueError: there is no data set and no network of one of these names; the message names near ones.
    """
    from helpers import datasets

    names = (offline,) if isinstance(offline, str) else offline
    ready = {
        name: datasets.is_ready(name) if datasets.known(name) else weights_cached(name) for name in (online, *names)
    }
    url = datasets.first_url(online) if datasets.known(online) else "https://download.pytorch.org"
    return machine.choose(online, names, is_ready=ready.__getitem__, url=url)
