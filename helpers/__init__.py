"""The small package behind the notebooks. Imports go down only, those inside functions too:

=======  ====================================================================
floor 5  exercises
floor 4  plotting, widgets, runtime, commands
floor 3  svg, activations, experiments, digits, results, diagnosis
floor 2  datasets, dissect, training, transfer
floor 1  drive, doctor, loaders, models, photos, environment
floor 0  machine, pictures, conv_math
=======  ====================================================================

What a notebook says is a name in this table; what stands behind it is a folder of that name. ``import helpers`` loads
nothing heavy (no torch, no matplotlib); ``from helpers import training`` does.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType

__version__ = "0.1.0"

# Where the modules of last term's flat package went, so that the imports of students' older copies still work: by
# folder, a name and, behind "=", what it is called now (without "=" the same, less a beginning such as ``svg_``).
_MOVED = {
    "": "activations_maps=activations conv_checks=conv_math results_file=experiments architectures=models",
    "activations": "layer_statistics=statistics",
    "datasets": "archives catalogue download locks standin",
    "dissect": "dissect_compare=tables dissect_field=geometry dissect_geometry dissect_obstacle=trace dissect_record "
    "dissect_rows dissect_stages=tables dissect_tables dissect_trace",
    "doctor": "doctor_checks lookalikes",
    "exercises": "answers answers_report=answers questions questions_bank=bank widgets_form=form",
    "exercises.bank": "questions_conv questions_cost questions_field questions_params questions_pool "
    "questions_shapes=conv",
    "loaders": "augment augment_gallery=augment decoding",
    "models": "alexnet2012 alexnet_mini cifar_nets lenet",
    "plotting": "plotting_activations plotting_experiments=runs plotting_network=networks plotting_recipe "
    "plotting_transfer=recipe",
    "svg": "conv_example=conv_setup conv_setup field_setup=field screen svg_board svg_conv svg_field "
    "svg_grids=conv_grids svg_network svg_strip=conv_strip svg_sums=conv_grids svg_volume svg_zoo",
    "training": "acceleration checkpoints distributed=processes history=config optimizers=config progress "
    "resuming=checkpoints",
    "widgets": "board explorer widgets_maps widgets_network=networks widgets_zoo=networks",
}
OLD_NAMES = {
    old: f"{folder}.{new or old.removeprefix(f'{folder}_').removeprefix('questions_')}".strip(".")
    for folder, names in _MOVED.items()
    for old, _, new in (name.partition("=") for name in names.split())
}


class _OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``helpers.plotting_recipe`` where it is now; asked only for names that nothing else finds."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        package, _, old = name.partition(".")
        return importlib.machinery.ModuleSpec(name, self) if package == __name__ and old in OLD_NAMES else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"{__name__}.{OLD_NAMES[spec.name.partition('.')[2]]}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing: the module ran when it was imported by its own name, and keeps that name."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


sys.meta_path.append(_OldNames())
