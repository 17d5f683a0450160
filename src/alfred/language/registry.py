"""Digesters by name: every file in `alfred.language.digesters`, and of third parties' entry points."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from alfred.core.plugins import plugin, plugin_names
from alfred.core.settings import Settings
from alfred.language.contracts import Digester

PACKAGE = "alfred.language.digesters"


class DigesterFile(Protocol):
    """What a file of that folder holds."""

    @property
    def SETTINGS(self) -> type[Settings]:  # noqa: N802
        """Its class of settings; every one has a default."""

    def make(self, settings: Settings) -> Digester:
        """The digester.

        Raises:
            MissingExtraError: it needs a library that is not installed.
            ConfigError: the settings cannot work.
        """


def digester_names() -> tuple[str, ...]:
    """Names of all digesters, sorted; those whose libraries or models are absent too."""
    return plugin_names(PACKAGE)


def settings_class(name: str) -> type[Settings]:
    """The settings that a digester takes.

    Raises:
        ConfigError: there is none of that name.
    """
    return _file(name).SETTINGS


def make_digester(name: str, settings: Mapping[str, Any] | Settings | None = None) -> Digester:
    """A digester, ready to read.

    Args:
        name: of its file.
        settings: its settings or some of them, as TOML gives them; the rest are defaults.

    Raises:
        ConfigError: there is none of that name, or it cannot be set so.
        MissingExtraError: it needs a library that is not installed.
    """
    file = _file(name)
    if isinstance(settings, Settings):
        return file.make(settings)
    return file.make(file.SETTINGS.parse(settings or {}, f"settings of digester {name}"))


def _file(name: str) -> DigesterFile:
    return cast("DigesterFile", plugin(PACKAGE, name))
