"""Modules that are loaded when something of them is first used, by name.

`later` is a function of a module of ours that is imported when it is called: tables name with it what most processes
never need. `put_off` does it to modules of the standard library that others import without using them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader


def later(package: str, module: str, name: str) -> Callable[..., Any]:
    """Return a function that calls the one of that name in a module, named from a package, which it imports then."""

    def call(*args: Any, **named: Any) -> Any:
        return getattr(import_module(module, package), name)(*args, **named)

    return call


def put_off(*names: str) -> None:
    """Let the next import of each of these load it only when something of it is used.

    For a process of our own, before anything of it was imported: a module that is there stays as it is.
    """
    wanted = {name for name in names if name not in sys.modules}
    if wanted:
        sys.meta_path.insert(0, _Finder(wanted))


def load_put_off() -> None:
    """Load what was put off and is still absent."""
    for module in list(sys.modules.values()):
        if isinstance(module, _Absent):
            module.load()


_ONE_AT_A_TIME: Final = RLock()


class _Absent(ModuleType):
    """A module that has its name and its place, and of which nothing ran yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of those it has what it will ever have; who asks is looking at all modules
            raise AttributeError(name)
        self.load()
        return super().__getattribute__(name)

    def load(self) -> None:
        """Run it, unless that is done."""
        with _ONE_AT_A_TIME:
            loader = self.__dict__.pop("_loader", None)
            if loader is not None:
                loader.exec_module(self)


class _Loader:
    """Loads an absent module: it remembers who will load it."""

    def __init__(self, loader: Loader) -> None:
        self._loader: Final = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["_loader"] = self._loader


class _Finder:
    """Finds each module once. It stays where it is: a list of finders must not shrink while one of them is asked."""

    def __init__(self, names: set[str]) -> None:
        self._names: Final = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._names:
            return None
        self._names.discard(name)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment] # by its shape
        return spec
