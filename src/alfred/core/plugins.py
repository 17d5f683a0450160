"""The folder is the registry: a plug-in is a module in its kind's package, found by its file name.

Third parties add theirs through entry points of the group `alfred.<kind>` ("alfred.analysts").
Files whose names begin with an underscore are shared code, not plug-ins.
"""

import functools
import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from alfred.core.errors import ConfigError
from alfred.core.settings import suggestion


def plugin_names(package: str) -> tuple[str, ...]:
    """Names of all plug-ins of a kind, sorted; `package` is a dotted name such as "alfred.analysts"."""
    folder = importlib.import_module(package)
    names = {found.name for found in pkgutil.iter_modules(folder.__path__) if not found.name.startswith("_")}
    names |= {found.name for found in _installed(package)}
    return tuple(sorted(names))


def plugin(package: str, name: str) -> ModuleType:
    """The module of one plug-in; a hyphen in `name` stands for an underscore in the file's name.

    Raises:
        ConfigError: there is none of that name; the message suggests the nearest.
    """
    kind = package.rsplit(".", 1)[-1]
    module_name = name.replace("-", "_")
    for found in _installed(package):
        if found.name == module_name:
            module: ModuleType = found.load()
            return module
    if module_name not in plugin_names(package):
        raise ConfigError(f"there is no {name!r} among the {kind}; {suggestion(name, plugin_names(package))}")
    return importlib.import_module(f"{package}.{module_name}")


@functools.cache
def _installed(package: str) -> tuple[EntryPoint, ...]:
    """Plug-ins of others; looked up once a process, for a look goes through all that is installed."""
    return tuple(entry_points(group=package))
