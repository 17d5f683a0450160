"""What evaluation says about one analyst: figures with their doubt, beside the naive forecast's."""

from dataclasses import dataclass

from alfred.core.contracts import Interval
from alfred.evaluation.significance import MeanTest


@dataclass(frozen=True)
class Figure:
    """One metric of one analyst on the test rows.

    Attributes:
        name: "rank_ic", "accuracy", "mae", ...
        value: metric of all test rows, averaged over seeds; None only where it is undefined (say so in `note`).
        over_quarters: block-bootstrap interval over test quarters.
        over_seeds: interval over seeds; of zero width for an analyst without randomness.
        naive: the same metric of the naive forecast on the same rows.
        difference: value less naive.
        difference_over_quarters: paired block-bootstrap interval of the difference.
        higher_is_better: None where neither is (coverage should equal its nominal level).
        note: why a value is absent or conventional, otherwise empty.
    """

    name: str
    value: float | None
    over_quarters: Interval | None
    over_seeds: Interval | None
    naive: float | None
    difference: float | None
    difference_over_quarters: Interval | None
    higher_is_better: bool | None = True
    note: str = ""


@dataclass(frozen=True)
class CalibrationBin:
    """Rows whose `prob_up` fell into one bin: mean forecast, observed share of rises with its interval, rows."""

    forecast: float
    observed: float
    interval: Interval
    rows: int


@dataclass(frozen=True)
class YearCoverage:
    """Share of a year's labels inside their intervals, mean over seeds; rows and decision dates of one seed."""

    year: int
    coverage: float
    rows: int
    quarters: int


@dataclass(frozen=True)
class Scorecard:
    """All figures of one analyst.

    Attributes:
        analyst: its name, such as "vanilla.small.tanh".
        target: label it forecasts.
        loss: name of the loss in the figure "loss".
        rows, quarters, seeds: size of the test sample.
        rise_share: share of test rows that rose (for excess: above the market), the accuracy of "always up".
        figures: every metric, in the order to be shown.
        minimum_detectable_ic: smallest mean rank IC that this many quarters could have told from zero
            (one-sided 5% divided by the analysts of the study, power 80%).
        calibration: bins of prob_up.
        verdict: one sentence derived from the figures.
        skilled: whether the verdict grants skill, in ranking at least.
        rows_without_label: rows left out because their label was not realised when the data ended.
        interval_level: nominal coverage of the forecasts' intervals.
        coverage_by_year: of the intervals, by the year of the decision date, ascending.
        horizon_quarters: of the label.
        ranking: test of the quarterly rank ICs, means over seeds; None where fewer than 2 quarters have one.
        saving: test of what the loss saves against the naive forecast's, by quarter (Diebold and Mariano 1995).
        tried: analysts of the study, the naive forecast aside, among which p-values are corrected.
        ranking_p, both_p: p-values after Holm's correction, of ranking, and of ranking and a lower loss at once.
    """

    analyst: str
    target: str
    loss: str
    rows: int
    quarters: int
    seeds: int
    rise_share: float
    figures: tuple[Figure, ...]
    minimum_detectable_ic: float
    calibration: tuple[CalibrationBin, ...]
    verdict: str
    skilled: bool
    rows_without_label: int = 0
    interval_level: float = 0.8
    coverage_by_year: tuple[YearCoverage, ...] = ()
    horizon_quarters: int = 1
    ranking: MeanTest | None = None
    saving: MeanTest | None = None
    tried: int = 1
    ranking_p: float | None = None
    both_p: float | None = None

    def figure(self, name: str) -> Figure:
        """The figure of that name; KeyError where there is none."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)
