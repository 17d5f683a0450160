"""Assembles the page: reads the folder, asks every section for its part, and fills the template."""

from dataclasses import dataclass
from pathlib import Path

from alfred.core.storage import write_whole
from alfred.experiments.counting import counted
from alfred.experiments.deflated import of_ledger
from alfred.experiments.record import RunRecord, load_record
from alfred.report.accounts import AccountSection, account_section
from alfred.report.attribution import AttributionSection, attribution_section
from alfred.report.audit import AuditSection, audit_section, warnings
from alfred.report.calibration import CalibrationSection, calibration_section
from alfred.report.curves import QuarterSection, learning_plots, quarter_section
from alfred.report.data import DataSection, data_section
from alfred.report.deflation import DeflationSection, deflation_section
from alfred.report.frames import read
from alfred.report.importances import ImportanceSection, importance_section
from alfred.report.language import LanguageSection, language_section
from alfred.report.ledger import LedgerSection, ledger_section
from alfred.report.manager import ManagerSection, manager_section
from alfred.report.palette import analyst_series, portfolio_series
from alfred.report.plot import Plot, safe_json
from alfred.report.recommended import RecommendationSection, recommendation_section
from alfred.report.running import RunSection, run_section
from alfred.report.shell import fill, own, trusted
from alfred.report.skill import SkillSection, skill_section
from alfred.report.summary import Card, cards
from alfred.report.trials import TrialSection, trial_section

FILE = "report.html"


def write_report(folder: Path) -> Path:
    """Write the report of a run into its folder, whole or not at all.

    Returns:
        The file's path.

    Raises:
        DataError: the folder is no run's, or lacks a table that the page draws.
    """
    path = folder / FILE
    write_whole(path, render(folder))
    return path


def render(folder: Path) -> str:
    """The report of a run as one HTML text that needs nothing else.

    Raises:
        DataError: the folder is no run's, or lacks a table that the page draws.
    """
    page = _page(folder)
    return fill(
        "report.html.jinja",
        page.plots(),
        {
            "page": page,
            "record": page.record,
            "ledger_json": trusted(safe_json(page.ledger.payload)),
            "ledger_js": own("ledger.js"),
        },
    )


@dataclass(frozen=True)
class Page:
    """The sections in the page's order."""

    record: RunRecord
    warnings: tuple[str, ...]
    cards: tuple[Card, ...]
    data: DataSection
    skill: SkillSection
    learning: tuple[Plot, ...]
    quarters: QuarterSection
    calibration: CalibrationSection
    importances: ImportanceSection
    accounts: AccountSection
    attribution: AttributionSection
    manager: ManagerSection | None
    deflation: DeflationSection
    trials: TrialSection
    language: LanguageSection | None
    ledger: LedgerSection
    recommendations: RecommendationSection | None
    audit: AuditSection
    run: RunSection

    def plots(self) -> tuple[Plot, ...]:
        """Every plot that the page draws."""
        found = (
            self.data.plot,
            *self.skill.plots,
            *self.learning,
            self.quarters.plot,
            *self.calibration.plots,
            self.calibration.by_year,
            *(one.plot for one in self.importances.found),
            self.accounts.plot,
            *self.attribution.plots,
            *((*self.manager.plots, *self.manager.attribution.plots) if self.manager else ()),
        )
        return tuple(plot for plot in found if plot is not None)


def _page(folder: Path) -> Page:
    record = load_record(folder)
    analysts = analyst_series(record)
    portfolios = portfolio_series(record.portfolios, analysts)
    accounts, quarters = read(folder, "accounts"), read(folder, "quarters")
    return Page(
        record,
        warnings(record),
        cards(record),
        data_section(record),
        skill_section(record, analysts),
        learning_plots(read(folder, "curves"), analysts),
        quarter_section(quarters, analysts),
        calibration_section(record, analysts),
        importance_section(folder),
        account_section(record, accounts, portfolios),
        attribution_section(record),
        manager_section(folder),
        deflation_section(record, accounts, quarters, of_ledger(counted(folder, record))),
        trial_section(record, folder),
        language_section(record),
        ledger_section(read(folder, "ledger"), tuple(portfolio.name for portfolio in record.portfolios)),
        recommendation_section(folder),
        audit_section(record),
        run_section(record, folder),
    )
