"""The small package behind the notebooks. Imports go down only, those inside functions too:

=======  ====================================================================
floor 5  exercises
floor 4  plotting, widgets, runtime, commands
floor 3  svg, activations, experiments, digits, results, diagnosis
floor 2  datasets, dissect, training, transfer
floor 1  drive, doctor, loaders, models, environment
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

__version__ = "0.2.0"

# Where the modules of last term's flat package went, so that students' older copies of a notebook still run.
OLD_NAMES = {
    "acceleration": "training.acceleration",
    "activations_maps": "activations",
    "alexnet2012": "models.alexnet2012",
    "alexnet_mini": "models.alexnet_mini",
    "answers": "exercises.answers",
    "answers_report": "exercises.answers",
    "architectures": "models",
    "archives": "datasets.archives",
    "augment": "loaders.augment",
    "augment_gallery": "loaders.augment",
    "board": "widgets.board",
    "catalogue": "datasets.catalogue",
    "checkpoints": "training.checkpoints",
    "cifar_nets": "models.cifar_nets",
    "conv_checks": "conv_math",
    "conv_example": "svg.conv_setup",
    "conv_setup": "svg.conv_setup",
    "decoding": "loaders.decoding",
    "dissect_compare": "dissect.tables",
    "dissect_field": "dissect.geometry",
    "dissect_geometry": "dissect.geometry",
    "dissect_obstacle": "dissect.trace",
    "dissect_record": "dissect.record",
    "dissect_rows": "dissect.rows",
    "dissect_stages": "dissect.tables",
    "dissect_tables": "dissect.tables",
    "dissect_trace": "dissect.trace",
    "distributed": "training.processes",
    "doctor_checks": "doctor.checks",
    "download": "datasets.download",
    "explorer": "widgets.explorer",
    "field_setup": "svg.field",
    "history": "training.config",
    "layer_statistics": "activations.statistics",
    "lenet": "models.lenet",
    "locks": "datasets.locks",
    "lookalikes": "doctor.lookalikes",
    "optimizers": "training.config",
    "plotting_activations": "plotting.activations",
    "plotting_experiments": "plotting.runs",
    "plotting_network": "plotting.networks",
    "plotting_recipe": "plotting.recipe",
    "plotting_transfer": "plotting.recipe",
    "progress": "training.progress",
    "questions": "exercises.questions",
    "questions_bank": "exercises.bank",
    "questions_batchnorm": "exercises.bank.batchnorm",
    "questions_conv": "exercises.bank.conv",
    "questions_cost": "exercises.bank.cost",
    "questions_field": "exercises.bank.field",
    "questions_nets": "exercises.bank.nets",
    "questions_params": "exercises.bank.params",
    "questions_pool": "exercises.bank.pool",
    "questions_recipe": "exercises.bank.training",
    "questions_resnet": "exercises.bank.nets",
    "questions_shapes": "exercises.bank.conv",
    "questions_training": "exercises.bank.training",
    "questions_transfer": "exercises.bank.transfer",
    "results_file": "experiments",
    "resuming": "training.checkpoints",
    "screen": "svg.screen",
    "standin": "datasets.standin",
    "svg_board": "svg.board",
    "svg_conv": "svg.conv",
    "svg_field": "svg.field",
    "svg_grids": "svg.conv_grids",
    "svg_network": "svg.network",
    "svg_strip": "svg.conv_strip",
    "svg_sums": "svg.conv_grids",
    "svg_volume": "svg.volume",
    "svg_zoo": "svg.zoo",
    "widgets_form": "exercises.form",
    "widgets_maps": "widgets.maps",
    "widgets_network": "widgets.networks",
    "widgets_zoo": "widgets.networks",
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
