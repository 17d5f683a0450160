"""Finding finished runs."""

from pathlib import Path

from alfred.core.errors import ConfigError
from alfred.core.home import Home


def find_run(home: Home, name: str) -> Path:
    """The folder of a run.

    Args:
        home: where runs are kept.
        name: a folder, a run's folder name or the beginning of one, or "latest".

    Raises:
        ConfigError: there is no such run, or several begin so.
    """
    if Path(name, "run.json").is_file():
        return Path(name)
    runs = sorted(home.runs.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    folders = [path.parent for path in runs]
    if not folders:
        raise ConfigError(f"there are no runs under {home.runs} yet; `alfred demo` or `alfred run` makes one.")
    if name == "latest":
        return folders[-1]
    found = [folder for folder in folders if folder.name == name] or [
        folder for folder in folders if folder.name.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    there = ", ".join(folder.name for folder in found or folders)
    raise ConfigError(f"{'several runs begin' if found else 'no run begins'} with {name!r}; there are {there}.")
