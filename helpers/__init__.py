"""The small package behind the notebooks: one idea a file, read them.

``import helpers`` loads nothing heavy (no torch, no matplotlib); ``from helpers import training`` does.
The floors of the house, imports go down only:

=========  =======================================================================================
3  glue    widgets, exercises
2  views   svg, plotting
1  work    loaders, models, training, experiments, dissect, activations
0  ground  runtime, drive, datasets, pictures, doctor, standin, conv_math
=========  =======================================================================================
"""

__version__ = "0.1.0"
