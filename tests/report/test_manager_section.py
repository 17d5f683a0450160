"""The section on the portfolio manager: only where a run was managed, with its verdict before its figures."""

import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import report_run as made

sys.path.insert(0, str(Path(__file__).parents[1] / "manager"))
import numpy as np
from toy import scene_of

from alfred.backtest.attribution import Attribution
from alfred.core.contracts import Interval
from alfred.evaluation.bootstrap import BootstrapSettings
from alfred.experiments.managed import (
    FILE,
    FOLDER,
    Capacity,
    LiquidResult,
    ManagerRecord,
    PolicyAttribution,
    Sensitivity,
    dump_managed,
)
from alfred.experiments.sectors import SectorSummary
from alfred.manager.contracts import PolicyDescription
from alfred.manager.figures import Regime, figures
from alfred.manager.judgement import Resampling, compare, recommended, verdict
from alfred.manager.policies.equal_weight import EqualWeight
from alfred.manager.run import run_policy
from alfred.manager.settings import ManagerSettings
from alfred.manager.tracks import growth, track_of
from alfred.report.manager import manager_section
from alfred.report.page import render

POLICIES = {
    "cash": PolicyDescription("cash", False, False, ""),
    "equal-weight": PolicyDescription("1/N", False, False, ""),
    "top-decile": PolicyDescription("top decile", False, True, ""),
    "gradient": PolicyDescription("gradient", True, True, ""),
}


TOLD = Attribution(6.0, 0.9, 0.05, 0.06, 0.012, -0.015, Interval(-0.05, 0.02), {"spread": -0.005, "impact": -0.002})


def managed(folder: Path) -> ManagerRecord:
    """A manager's folder in a run's: real accounts of a toy market, of 1 seed, or 10 for the policy that learns."""
    random = np.random.default_rng(0)
    scene = scene_of(random.normal(0.02, 0.06, (24, 5)), noise=0.01)
    track = track_of(scene, run_policy(scene, EqualWeight()))
    resampling = Resampling(BootstrapSettings(draws=200), 4.0, len(scene))
    tracks = {name: [track] * (10 if about.learns else 1) for name, about in POLICIES.items()}
    own = {
        name: np.stack([growth(one, scene) for one in many]) + (name == "gradient") * random.normal(0, 0.01, (10, 1))
        for name, many in tracks.items()
    }
    own["cash"] = 0.0 * own["cash"]
    comparisons = compare(own, POLICIES, resampling)
    of = {
        name: figures(
            (name, about.title, about.learns, about.uses_forecasts), scene, tracks[name], own[name],
            target_volatility=0.1, resampling=resampling,
        )
        for name, about in POLICIES.items()
    }  # fmt: skip
    spans = [of["gradient"].interval, of["gradient"].interval]
    record = ManagerRecord(
        run="run", study="demo", created_at="2026-11-22T12:00:00+00:00", alfred_version="0", digest="0",
        verdict=verdict(comparisons, POLICIES), recommended=recommended(comparisons, POLICIES),
        warnings=("Only <3> seeds.",), first=str(scene.dates[0]), last=str(scene.dates[-1]), end="2007-01-01",
        learnt=16, periods=24, periods_a_year=4.0, block=4.0, level=0.95, names=5, analysts=("ridge",),
        order=tuple(POLICIES),
        settings=ManagerSettings().model_dump(mode="json"), frictions={}, figures=tuple(of.values()),
        comparisons=comparisons, regimes=(Regime("up market", 20, dict.fromkeys(POLICIES, 0.1)),),
        liquid=tuple(LiquidResult(name, 0.1, spans[0], 0.0, spans[1]) for name in POLICIES),
        costs=tuple(Sensitivity(name, bps, 0.1 - bps / 1e4, 0.0) for bps in (0.0, 50.0) for name in POLICIES),
        capitals=tuple(Sensitivity(name, usd, 0.1, 0.0) for usd in (1e5, 1e9) for name in POLICIES),
        capacities=(Capacity("top-decile", 0.0), Capacity("gradient", 2.5e7)),
        attributions=tuple(
            PolicyAttribution(name, TOLD, None if name == "equal-weight" else TOLD) for name in POLICIES
        ),
        sectors=SectorSummary("edgar", ("Energy", "Finance"), names=5, unknown=1, later=4),
    )  # fmt: skip
    (folder / FOLDER).mkdir()
    (folder / FOLDER / FILE).write_text(dump_managed(record))
    dates = scene.bars.dates[int(scene.rows[0]) :]
    parts = [
        pl.DataFrame({"date": dates, "value": track.value * (1.0 + 0.01 * seed * (name == "gradient"))}).select(
            pl.lit(name).alias("policy"), pl.lit(seed).alias("seed"), pl.all()
        )
        for name, many in tracks.items()
        for seed in range(len(many))
    ]
    pl.concat(parts).write_parquet(folder / FOLDER / "accounts.parquet")
    return record


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made.write_run(tmp_path / "run")


