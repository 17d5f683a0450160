"""Where each account's return came from, as stacked bars and tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from alfred.backtest.attribution import Attribution
from alfred.experiments.attributing import EQUAL
from alfred.experiments.record import RunRecord
from alfred.experiments.sectors import SectorSummary
from alfred.report.format import DASH, SIGNED_PERCENT, NumberStyle, significant
from alfred.report.palette import Series
from alfred.report.plot import Json, Plot, axis, layout, plain, wrapped
from alfred.report.table import Cell, Column, Table, measured

Parts = Sequence[tuple[str, Attribution]]

UNKNOWN = "Sectors are unknown: this run's data name none, so that what sectors gained is in selection."
MOST = 30
"""Accounts in a plot; the table has them all."""
_POINTS = NumberStyle(2, percent=True, signed=True)
_BETA = NumberStyle(2, signed=True)
_COSTS = ("@s6", "@s3", "@s1", "@s4", "@s7")


@dataclass(frozen=True)
class AttributionSection:
    """What the page shows of it; without plots and tables the run did not tell."""

    lead: str
    plots: tuple[Plot, ...]
    tables: tuple[Table, ...]


def attribution_section(record: RunRecord) -> AttributionSection:
    """Every account of a run over cash, and every other one over 1/N."""
    over_cash = [(one.name, one.over_cash) for one in record.portfolios if one.over_cash is not None]
    over_equal = [(one.name, one.over_equal) for one in record.portfolios if one.over_equal is not None]
    return section_of("attribution", over_cash, over_equal, record.sectors)


def section_of(name: str, over_cash: Parts, over_equal: Parts, sectors: SectorSummary | None) -> AttributionSection:
    """Accounts over cash and over 1/N.

    Args:
        name: of the section on the page, which its plots' keys begin with.
        over_cash, over_equal: accounts' names and parts; nothing is shown without the former.
        sectors: what was known of them.
    """
    if not over_cash:
        return AttributionSection("", (), ())
    known = any(parts.sector is not None for _, parts in over_cash)
    lead = (
        "Log return a year, of which the parts add up exactly. Market is the account's beta over the whole span times "
        f"the index's return over cash. {_sectors_told(sectors) if known else UNKNOWN} Selection is the rest: which "
        "names were chosen, and when the account was in the market. Costs are as paid."
    )
    plots, tables = [], []
    for key, over, found in ((f"{name}-cash", "cash", over_cash), (f"{name}-equal", EQUAL, over_equal)):
        if found:
            plots.append(_plot(key, over, found))
            tables.append(_table(over, found))
    return AttributionSection(lead, tuple(plots), tuple(tables))


def _sectors_told(about: SectorSummary | None) -> str:
    told = "The sector part is what sectors above or below their share in 1/N gained"
    if about is None:
        return f"{told}."
    told += f": {len(about.sectors)} sectors as {about.source} tells them, of {about.names:,} names."
    if about.unknown:
        one = about.unknown == 1
        told += f" {about.unknown:,} of the names {'has' if one else 'have'} no sector; they count as one of their own."
    if about.later:
        told += (
            f" Of {about.later:,} names the sector became known only after it counts here. That will do for looking "
            "back; no decision saw it."
        )
    return told


def _kinds(found: Parts) -> list[str]:
    return list(dict.fromkeys(kind for _, parts in found for kind in parts.costs))


def _parts(found: Parts) -> list[tuple[Series, list[float]]]:
    """Series of the parts that any account has, and their values."""
    parts = [(Series("market", "market", "@s0"), [one.market for _, one in found])]
    if any(one.sector is not None for _, one in found):
        parts.append((Series("sector", "sector", "@s5"), [one.sector or 0.0 for _, one in found]))
    parts.append((Series("selection", "selection", "@s2"), [one.selection for _, one in found]))
    for at, kind in enumerate(_kinds(found)):
        colour = _COSTS[at % len(_COSTS)]
        parts.append((Series(f"cost{at}", kind, colour), [one.costs.get(kind, 0.0) for _, one in found]))
    return parts


def _plot(key: str, over: str, found: Parts) -> Plot:
    shown = found[:MOST]
    parts, places = _parts(shown), list(range(len(shown)))
    traces: list[Json] = [
        {
            "type": "bar", "orientation": "h", "name": plain(series.label), "meta": series.key, "y": places,
            "x": [significant(value) for value in values], "marker": {"color": series.colour},
            "customdata": [plain(name) for name, _ in shown],
            "hovertemplate": "%{customdata}: %{x:+.2%} a year<extra>%{fullData.name}</extra>",
        }
        for series, values in parts
    ]  # fmt: skip
    total = Series("total", "all together", "@ink")
    traces.append(
        {
            "type": "scatter", "mode": "markers", "name": total.label, "meta": total.key, "y": places,
            "x": [significant(one.total) for _, one in shown],
            "marker": {"symbol": "diamond", "size": 9, "color": total.colour, "line": {"color": "@paper", "width": 1}},
            "customdata": [plain(name) for name, _ in shown],
            "hovertemplate": "%{customdata}: %{x:+.2%} a year<extra>%{fullData.name}</extra>",
        }
    )  # fmt: skip
    names = [wrapped(name) for name, _ in shown]
    y = axis(
        "",
        {
            "tickmode": "array", "tickvals": places, "ticktext": names, "range": [len(shown) - 0.4, -0.6],
            "showgrid": False, "tickfont": {"color": "@ink"},
        },
    )  # fmt: skip
    x = axis(
        "log return a year",
        {"tickformat": ".1~%", "nticks": 8, "tickangle": 0, "zeroline": True, "zerolinecolor": "@soft"},
    )
    height = 96 + 38 * len(shown)
    told = "; ".join(f"{name} {SIGNED_PERCENT.text(one.total)}" for name, one in shown[:12])
    left_out = f" The first {MOST} of {len(found)} accounts; the table has all." if len(found) > MOST else ""
    return Plot(
        f"plot-{key}",
        f"Over {over}",
        "Parts to the left of zero lost, those to the right gained, and the diamond is all of them together."
        + left_out,
        f"Parts of the return over {over} by account. All together: {told}.",
        traces,
        layout(x, y, {"barmode": "relative", "bargap": 0.45}),
        height=height,
        phone_height=height,
        phone={"xaxis.nticks": 4, "font.size": 10.5},
        legend=(*(series for series, _ in parts), total),
    )


def _table(over: str, found: Parts) -> Table:
    kinds = _kinds(found)
    known = any(one.sector is not None for _, one in found)
    columns = (
        Column("Portfolio"),
        Column("All together", numeric=True, title=f"log return a year over {over}; the parts add up to it"),
        Column("Market", numeric=True, title="beta times the index's return over cash"),
        *((Column("Sector", numeric=True, title="sectors above or below their share"),) if known else ()),
        Column("Selection", numeric=True, title="what is left, with an interval over blocks of quarters"),
        *(Column(kind.capitalize(), numeric=True, title="cost, negative where paid") for kind in kinds),
        Column("Beta", numeric=True, title="to the index" if over == "cash" else f"less that of {over}"),
    )
    rows = tuple(
        (
            Cell(name),
            measured(one.total, _POINTS),
            measured(one.market, _POINTS),
            *((measured(one.sector, _POINTS, title="" if one.sector is not None else "not known"),) if known else ()),
            measured(one.selection, _POINTS, one.selection_interval),
            *(measured(one.costs[kind], _POINTS) if kind in one.costs else Cell(DASH, title="none") for kind in kinds),
            measured(one.beta, _BETA),
        )
        for name, one in found
    )
    return Table(f"Where the return over {over} came from, a year. Small print: interval of selection", columns, rows)
