"""The portfolio manager: what its policies' accounts came to, and which simple rule they are not shown to beat."""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from alfred.experiments.managed import ManagerRecord, load_managed, load_managed_frame
from alfred.manager.figures import PolicyFigures
from alfred.manager.judgement import BENCHMARK, CASH
from alfred.report.accounts import ticks
from alfred.report.attribution import AttributionSection, section_of
from alfred.report.forest import Row, forest
from alfred.report.format import COUNT, PERCENT, RATIO, SIGNED_PERCENT, NumberStyle, significant
from alfred.report.frames import thin
from alfred.report.palette import HUES, Series
from alfred.report.plot import Json, Plot, axis, layout, plain
from alfred.report.table import Cell, Column, Table, measured

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_WHOLE = NumberStyle(0, percent=True)
_POINTS = NumberStyle(1, percent=True, signed=True)
_CHANCE = NumberStyle(3)


@dataclass(frozen=True)
class ManagerSection:
    """What the page shows of a manager."""

    verdict: tuple[str, ...]
    lead: str
    notices: tuple[str, ...]
    plots: tuple[Plot, ...]
    figures: Table
    tables: tuple[Table, ...]
    without_volume: bool
    attribution: AttributionSection


def manager_section(folder: Path) -> ManagerSection | None:
    """The manager of a run's folder, None where it was not managed.

    Raises:
        DataError: what is there cannot be read.
    """
    record = load_managed(folder)
    if record is None:
        return None
    series = policy_series(record)
    plots = (
        _growth_plot(record, load_managed_frame(folder, "accounts"), series),
        _difference_plot(record, series),
        _cost_plot(record, series),
    )
    tables = (
        _comparisons(record), _exposure(record), _liquid(record), _capacity(record), _regimes(record), _worst(record),
    )  # fmt: skip
    return ManagerSection(
        record.verdict,
        _lead(record),
        record.warnings,
        tuple(plot for plot in plots if plot is not None),
        _figures(record),
        tuple(table for table in tables if table is not None),
        not record.liquid and not record.capitals,
        _attribution(record),
    )


def _attribution(record: ManagerRecord) -> AttributionSection:
    found = [(record.of(one.policy).title, one) for one in record.attributions]
    over_cash = [(title, one.over_cash) for title, one in found]
    over_equal = [(title, one.over_equal) for title, one in found if one.over_equal is not None]
    section = section_of("manager-attribution", over_cash, over_equal, record.sectors)
    if not over_cash or not any(one.seeds > 1 for one in record.figures):
        return section
    seeds = " Of a policy that learns, the mean over its seeds; one of which a seed was ruined is left out."
    return replace(section, lead=section.lead + seeds)


def policy_series(record: ManagerRecord) -> dict[str, Series]:
    """A colour for each policy that looks at forecasts; the other rules in the text's colour, told apart by dashes."""
    found: dict[str, Series] = {}
    hued = [one.policy for one in record.figures if one.learns] + [
        one.policy for one in record.figures if one.uses_forecasts and not one.learns
    ]
    rest = [one.policy for one in record.figures if one.policy not in hued and one.policy != CASH]
    for place, one in enumerate(record.figures):
        key = f"m{place}"
        if one.policy in hued:
            turn, hue = divmod(hued.index(one.policy), HUES)
            dash = "solid" if one.learns else _DASHES[(turn + 1) % len(_DASHES)]
            found[one.policy] = Series(key, one.title, f"@s{hue}", dash, 2.2 if one.learns else 1.4)
        elif one.policy == CASH:
            found[one.policy] = Series(key, one.title, "@muted", "dot", 1.2)
        else:
            dash = _DASHES[rest.index(one.policy) % len(_DASHES)]
            found[one.policy] = Series(key, one.title, "@ink", dash, 1.8 if one.policy == BENCHMARK else 1.2)
    return found