def test_a_run_that_was_not_managed_has_no_section(run: Path) -> None:
    assert manager_section(run) is None
    assert 'id="manager"' not in render(run)


def test_the_verdict_stands_before_the_figures(run: Path) -> None:
    record = managed(run)
    text = render(run)
    section = text[text.index('<section id="manager">') :]
    assert section.index("Gradient: Not shown to beat 1/N") < section.index("Growth of the policies")
    assert "The simplest that none was shown to beat: 1/N." in section
    assert "Only &lt;3&gt; seeds." in section
    assert '<a href="#manager">Manager</a>' in text
    assert "cash aside: 1/N, top decile, gradient." in section
    for said in ("$100k", "$1bn", "$25m", "no edge", "Up market (20)", "Liquid half", "Shown to beat"):
        assert said in section
    assert record.figures[3].seeds == 10


def test_seeds_are_drawn_as_a_band_around_their_median(run: Path) -> None:
    managed(run)
    section = manager_section(run)
    assert section is not None
    growths, differences, costs = section.plots
    bands = [trace for trace in growths.data if trace.get("fill") == "toself"]
    lines = [trace for trace in growths.data if "hovertemplate" in trace]
    assert len(bands) == 1
    assert len(lines) == 4
    by_name = {trace["name"]: trace for trace in lines}
    last = by_name["gradient"]["y"][-1] / by_name["1/N"]["y"][-1]
    assert last == pytest.approx(1.045, abs=1e-3)
    assert max(bands[0]["y"]) == pytest.approx(1.09 * max(by_name["1/N"]["y"]), rel=1e-3)
    assert [trace["name"] for trace in differences.data] == ["top decile", "gradient"]
    assert costs.data[0]["x"] == [0.0, 50.0]


def test_it_is_told_where_the_policies_returns_came_from(run: Path) -> None:
    record = managed(run)
    section = manager_section(run)
    assert section is not None
    told = section.attribution
    assert [plot.key for plot in told.plots] == ["plot-manager-attribution-cash", "plot-manager-attribution-equal"]
    assert [row[0].text for row in told.tables[1].rows] == ["cash", "top decile", "gradient"]
    assert "Sector" in [column.heading for column in told.tables[0].columns]
    assert told.lead.endswith(
        "The sector part is what sectors above or below their share in 1/N gained: 2 sectors as edgar tells them, of 5 "
        "names. 1 of the names has no sector; they count as one of their own. Of 4 names the sector became known only "
        "after it counts here. That will do for looking back; no decision saw it. Selection is the rest: which names "
        "were chosen, and when the account was in the market. Costs are as paid. Of a policy that learns, the mean "
        "over its seeds; one of which a seed was ruined is left out."
    )
    (run / FOLDER / FILE).write_text(dump_managed(replace(record, attributions=(), sectors=None)))
    text = render(run)
    section_text = text[text.index('<section id="manager">') :]
    assert "It was not recorded where these accounts&#39; returns came from; manage the study again" in section_text


def test_a_ruined_policy_is_named(run: Path) -> None:
    record = managed(run)
    ruined = replace(record, figures=(*record.figures[:3], replace(record.figures[3], ruined=2)))
    (run / FOLDER / FILE).write_text(dump_managed(ruined))
    assert "ruined with 2 seeds" in render(run)
