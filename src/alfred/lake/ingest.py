"""From providers into the lake. A provider is one file in `lake/providers`, found by its name."""

from collections.abc import Mapping
from typing import Protocol, cast

import polars as pl

from alfred.core.plugins import plugin
from alfred.lake.describe import ProviderDescription
from alfred.lake.store import Lake, WriteReport

PROVIDERS = "alfred.lake.providers"


class Provider(Protocol):
    """What a provider's module holds."""

    DESCRIPTION: ProviderDescription

    def fetch(self) -> Mapping[str, pl.DataFrame]:
        """Rows by table name."""


def provider(name: str) -> Provider:
    """The provider of that name.

    Raises:
        ConfigError: there is none.
    """
    return cast("Provider", plugin(PROVIDERS, name))


def ingest(lake: Lake, name: str) -> tuple[WriteReport, ...]:
    """Write everything a provider has into the lake; what is there already stays as it is."""
    return tuple(lake.write(table, rows) for table, rows in provider(name).fetch().items())


def ensure(lake: Lake, name: str) -> tuple[WriteReport, ...]:
    """Ingest a provider's data unless the lake holds rows of it in every table the provider fills."""
    source = provider(name)
    if all(lake.holds(table, name) for table in source.DESCRIPTION.tables):
        return ()
    return ingest(lake, name)
