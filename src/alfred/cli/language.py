"""Commands of the language analysts: what articles say, in numbers with quotations."""

import datetime as dt
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from alfred.cli.screen import Bars, out
from alfred.core.home import Home, home

if TYPE_CHECKING:
    from alfred.lake.store import Lake
    from alfred.language.filings import FilingsReport
    from alfred.language.records import DigestReport

SHOWN = 10
DASH = "\u2013"
NOT_ALL = 2


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(digest)


def digest(
    digester: Annotated[str, typer.Option(help="Who reads: lexicon, endpoint, ...")] = "lexicon",
    symbols: Annotated[str, typer.Option(help="AAPL,MSFT or @file.txt or @sp500; default all.")] = "",
    provider: Annotated[str, typer.Option(help="Only articles of this provider; default of all.")] = "",
    since: Annotated[str, typer.Option(help="First day of publication, such as 2015-01-01.")] = "",
    until: Annotated[str, typer.Option(help="Last day of publication.")] = "",
    most: Annotated[int | None, typer.Option(help="Articles to digest in this call; default all.", min=1)] = None,
    filings: Annotated[
        bool, typer.Option("--filings", help="Digest sections of 10-K, 10-Q and 8-K against the filing before instead.")
    ] = False,
    budget_usd: Annotated[
        float | None, typer.Option(help="Most that this call may cost; it stops before it could exceed it.", min=0)
    ] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Most tokens that this call may take.", min=0)] = None,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Hide company, ticker, people and dates from whoever reads.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Then compare the digests with and without names.")
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set one key of the digester, such as model=qwen2.5:7b."),
    ] = None,
) -> None:
    """Digest the lake's articles: relevance, sentiment, outlook, event, and a rationale with quotations.

    What was digested before, by the same digester, model and version of its prompt, is not asked for again. Stop it
    with Ctrl-C, or lose the machine: the same command goes on where it stopped, and takes up what failed. The exit
    code is 2 if anything failed, or a budget or too many failures ended it.

    The lexicon needs nothing and costs nothing. The endpoint asks a language model at any server that speaks the
    OpenAI protocol: Ollama, vLLM, llama.cpp, a hosted one. The environment names it (ALFRED_LLM_URL,
    ALFRED_LLM_MODEL, and ALFRED_LLM_KEY where it wants a key; OPENAI_BASE_URL and OPENAI_API_KEY count too), and the
    rest stands in ALFRED_HOME/language.toml under [endpoint]: prices, knowledge_cutoff and more. A server that is not
    this machine needs a budget.

    --anonymise hides company, ticker, people and dates, so that a model cannot use what it remembers of the time; its
    digests stand beside the others under a version of their own, and --compare tells how the two agree. Names by symbol
    stand in language.toml under [names], such as AAPL = ["Apple"].

    alfred digest --symbols AAPL,MSFT --since 2020-01-01

    With --filings the text is that of the reports that edgar brought: risk factors, management's discussion, market
    risk, events. Long sections are read in pieces and compared with the company's report before; --most counts filings.

    alfred digest --filings --symbols AAPL

    alfred digest --digester endpoint --set model=qwen2.5:7b --set knowledge_cutoff=2024-09-30 --most 20

    alfred digest --digester endpoint --symbols @sp500 --since 2024-01-01 --budget-usd 5
    """
    from alfred.lake.store import Lake
    from alfred.lake.symbols import symbols_of
    from alfred.language.anonymise import anonymiser
    from alfred.language.filings import FilingsReport, digest_filings
    from alfred.language.records import DigestReport
    from alfred.language.registry import make_digester
    from alfred.language.run import digest_articles

    here = home()
    lake = Lake(here.lake)
    budget = {"budget_usd": budget_usd, "budget_tokens": budget_tokens}
    settings, names = _settings(here, digester, overrides or [], budget)
    reader = make_digester(digester, settings)
    try:
        with Bars() as progress:
            _warn_of_cutoff(progress, reader.model, reader.knowledge_cutoff)
            report: DigestReport | FilingsReport = (digest_filings if filings else digest_articles)(
                lake,
                reader,
                symbols=symbols_of(symbols, lake) or None,
                source=provider or None,
                since=_day(since),
                until=_day(until),
                most=most,
                change=anonymiser(names) if anonymise else None,
                progress=progress,
            )
    finally:
        close = getattr(reader, "close", None)
        if close is not None:
            close()
    if isinstance(report, FilingsReport):
        _tell_filings(report)
        report = report.pieces
    _tell_digests(report)
    if compare:
        _compare(lake, report)
    _tell_failures(report)
    if report.failed or report.stopped:
        raise typer.Exit(NOT_ALL)


