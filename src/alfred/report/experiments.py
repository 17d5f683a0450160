"""All experiments on one page: the notes' table, and what quality costs ("Tracking Efficiency")."""

import math
from collections.abc import Sequence

from alfred.experiments.listing import SMALLEST_FIRST, Experiment
from alfred.report.format import COUNT, DASH, PERCENT, RATIO, NumberStyle, seconds, significant
from alfred.report.palette import HUES, Series, is_naive
from alfred.report.plot import Json, Plot, axis, layout, plain, rule
from alfred.report.sheet import Part, Sheet, render_sheet
from alfred.report.skill import title_and_style
from alfred.report.table import Cell, Column, Table, measured

COSTS = (
    ("seconds", "training time, all fits, s"),
    ("seconds_per_epoch", "time per epoch, s"),
    ("parameters", "parameters"),
)
QUALITY = "rank_ic"
LOSSES = "Losses of two names do not compare; Δ stands beside the naive forecast in the same loss on the same rows."
_FIGURES = ("eval_loss", "mae", "pearson", "r2", "sign_accuracy", "rank_ic")


def experiments_page(rows: Sequence[Experiment], sort: str = "") -> str:
    """The experiments as one HTML text that needs nothing else.

    Args:
        rows: in the order of the table.
        sort: what they are sorted by, in words of the caption; empty for the latest first.
    """
    plots = tuple(plot for plot in (_plot(rows, cost, title) for cost, title in COSTS) if plot)
    front = _front_table(rows)
    cost = Part(
        "cost",
        "Cost",
        "Quality against cost",
        lead=""
        if plots
        else "Fewer than two analysts have a rank IC and a measured cost; there is nothing to compare.",
        plots=plots,
        tables=() if front is None else (front,),
    )
    everyone = Part("all", "All", "All experiments", tables=(_table(rows, sort),), notes=(LOSSES,))
    return render_sheet(Sheet("Experiments", headline(rows), (cost, everyone), lead=_lead(rows)))


