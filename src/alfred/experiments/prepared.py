"""A study's data and panel, before anyone learns from them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alfred.core.calendar import day
from alfred.core.digest import code_digest, digest_of
from alfred.core.home import Home
from alfred.experiments.market import Market, choose_baskets, read_market
from alfred.experiments.stages import Stages
from alfred.experiments.study import Study
from alfred.experiments.vault import Vault, known_vault, seal
from alfred.lake.store import Lake
from alfred.panel.build import build_panel
from alfred.panel.panel import Panel
from alfred.panel.tables import Tables
from alfred.universe.baskets import Baskets


@dataclass(frozen=True)
class Inputs:
    """What a study reads.

    Attributes:
        market: prices of all names.
        baskets: names to learn from and to forecast.
        tables: everything that the lake knows of the names of both baskets.
        digest: of all of it.
        vault: what was kept from the study, or shown to it; None where the family has no vault.
    """

    market: Market
    baskets: Baskets
    tables: Tables
    digest: str
    vault: Vault | None = None

    @property
    def seen_until(self) -> str:
        """When the last price that the study is shown became known, in ISO form."""
        last = self.market.bars["known_at"].max()
        return str(last.isoformat()) if isinstance(last, dt.datetime) else ""


@dataclass(frozen=True)
class Prepared:
    """A study's inputs and its panel; `resumed` where an earlier run had made the panel."""

    inputs: Inputs
    panel: Panel
    resumed: bool


def read_inputs(
    study: Study, home: Home, versions: Mapping[str, int] | None = None, opened: Vault | None = None
) -> Inputs:
    """Read the lake as the study asks, up to where its family's vault begins.

    Args:
        versions: versions of the lake's tables to read, as an earlier run recorded them; default the current ones.
        opened: the family's vault, where the study may look into it.

    Raises:
        AlfredError: the data or baskets do not allow what the study asks for.
    """
    vault = opened or known_vault(study, home)
    sealed_after = None if vault is None or opened is not None else vault.sealed_after
    market = read_market(Lake(home.lake), study.data, versions, sealed_after)
    if vault is None and study.vault_quarters:
        vault = seal(study, home, day(str(market.bars["date"].max())))
        market = read_market(Lake(home.lake), study.data, versions, vault.sealed_after)
    return inputs_of(study, market, vault)


def inputs_of(study: Study, market: Market, vault: Vault | None = None) -> Inputs:
    """What a study takes from its market."""
    baskets = choose_baskets(market, study.universe)
    tables = market.tables(sorted({*baskets.training, *baskets.evaluation}))
    return Inputs(market, baskets, tables, digest_of(market.digest(), tables.digest()), vault)


def run_digest(study: Study, inputs: Inputs) -> str:
    """Names the run: its settings, the names they led to, the data, what is known of sectors, and the code; not where
    the study lies, nor the manager's settings, which a run does not look at."""
    settings = study.model_dump(mode="json", exclude={"manager"})
    settings["universe"]["baskets"] = None
    sectors = inputs.market.sectors(inputs.baskets.evaluation, hindsight=True).hash_rows().to_numpy()
    return digest_of(
        settings, inputs.baskets.training, inputs.baskets.evaluation, inputs.digest, sectors, code_digest()
    )


def prepare(study: Study, home: Home, inputs: Inputs | None = None) -> Prepared:
    """Build the study's panel, or take it from an earlier run.

    Args:
        inputs: what `read_inputs` gave, where it was read before.
    """
    inputs = inputs or read_inputs(study, home)
    usable, baskets = inputs.market.levels_usable, inputs.baskets
    settings = study.panel.model_dump(mode="json")
    panel, resumed = Stages(home.stages).run(
        "panel",
        {
            "data": inputs.digest,
            "names": sorted({*baskets.training, *baskets.evaluation}),  # the digest of prices is that of all names
            "settings": settings,
            "levels_usable": usable,
        },
        lambda folder: _build(inputs.tables, study, usable, folder),
        Panel.load,
    )
    return Prepared(inputs, panel, resumed)


def _build(tables: Tables, study: Study, levels_usable: bool, folder: Path) -> None:
    build_panel(tables, study.panel, levels_usable).save(folder)
