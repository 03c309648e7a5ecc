"""Numbers computed beforehand: a JSON file that says when, where and how, and a label that says so when it is used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


class ResultsError(OSError):
    """The file with earlier results cannot be read or written."""


class Record:
    """The runs in the file ``path`` (there need not be one yet; None keeps nothing).

    Raises ValueError when the file holds other settings under one
    of the names, ResultsError when it cannot be read. What is in the file is never removed from it.
    """

    def __init__(self, path: Path | None, *, how: str, source: str, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self.path = path
        self.content = {"how": how, "source": source, "settings": {}, "runs": []}
        self.is_same_source = True
        if path is None:
            return
        plain = _plain(settings)
        if path.exists():
            self.content = _read(path)
            self.is_same_source = not source or source == self.content["source"]
            self._check_same(plain)
        self.content["settings"] |= plain

    @property
    def runs(self) -> list[dict[str, Any]]:
        return list(self.content["runs"])

    def add(self, run: dict[str, Any]) -> None:
        """Add a run, and write the file: whole, or not at all."""
        if self.path is None:
            return
        self.content["runs"].append(run)
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
                partial.replace(self.path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise ResultsError(f"The results cannot be written to {self.path}: {error.strerror or error}.") from error

    def label(self, loaded: Sequence[Mapping[str, Any]]) -> str:
        """What must stand beside numbers of which these runs were not computed now; "" when all are new."""
        if not loaded:
            return ""
        days, places = (sorted({run[key] for run in loaded}) for key in ("when", "where"))
        days = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        how = f" by {self.content['how']}" if self.content["how"] else ""
        took = sum(run["seconds"] for run in loaded)
        text = (
            f"Computed beforehand ({days}, {'; '.join(places)}, {took:.0f} s in all){how}, loaded: {len(loaded)} runs "
            f"from {self.path.name}."
        )
        return text if self.is_same_source else f"{text} The function that is to compute them has changed since."

    def _check_same(self, settings: Mapping[str, Any]) -> None:
        for name, options in settings.items():
            before = self.content["settings"].get(name, options)
            if before != options:
                raise ValueError(
                    f"{self.path.name} holds runs of {name!r} with other settings: {before}, now {options}. Give this "
                    "setting another name, or choose another file."
                )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not {"how", "source", "settings", "runs"} <= content.keys():
            raise ValueError("it is no file of results")
    except (OSError, ValueError, AttributeError) as error:
        raise ResultsError(
            f"{path} cannot be read as earlier results: {error}. Move it away, or choose another file; nothing was "
            "changed."
        ) from error
    return content


def _plain(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings as they come back out of a JSON file."""
    return json.loads(json.dumps(settings, default=_name))


def _name(value: Callable[..., Any]) -> str:
    """``torch.nn.Tanh`` and the like stand in a file by name."""
    name = getattr(value, "__qualname__", "")
    if not name or "<" in name:
        raise ValueError(
            f"The setting {value!r} cannot be written to a file. With a cache, settings are numbers, texts, lists, or "
            "classes and functions that have a name."
        )
    return f"{value.__module__}.{name}"
