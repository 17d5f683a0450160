"""Whether anything of a study knows the future: the same past, another future, and a comparison to the last bit."""

from typing import TYPE_CHECKING

from rich.table import Table

from alfred.cli.screen import Bars, out
from alfred.core.home import home

if TYPE_CHECKING:
    from alfred.experiments.study import Study


def scramble(study: "Study", dates: int, seed: int) -> None:
    """Replace all that became known after random dates, and require that nothing before them moves.

    Features, labels, scalers, forecasts and weights are made again for each date. The first that moves ends it with an
    error that names the column, the date, the symbol and both values.
    """
    from alfred.experiments.scramble import scramble_study

    with Bars() as progress:
        found = scramble_study(study, home(), dates, seed, progress)
    table = Table(box=None)
    kinds = ("features", "labels", "scalers", "forecasts", "weights")
    for heading in ("after", *kinds, "changed after"):
        table.add_column(heading, justify="left" if heading == "after" else "right", no_wrap=True)
    for one in found.dates:
        table.add_row(one.date, *(f"{getattr(one, kind):,}" for kind in kinds), f"{one.changed_after:,}")
    out.print("Cells compared up to each date, all equal to the last bit, and feature cells changed after it:")
    out.print(table)
    out.print(
        f"Nothing of {found.study} knew the future on {len(found.dates)} date(s): {', '.join(found.analysts)}; "
        f"{', '.join(found.strategies)}.",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