def _lead(record: ManagerRecord) -> str:
    every = "month" if record.settings["rebalance"] == "monthly" else "quarter"
    seeds = max(one.seeds for one in record.figures)
    learning = [one.title for one in record.figures if one.learns]
    by_seed = f" {', '.join(learning)}: {seeds} seeds each." if learning else ""
    return (
        f"{record.periods} decisions, one a {every}, from {record.first} to {record.last}, over {record.names} names; "
        f"the {record.learnt} before were only learnt from. Forecasts of {', '.join(record.analysts)}, all made out of "
        f"fold.{by_seed} Growth is logarithmic, a year, net of all costs; intervals ({record.level:.0%}) are over "
        "seeds and blocks of quarters. “Not shown to beat” means that the difference could be chance: its interval "
        "reaches zero, or its p-value after Holm's correction over the rules is not below 5%. From the simplest on, "
        f"cash aside: {', '.join(record.of(name).title for name in record.order if name != CASH)}."
    )


def _growth_plot(record: ManagerRecord, accounts: pl.DataFrame, series: dict[str, Series]) -> Plot:
    traces: list[Json] = []
    for one in sorted(record.figures, key=lambda one: one.learns):
        line, own = series[one.policy], accounts.filter(pl.col("policy") == one.policy)
        path = (
            own.group_by("date")
            .agg(pl.col("value").median().alias("value"), low=pl.col("value").min(), high=pl.col("value").max())
            .sort("date")
            .with_columns(drawdown=pl.col("value") / pl.col("value").cum_max() - 1.0)
        )
        shown = thin(path, 500)
        dates = shown["date"].dt.to_string().to_list()
        if one.seeds > 1:
            traces.append(_band(dates, shown["low"].to_list(), shown["high"].to_list(), line))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(line.label),
                "meta": line.key,
                "x": dates,
                "y": [significant(value) if value > 0 else None for value in shown["value"]],
                "line": {"color": line.colour, "width": line.width, "dash": line.dash},
                "hovertemplate": "%{x|%Y-%m-%d}, value %{y:.3f}<extra>%{fullData.name}</extra>",
            }
        )
    return Plot(
        "plot-manager",
        "Growth of the policies",
        "One unit of capital, net of costs, on a logarithmic scale. Of a policy that learns the line is the median "
        "over seeds and the band holds all of them: the wider it is, the more of its result is training's chance.",
        f"Account value over time of {len(record.figures)} policies.",
        traces,
        layout(
            axis("date", {"type": "date", "showgrid": False}),
            axis("value (start = 1)", {"type": "log", "tickvals": ticks(accounts["value"]), "tickformat": "~g"}),
            {"dragmode": "zoom"},
        ),
        height=480,
        phone_height=400,
        phone={"dragmode": False},
        legend=tuple(series[one.policy] for one in record.figures),
    )


def _band(dates: list[str], low: list[float], high: list[float], line: Series) -> Json:
    kept = [(date, a, b) for date, a, b in zip(dates, low, high, strict=True) if a > 0]
    return {
        "type": "scatter",
        "mode": "lines",
        "meta": line.key,
        "name": plain(line.label),
        "x": [date for date, _, _ in kept] + [date for date, _, _ in reversed(kept)],
        "y": [significant(b) for _, _, b in kept] + [significant(a) for _, a, _ in reversed(kept)],
        "fill": "toself",
        "fillcolor": line.faint(0.16),
        "line": {"width": 0, "color": line.faint(0.16)},
        "hoverinfo": "skip",
    }


def _difference_plot(record: ManagerRecord, series: dict[str, Series]) -> Plot | None:
    rows = [
        Row(series[one.policy], one.difference, one.interval) for one in record.comparisons if one.rule == BENCHMARK
    ]
    caption = (
        "Annual log growth less that of 1/N on the same dates. An interval that crosses zero is no evidence that the "
        "policy is better or worse; the more policies one looks at, the more leave zero out by chance."
    )
    return forest("plot-manager-difference", ("Against 1/N", caption, "growth less 1/N"), rows, SIGNED_PERCENT)


