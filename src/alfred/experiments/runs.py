"""Finding finished runs."""

from pathlib import Path

from alfred.core.errors import ConfigError, DataError
from alfred.core.home import Home
from alfred.experiments.record import load_record


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


def recorded_versions(home: Home) -> dict[str, list[int]]:
    """Versions of the lake's tables that runs were made on, by table; runs of other versions of Alfred are left out."""
    versions: dict[str, set[int]] = {}
    for path in home.runs.glob("*/run.json"):
        try:
            read = load_record(path.parent).data.versions
        except DataError:
            continue
        for table, version in read.items():
            versions.setdefault(table, set()).add(version)
    return {table: sorted(found) for table, found in sorted(versions.items())}
