"""The small package behind the notebooks: one idea a file, read them.

``import helpers`` loads nothing heavy (no torch, no matplotlib); ``from helpers import training`` does.
The floors of the house, imports go down only:

=========  =======================================================================================
3  glue    widgets (explorer), widgets_maps, widgets_network, widgets_zoo, widgets_form, board,
           exercises (answers, questions)
2  views   svg, plotting (screen)
1  work    loaders (decoding, augment), digits, models (architectures: lenet, alexnet2012, cifar_nets; alexnet_mini,
           pretrain), training (history, results, checkpoints, resuming, acceleration, optimizers, progress,
           distributed), experiments (results_file), dissect, activations, transfer, layer_statistics
0  ground  runtime (environment, diagnosis), drive, datasets (catalogue, download, archives, locks), pictures,
           doctor, standin, conv_math, slideshow
=========  =======================================================================================

In brackets: the modules behind one, which a notebook does not call by name. What a file's name begins with says where
it belongs: ``svg_strip`` is drawn by ``svg``, ``questions_pool`` is part of ``questions``, ``cmd_run`` is a command of
``python -m helpers``.
"""

__version__ = "0.1.0"
