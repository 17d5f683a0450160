"""From providers into the lake. A provider is one file in `lake/providers`, found by its name."""

from collections.abc import Iterable
from typing import cast

from alfred.core.errors import ConfigError
from alfred.core.plugins import plugin
from alfred.lake.contracts import Batch, Provider, Request
from alfred.lake.store import Lake, WriteReport

PROVIDERS = "alfred.lake.providers"


def provider(name: str) -> Provider:
    """The provider of that name.

    Raises:
        ConfigError: there is none.
    """
    return cast("Provider", plugin(PROVIDERS, name))


def admit(lake: Lake, batches: Iterable[Batch]) -> tuple[WriteReport, ...]:
    """Write batches into their tables, in order."""
    return tuple(lake.write(batch.table, batch.rows) for batch in batches)


def ensure(lake: Lake, name: str) -> tuple[WriteReport, ...]:
    """Bring in a bundled provider's data unless the lake holds rows of it in every table the provider fills.

    Raises:
        ConfigError: the provider is not bundled and the lake holds nothing of it; the message says how to fetch it.
    """
    source = provider(name)
    if all(lake.holds(table, name) for table in source.DESCRIPTION.tables):
        return ()
    if source.DESCRIPTION.kind != "bundled":
        if lake.holds("bars", name):
            return ()
        raise ConfigError(f"the lake holds no bars of {name!r} yet; bring them in with `alfred data fetch {name}`.")
    request = Request()
    return tuple(report for task in source.tasks(request) for report in admit(lake, source.fetch(task, request, None)))