def _tell_filings(report: "FilingsReport") -> None:
    out.print(
        f"{report.digester}/{report.prompt_version}: {report.sections:,} sections of {report.done:,} filings "
        f"digested, {report.compared:,} of them compared with an earlier one; {report.without:,} filings without a "
        f"section that is read, {report.skipped:,} were there, {report.left:,} left. Their pieces:",
        markup=False,
        soft_wrap=True,
    )


def _tell_digests(report: "DigestReport") -> None:
    from alfred.language.records import cost_text

    out.print(
        f"{report.digester}/{report.prompt_version} ({report.model}): {report.done:,} digested, "
        f"{len(report.failed):,} failed, {report.skipped:,} were there, {report.left:,} left.",
        markup=False,
        soft_wrap=True,
    )
    tokens = report.usage.prompt_tokens + report.usage.completion_tokens
    if tokens:
        out.print(f"This call took {tokens:,} tokens: {cost_text(report.usage.cost_usd)}.", soft_wrap=True)


def _tell_failures(report: "DigestReport") -> None:
    if report.failed:
        out.print("[yellow]Failed, to be tried again by the same command:[/]")
        for failure in report.failed[:SHOWN]:
            out.print(f"  {escape(failure.article_id)}: {escape(failure.reason)}", soft_wrap=True)
        if len(report.failed) > SHOWN:
            out.print(f"  and {len(report.failed) - SHOWN:,} more")
    if report.stopped:
        out.print(f"[yellow]Stopped:[/] {escape(report.stopped)}", soft_wrap=True)


def _compare(lake: "Lake", report: "DigestReport") -> None:
    """Print how the digests with and without names agree, over all articles of the lake that have both."""
    from rich.table import Table

    from alfred.core.errors import DataError
    from alfred.language.compare import compare_scores, twin_of
    from alfred.language.stories import ALWAYS

    digests = lake.asof(ALWAYS).digests()
    own = (report.digester, report.prompt_version, report.model)
    twin = twin_of(digests, own)
    if twin is None:
        raise DataError(
            f"{report.digester} has digested the articles only {'without' if '+' in report.prompt_version else 'with'} "
            "names; digest them the other way too, and compare then."
        )
    plain, hidden = sorted((own, twin), key=lambda row: len(row[1]))
    table = Table("Score", "Articles", "Rank correlation", "Pearson", "Mean change", "Sign turned")
    for pair in compare_scores(digests, plain, hidden):
        shares = (pair.rank_correlation, pair.correlation, pair.mean_change)
        numbers = [DASH if value is None else f"{value:.3f}" for value in shares]
        turned = DASH if pair.turned is None else f"{pair.turned:.1%}"
        table.add_row(pair.score, f"{pair.articles:,}", *numbers, turned)
    out.print(f"{hidden[0]}/{hidden[1]} over {plain[0]}/{plain[1]} ({own[2]}):", markup=False, soft_wrap=True)
    out.print(table)


def _warn_of_cutoff(progress: Bars, model: str, cutoff: dt.date | None) -> None:
    from alfred.language.contracts import UNKNOWN_CUTOFF

    if cutoff == UNKNOWN_CUTOFF:
        progress.say(
            f"{model} declares no knowledge cutoff, so all its digests are flagged as perhaps knowing the future; "
            "--set knowledge_cutoff=2024-09-30 declares one."
        )


def _settings(
    here: Home, digester: str, overrides: list[str], budget: dict[str, float | int | None]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Settings of a digester (its part of language.toml, then --set, then the budget where it knows one), and names of
    companies by symbol: those of the section [names], then those of the digester."""
    from alfred.core.errors import ConfigError
    from alfred.experiments.study import apply_override
    from alfred.language.registry import settings_class

    path: Path = here.root / "language.toml"
    form: dict[str, Any] = {}
    if path.exists():
        try:
            form = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is no readable TOML file: {error}.") from error
    mine = form.get(digester.replace("-", "_"), {})
    if not isinstance(mine, dict):
        raise ConfigError(f"{path}: {digester} is no section; write [{digester}] above its settings.")
    for override in overrides:
        apply_override(mine, override)
    known = settings_class(digester).model_fields
    # A digester without these settings costs nothing.
    names = form.get("names", {})
    own = mine.get("names", {})
    for given in (names, own):
        if not isinstance(given, dict) or not all(isinstance(one, list) for one in given.values()):
            raise ConfigError(f'{path}: names are lists by symbol, such as AAPL = ["Apple"], got {given!r}.')
    return mine | {name: value for name, value in budget.items() if value is not None and name in known}, names | own


def _day(text: str) -> dt.date | None:
    from alfred.core.calendar import day

    return dt.date.fromisoformat(str(day(text))) if text else None
