"""The grid of the experiment notes' table on real prices, and what of it survives without the columns of size.

    ALFRED_HOME=somewhere python benchmarks/grid.py --prices prices.parquet --filings filings.parquet
    ALFRED_HOME=somewhere python benchmarks/grid.py --prices prices.parquet --size-alone
    ALFRED_HOME=somewhere python benchmarks/grid.py --prices prices.parquet --set train.epochs=1 --set seeds=[0]

Prices are any file or folder that `alfred data fetch csvfile` reads. Filings, which may be left out, are a Parquet file
with a row a filing (columns as `of_filings` names them). Both runs go on where they were stopped. docs/experiments.md
says what came out. On two busy cores the first run takes 40 minutes, the second 10.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "panel"))
from filing_rows import of_filings

from alfred.core.home import Home, home
from alfred.core.progress import Silent
from alfred.evaluation.bootstrap import BootstrapSettings, block_counts, percentile_interval
from alfred.evaluation.significance import newey_west
from alfred.experiments.listing import list_experiments
from alfred.experiments.prepared import prepare, read_inputs
from alfred.experiments.record import load_frame
from alfred.experiments.run import run_study
from alfred.experiments.study import load_study
from alfred.lake.contracts import Batch, Request
from alfred.lake.ingest import admit, provider
from alfred.lake.store import Lake

STUDY = Path(__file__).parents[1] / "src" / "alfred" / "experiments" / "studies" / "grid.toml"
SIZE = ("dollar_volume", "illiquidity", "delta_dollar_volume", "delta_illiquidity")
"""How much of a company was traded. Whoever was small long ago and is listed among today's large ones has grown."""

IC_LAG_QUARTERS = 4
"""Quarters over which neighbouring rank ICs may be correlated."""
NETWORKS = (
    ("vanilla.medium.tanh", 64, (12, 24)), ("vanilla.compression.tanh", 64, (12, 24)),
    ("lstm.medium.extractors.tanh", 16, (12,)), ("lstm.medium.extractors.layered.tanh", 16, (12,)),
    ("trans.medium.extractors.slim.tanh", 16, (12,)), ("trans.medium.extractors.layered.tanh", 16, (12,)),
)  # fmt: skip
"""The control's part of the grid, the cheaper one; fixed before the grid's results were seen."""


def bring_in(lake: Lake, prices: Path, filings: Path | None) -> None:
    """Fill the lake; what is there already does no harm."""
    source, request = provider("csvfile"), Request(path=prices)
    for task in source.tasks(request):
        print(admit(lake, source.fetch(task, request, None)))
    if filings is not None:
        print(admit(lake, [Batch("facts", of_filings(pl.read_parquet(filings)))]))


def control() -> list[str]:
    """Settings over the study's."""
    plain = [
        '{name="momentum"}',
        *(f'{{name="{name}", quarters={n}}}' for name in ("ridge", "lightgbm") for n in (1, 12, 24)),
    ]
    networks = [f'{{name="{name}", size={size}, quarters={n}}}' for name, size, lengths in NETWORKS for n in lengths]
    names = ", ".join(f'"{name}"' for name in SIZE)
    return ["name=grid-without-size", f"panel.exclude=[{names}]", f"analysts=[{', '.join(plain + networks)}]"]


class Lines(Silent):
    """Prints what a run says."""

    def say(self, message: str) -> None:
        """Print it."""
        print(message, flush=True)


def show(place: Home, run: Path) -> None:
    """The run's analysts, the best direction first."""
    print(f"\n{run.name}")
    for one in list_experiments(place, str(run)).sorted_by("sign_accuracy_less_naive"):
        cells = one.cells()
        ends = {name: [cells[f"{name}_lower"], cells[f"{name}_upper"]] for name in ("rank_ic", "sign_accuracy")}
        print(
            one.analyst,
            cells["sign_accuracy"],
            ends["sign_accuracy"],
            one.rise_share,
            cells["rank_ic"],
            ends["rank_ic"],
        )


def compare(run: Path) -> None:
    """Mean rank IC of some networks less that of others, with intervals over quarters; a row's name tells its kind."""
    table = load_frame(run, "quarters").pivot(on="analyst", index="as_of", values="rank_ic").sort("as_of")
    networks = [name for name in table.columns if ":size" in name]
    kinds = {
        "24 quarters": [name for name in networks if "quarters24" in name],
        "12 quarters": [name for name in networks if "quarters24" not in name],
        "size 64": [name for name in networks if "size64" in name],
        "size 16": [name for name in networks if "size16" in name],
        **{family: [name for name in networks if name.startswith(family)] for family in ("lstm", "trans", "vanilla")},
    }
    settings = BootstrapSettings()
    for one, other in (
        ("24 quarters", "12 quarters"),
        ("size 64", "size 16"),
        ("lstm", "vanilla"),
        ("trans", "vanilla"),
    ):
        means = [table.select(kinds[kind]).to_numpy().mean(axis=1) for kind in (one, other)]
        change = means[0] - means[1]
        draws = block_counts(len(change), settings) @ change / len(change)
        over = percentile_interval(draws, settings.level, len(change) / settings.block_length(len(change)))
        print(f"{one} less {other}: rank IC {change.mean():.3f} [{over.lower:.3f}, {over.upper:.3f}]")


def size_alone(place: Home) -> None:
    """Mean rank IC of single columns over the test quarters: of all names, and of the index's members of the day.

    Of a list that was drawn up at the end, the second leaves out those who grew into the index after the day.
    """
    source, request = provider("constituents"), Request()
    admit(Lake(place.lake), (batch for task in source.tasks(request) for batch in source.fetch(task, request, None)))
    for members in ("", "sp500"):
        columns = '["dollar_volume", "illiquidity", "momentum_12_1"]'
        wish = [f"panel.members={members}", f"panel.features={columns}", "universe.scan.n=130"]
        study = load_study(STUDY, wish)
        panel = prepare(study, place, read_inputs(study, place)).panel
        label, first = panel.labels.of("PM"), np.datetime64(str(study.splits.test_first))
        for at, name in enumerate(panel.features):
            ics, names = [], []
            for date in np.flatnonzero(panel.dates >= first):
                known = panel.listed[date] & np.isfinite(panel.values[date, :, at]) & np.isfinite(label[date])
                if known.any():
                    ics.append(stats.spearmanr(panel.values[date, known, at], label[date, known]).statistic)
                    names.append(known.sum())
            tested = newey_west(np.array(ics), IC_LAG_QUARTERS)
            t = tested.mean / tested.error
            print(f"{name}, {members or 'all'}: {np.mean(names):.0f} names, rank IC {np.mean(ics):.3f}, t {t:.1f}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, required=True)
    parser.add_argument("--filings", type=Path)
    parser.add_argument("--size-alone", action="store_true", help="only the rank ICs of single columns")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    words = parser.parse_args()
    place = home()
    bring_in(Lake(place.lake), words.prices, words.filings)
    if words.size_alone:
        size_alone(place)
        return
    for overrides in ([], control()):
        run = run_study(load_study(STUDY, [*overrides, *words.set]), place, Lines())
        show(place, run)
        if not overrides:
            compare(run)


if __name__ == "__main__":
    main()