def _cost_plot(record: ManagerRecord, series: dict[str, Series]) -> Plot:
    traces: list[Json] = []
    for one in record.figures:
        line = series[one.policy]
        points = [(at.value, at.growth) for at in record.costs if at.policy == one.policy]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": plain(line.label),
                "meta": line.key,
                "x": [x for x, _ in points],
                "y": [round(y, 5) for _, y in points],
                "line": {"color": line.colour, "width": line.width, "dash": line.dash},
                "marker": {"size": 5},
                "hovertemplate": "%{x} bps more, growth %{y:.1%}<extra>%{fullData.name}</extra>",
            }
        )
    return Plot(
        "plot-manager-costs",
        "What more costs would leave",
        "Annual log growth of the same decisions where every trade costs so many basis points more than it did. The "
        "steeper a line, the more its policy trades; where it falls below that of 1/N, costs have eaten the edge.",
        f"Annual growth by extra costs from 0 to 50 basis points, of {len(record.figures)} policies.",
        traces,
        layout(
            axis("extra costs (bps of traded value)", {"showgrid": False}),
            axis("growth a year", {"tickformat": ".0%", "nticks": 7}),
        ),
        legend=tuple(series[one.policy] for one in record.figures),
    )


def _figures(record: ManagerRecord) -> Table:
    columns = (
        Column("Policy"),
        Column("Growth p.a.", numeric=True, title="mean annual log growth over seeds, net"),
        Column("Less 1/N", numeric=True, title="difference of annual log growth"),
        Column("Seeds", numeric=True, title="worst to best seed in small print"),
        Column("Volatility", numeric=True, title="annual, of daily returns"),
        Column("Sharpe", numeric=True, title="over the rate on cash"),
        Column("At 1/N's volatility", numeric=True, title="growth of the account mixed with cash, or on credit"),
        Column("Max. drawdown", numeric=True, title="mean over seeds; deepest of a seed in small print"),
    )
    against = {one.policy: one for one in record.comparisons if one.rule == BENCHMARK}
    rows = []
    for one in record.figures:
        other = against.get(one.policy)
        spread = f"{SIGNED_PERCENT.text(one.lowest)} to {SIGNED_PERCENT.text(one.highest)}" if one.seeds > 1 else ""
        rows.append(
            (
                _name(one),
                measured(one.growth, PERCENT, one.interval),
                measured(
                    other.difference if other else None, _POINTS, other.interval if other else None,
                    title="" if other else "not compared",
                ),
                measured(one.seeds, COUNT, remark=spread),
                measured(one.volatility, PERCENT),
                measured(one.sharpe, RATIO, title="" if one.sharpe is not None else "it never moved"),
                measured(one.equal_growth, PERCENT, one.equal_interval),
                measured(one.drawdown, PERCENT, remark=PERCENT.text(one.deepest) if one.seeds > 1 else ""),
            )
        )  # fmt: skip
    return Table(
        "Net of all costs, on the same dates. Small print: intervals over seeds and blocks", columns, tuple(rows)
    )


def _name(one: PolicyFigures) -> Cell:
    kind = "learns" if one.learns else "rule on forecasts" if one.uses_forecasts else "rule"
    ruin = (f"ruined with {one.ruined} seeds",) if one.ruined else ()
    return Cell(one.title, (kind, *ruin))


def _comparisons(record: ManagerRecord) -> Table | None:
    judged = [one.policy for one in record.figures if one.learns] or [
        one.policy for one in record.figures if one.uses_forecasts
    ]
    chosen = [one for one in record.comparisons if one.policy in judged]
    if not chosen:
        return None
    columns = (
        Column("Policy"), Column("Rule", whole=True), Column("Difference p.a.", numeric=True),
        Column("p", numeric=True, title="one-sided, of no difference"),
        Column("p, Holm", numeric=True, title="corrected for the number of rules"), Column("Shown to beat"),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(record.of(one.policy).title),
            Cell(record.of(one.rule).title),
            measured(one.difference, _POINTS, one.interval),
            measured(one.p_value, _CHANCE),
            measured(one.holm, _CHANCE),
            Cell("yes" if one.shown else "no"),
        )
        for one in chosen
    )
    return Table("Differences of annual log growth to every simpler rule", columns, rows)