def headline(rows: Sequence[Experiment]) -> str:
    """The highest rank IC, with its interval and how many it was picked from."""
    known = [(one.rank_ic, one) for one in rows if one.rank_ic is not None and not is_naive(one.analyst)]
    if not known:
        return "No experiment has a rank IC yet."
    highest, best = max(known, key=lambda pair: pair[0])
    style, figure = title_and_style(QUALITY)[1], best.figures.get(QUALITY)
    span = style.span(None if figure is None else figure.over_quarters)
    interval = f" ({span})" if span else ""
    picked = f", the best of {COUNT.text(len(known))}, picked afterwards" if len(known) > 1 else ""
    return f"The highest rank IC is {style.text(highest)}{interval}, of {best.analyst} in {best.run}{picked}."


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Positions of the points (cost, quality) that no other beats: none is as cheap and better, or cheaper and as good.

    The cheapest comes first. Of equal points the first counts.
    """
    best, found = -math.inf, []
    for at in sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1], at)):
        if points[at][1] > best:
            best = points[at][1]
            found.append(at)
    return tuple(found)


def _known(rows: Sequence[Experiment], cost: str) -> list[tuple[Experiment, float, float]]:
    """The experiments with a cost above 0 and a quality; the naive forecast costs nothing and has none."""
    found = []
    for one in rows:
        spent, quality = getattr(one, cost), getattr(one, QUALITY)
        if not is_naive(one.analyst) and spent is not None and spent > 0 and quality is not None:
            found.append((one, float(spent), float(quality)))
    return found


def _plot(rows: Sequence[Experiment], cost: str, title: str) -> Plot | None:
    known = _known(rows, cost)
    if len(known) < 2:
        return None
    front = [known[at] for at in pareto_front([(spent, quality) for _, spent, quality in known])]
    names = list(dict.fromkeys(one.model for one, _, _ in known))
    legend = tuple(Series(f"e{at}", name, f"@s{at % HUES}") for at, name in enumerate(names))
    traces: list[Json] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [significant(spent) for _, spent, _ in front],
            "y": [significant(quality) for _, _, quality in front],
            "line": {"shape": "hv", "width": 1.4, "color": "@ink/0.5", "dash": "dash"},
            "hoverinfo": "skip",
        }
    ]
    traces += [_points([entry for entry in known if entry[0].model == line.label], line) for line in legend]
    cheapest, top = front[0][0].analyst, front[-1][0].analyst
    told = (
        f"On the dashed line, from {cheapest} to {top}, lie those that none of these beats at their cost; where "
        "intervals overlap, the line may be chance."
        if len(front) > 1
        else f"None of these beats {top}, the cheapest; where intervals overlap, that may be chance."
    )
    spread = max(spent for _, spent, _ in known) > 30 * min(spent for _, spent, _ in known)
    scale = {"type": "log", "dtick": 1} if spread else {"rangemode": "tozero"}
    return Plot(
        f"pareto-{cost.replace('_', '-')}",
        f"Rank IC against {title.partition(',')[0]}",
        f"Every analyst of every run with its interval over quarters. {told}",
        f"Rank IC of {len(known)} analysts against their {title}.",
        traces,
        layout(
            axis(title, {"tickformat": "~s" if cost == "parameters" else "~g"} | scale),
            axis("rank IC, test rows", {"tickformat": ".2f"}),
            {"shapes": [rule(y=0.0)]},
        ),
        height=420,
        phone={"xaxis.dtick": 2} if spread else {},
        legend=legend,
    )


def _points(entries: Sequence[tuple[Experiment, float, float]], line: Series) -> Json:
    ends = [one.figures["rank_ic"].over_quarters if "rank_ic" in one.figures else None for one, _, _ in entries]
    reach = [(0.0, 0.0) if end is None else (end.upper, end.lower) for end in ends]
    quality = [one for _, _, one in entries]
    known = [end is not None for end in ends]
    return {
        "type": "scatter",
        "mode": "markers",
        "meta": line.key,
        "x": [significant(spent) for _, spent, _ in entries],
        "y": [significant(one) for one in quality],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [
                significant(up - one) if has else 0 for (up, _), one, has in zip(reach, quality, known, strict=True)
            ],
            "arrayminus": [
                significant(one - low) if has else 0 for (_, low), one, has in zip(reach, quality, known, strict=True)
            ],
            "color": line.faint(0.35),
            "thickness": 1,
            "width": 0,
        },
        "marker": {"size": 9, "color": line.colour},
        "text": [f"{plain(one.analyst)}<br>{plain(one.run)}" for one, _, _ in entries],
        "hovertemplate": "%{text}<br>cost %{x:.4g}, rank IC %{y:.3f}<extra></extra>",
    }


def _lead(rows: Sequence[Experiment]) -> str:
    runs, tried = len({one.run for one in rows}), {one.family: one.trials for one in rows if one.trials is not None}
    counted = "; ".join(f"{name} has tried {number} time{'s' * (number != 1)}" for name, number in tried.items())
    told = f" By the trial ledger {counted}." if counted else ""
    return (
        f"{len(rows)} analyst{'s' * (len(rows) != 1)} of {runs} run{'s' * (runs != 1)}, all on test rows.{told} The "
        "best of many looks better than it is, and runs on other data or other quarters do not compare; the deflated "
        "Sharpe ratio is the probability that the best of as many "
        "tries without skill would have had less."
    )


def _table(rows: Sequence[Experiment], sort: str) -> Table:
    columns = (
        Column("Model"), Column("Seeds"), Column("Quarters", numeric=True, title="sequence length"),
        Column("Size", numeric=True), Column("Token", title="family of studies"),
        *(Column(_heading(name), numeric=True, title=_sense(name)) for name in _FIGURES),
        Column("Always up", numeric=True, title="share of the test rows that rose"),
        Column("Sharpe", numeric=True, title="of its best strategy's account, a year, net of costs"),
        Column("Deflated", numeric=True, title="deflated Sharpe ratio: by the family's tries"),
        Column("Trials", numeric=True, title="of the family, by now"), Column("Time an epoch", numeric=True),
        Column("Training time", numeric=True, title="all fits"), Column("Parameters", numeric=True),
        Column("Run", whole=True),
    )  # fmt: skip
    ordered = f"sorted by {sort}" if sort else "the latest run first"
    caption = f"All experiments, {ordered}. Small print: 95% interval over quarters, then Δ to naive"
    return Table(caption, columns, tuple(_row(one) for one in rows))


def _row(one: Experiment) -> tuple[Cell, ...]:
    own = one.analyst.partition(":")[2]
    return (
        Cell(one.model, (*((own,) if own not in {"", one.label} else ()), f"{one.label}, {one.loss} loss")),
        Cell(one.seed_values or DASH),
        _count(one.quarters),
        _count(one.size),
        Cell(one.family or DASH),
        *(_figure(one, name) for name in _FIGURES),
        measured(one.rise_share, PERCENT),
        Cell(RATIO.text(one.sharpe), (one.strategy,) if one.strategy else (), one.sharpe),
        measured(one.deflated_sharpe, NumberStyle(3)),
        _count(one.trials),
        Cell(seconds(one.seconds_per_epoch), sort=one.seconds_per_epoch),
        Cell(seconds(one.seconds), sort=one.seconds),
        _count(one.parameters),
        Cell(one.run, (one.created_at[:10], one.protocol)),
    )


def _figure(one: Experiment, name: str) -> Cell:
    value, style = getattr(one, name), title_and_style("loss" if name == "eval_loss" else name)[1]
    figure = one.figures.get(name)
    against = figure.difference if figure is not None and not is_naive(one.analyst) else None
    remark = "" if against is None else f"Δ {style.difference().text(against)}"
    return measured(value, style, None if figure is None else figure.over_quarters, remark=remark)


def _front_table(rows: Sequence[Experiment]) -> Table | None:
    """Those on the front of time, as a table."""
    known = _known(rows, "seconds")
    if len(known) < 2:
        return None
    front = [known[at] for at in pareto_front([(spent, quality) for _, spent, quality in known])]
    columns = (Column("Analyst"), Column("Training time", numeric=True), Column("Rank IC", numeric=True), Column("Run"))
    cells = tuple(
        (Cell(one.analyst), Cell(seconds(spent), sort=spent), _figure(one, QUALITY), Cell(one.run))
        for one, spent, _ in front
    )
    return Table("Analysts that none of these beats at their training time, the cheapest first", columns, cells)


def _heading(name: str) -> str:
    return "Eval loss" if name == "eval_loss" else title_and_style(name)[0]


def _sense(name: str) -> str:
    return "less is better" if name in SMALLEST_FIRST else "more is better"


def _count(value: int | None) -> Cell:
    return Cell(COUNT.text(value), sort=value)
