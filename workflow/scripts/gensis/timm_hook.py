"""Registers our models with timm when timm is imported, without importing timm (8 s) before it is needed."""

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODELS = "gensis.ssl.resnet"


class _FindTimm:
    """Import hook that finds timm as usual and imports our models after it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name) if name == "timm" else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            run(module)
            importlib.import_module(MODELS)

        spec.loader.exec_module = run_and_register
        return spec


def install() -> None:
    """Register our models with timm: now if it is already imported, else when it is."""
    if "timm" in sys.modules:
        importlib.import_module(MODELS)
    else:
        sys.meta_path.insert(0, _FindTimm())