def _exposure(record: ManagerRecord) -> Table:
    columns = (
        Column("Policy"), Column("Names", numeric=True), Column("Gross", numeric=True), Column("Net", numeric=True),
        Column("Cash", numeric=True), Column("Beta", numeric=True, title="by the betas known at each decision"),
        Column("Turnover p.a.", numeric=True, title="traded value over account value; buying 100% counts 1"),
        Column("Costs p.a.", numeric=True, title="of trades and shorts, as a share of the account"),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(one.title),
            measured(one.names, NumberStyle(1)),
            measured(one.gross, _WHOLE),
            measured(one.net, _WHOLE),
            measured(one.cash, _WHOLE),
            measured(one.beta, RATIO),
            measured(one.turnover, RATIO),
            measured(one.costs, NumberStyle(2, percent=True)),
        )
        for one in record.figures
    )
    return Table("Exposure: means over decisions and seeds, after trades", columns, rows)


def _regimes(record: ManagerRecord) -> Table | None:
    if not record.regimes:
        return None
    columns = (
        Column("Policy"),
        *(Column(f"{kind.name[:1].upper()}{kind.name[1:]} ({kind.periods})", numeric=True) for kind in record.regimes),
    )
    rows = tuple(
        (Cell(one.title), *(measured(kind.growth[one.policy], PERCENT) for kind in record.regimes))
        for one in record.figures
    )
    return Table(
        "Annual log growth by what was known of the market at each decision (in brackets: periods)",
        columns,
        rows,
    )


def _liquid(record: ManagerRecord) -> Table | None:
    if not record.liquid:
        return None
    columns = (
        Column("Policy"), Column("All names", numeric=True), Column("Liquid half", numeric=True),
        Column("All, less 1/N", numeric=True), Column("Liquid, less 1/N", numeric=True),
    )  # fmt: skip
    against = {one.policy: one for one in record.comparisons if one.rule == BENCHMARK}
    rows = []
    for one in record.liquid:
        whole, other = record.of(one.policy), against.get(one.policy)
        apart = one.policy not in {BENCHMARK}
        rows.append(
            (
                Cell(whole.title),
                measured(whole.growth, PERCENT, whole.interval),
                measured(one.growth, PERCENT, one.interval),
                measured(other.difference if other else None, _POINTS, other.interval if other else None),
                measured(one.difference if apart else None, _POINTS, one.difference_interval if apart else None),
            )
        )
    return Table("All names, and the half with the larger dollar volume at each decision", columns, tuple(rows))


def _capacity(record: ManagerRecord) -> Table | None:
    if not record.capitals:
        return None
    tried = list(dict.fromkeys(one.value for one in record.capitals))
    until = {one.policy: one.capital_usd for one in record.capacities}
    columns = (
        Column("Policy"),
        *(Column(_money(capital), numeric=True) for capital in tried),
        Column(
            "Edge gone at", numeric=True, title="capital at which growth falls to that of 1/N with the same capital"
        ),
    )
    rows = []
    for one in record.figures:
        growths = [at.growth for at in record.capitals if at.policy == one.policy]
        rows.append((Cell(one.title), *(measured(growth, PERCENT) for growth in growths), _until(one.policy, until)))
    return Table("Annual log growth of the same decisions by initial capital", columns, tuple(rows))


def _until(policy: str, until: dict[str, float | None]) -> Cell:
    if policy not in until:
        return Cell("\u2013")
    capital = until[policy]
    if capital is None:
        return Cell("beyond", sort=1e18)
    return Cell("no edge" if capital == 0.0 else _money(capital), sort=capital)


def _money(dollars: float) -> str:
    for size, unit in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if dollars >= size:
            return f"${dollars / size:.3g}{unit}"
    return f"${dollars:.0f}"


def _worst(record: ManagerRecord) -> Table:
    count = min(len(one.worst) for one in record.figures)
    places = ("Worst", "Second", "Third", "Fourth", "Fifth")[:count]
    rows = tuple(
        (
            Cell(one.title),
            *(Cell(_POINTS.text(at.growth), (f"from {at.first}",), at.growth) for at in one.worst[:count]),
        )
        for one in record.figures
        if one.policy != CASH
    )
    return Table(
        "The worst periods: log growth, the mean over seeds",
        (Column("Policy"), *(Column(place, numeric=True) for place in places)),
        rows,
    )
