"""The examples in the docstrings of ``helpers`` give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import helpers


def test_examples_in_docstrings() -> None:
    attempted, failed = 0, []
    for module in pkgutil.walk_packages(helpers.__path__, "helpers."):
        if module.name.endswith("__main__"):
            continue  # runs when it is imported
        results = doctest.testmod(importlib.import_module(module.name))  # a failure prints what came instead
        attempted += results.attempted
        failed += [module.name] * bool(results.failed)
    assert failed == [] and attempted > 0
