"""Commands of the language analysts: what articles say, in numbers with quotations."""

import datetime as dt
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from alfred.cli.screen import Bars, out
from alfred.core.home import Home, home

SHOWN = 10
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

    alfred digest --symbols AAPL,MSFT --since 2020-01-01

    With --filings the text is that of the reports that edgar brought: risk factors, management's discussion, market
    risk, events. Long sections are read in pieces and compared with the company's report before; --most counts filings.

    alfred digest --filings --symbols AAPL

    alfred digest --digester endpoint --set model=qwen2.5:7b --set knowledge_cutoff=2024-09-30 --most 20

    alfred digest --digester endpoint --symbols @sp500 --since 2024-01-01 --budget-usd 5
    """
    from alfred.lake.store import Lake
    from alfred.lake.symbols import symbols_of
    from alfred.language.filings import FilingsReport, digest_filings
    from alfred.language.records import DigestReport, cost_text
    from alfred.language.registry import make_digester
    from alfred.language.run import digest_articles

    here = home()
    lake = Lake(here.lake)
    budget = {"budget_usd": budget_usd, "budget_tokens": budget_tokens}
    reader = make_digester(digester, _settings(here, digester, overrides or [], budget))
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
                progress=progress,
            )
    finally:
        close = getattr(reader, "close", None)
        if close is not None:
            close()
    if isinstance(report, FilingsReport):
        out.print(
            f"{report.digester}/{report.prompt_version}: {report.sections:,} sections of {report.done:,} filings "
            f"digested, {report.compared:,} of them compared with an earlier one; {report.without:,} filings without a "
            f"section that is read, {report.skipped:,} were there, {report.left:,} left. Their pieces:",
            markup=False,
            soft_wrap=True,
        )
        report = report.pieces
    out.print(
        f"{report.digester}/{report.prompt_version} ({report.model}): {report.done:,} digested, "
        f"{len(report.failed):,} failed, {report.skipped:,} were there, {report.left:,} left.",
        markup=False,
        soft_wrap=True,
    )
    tokens = report.usage.prompt_tokens + report.usage.completion_tokens
    if tokens:
        out.print(f"This call took {tokens:,} tokens: {cost_text(report.usage.cost_usd)}.", soft_wrap=True)
    if report.failed:
        out.print("[yellow]Failed, to be tried again by the same command:[/]")
        for failure in report.failed[:SHOWN]:
            out.print(f"  {escape(failure.article_id)}: {escape(failure.reason)}", soft_wrap=True)
        if len(report.failed) > SHOWN:
            out.print(f"  and {len(report.failed) - SHOWN:,} more")
    if report.stopped:
        out.print(f"[yellow]Stopped:[/] {escape(report.stopped)}", soft_wrap=True)
    if report.failed or report.stopped:
        raise typer.Exit(NOT_ALL)


def _warn_of_cutoff(progress: Bars, model: str, cutoff: dt.date | None) -> None:
    from alfred.language.contracts import UNKNOWN_CUTOFF

    if cutoff == UNKNOWN_CUTOFF:
        progress.say(
            f"{model} declares no knowledge cutoff, so all its digests are flagged as perhaps knowing the future; "
            "--set knowledge_cutoff=2024-09-30 declares one."
        )


def _settings(here: Home, digester: str, overrides: list[str], budget: dict[str, float | int | None]) -> dict[str, Any]:
    """Settings of a digester: its part of language.toml, then --set, then the budget where it knows one."""
    from alfred.core.errors import ConfigError
    from alfred.experiments.study import apply_override
    from alfred.language.registry import settings_class

    path: Path = here.root / "language.toml"
    form: dict[str, Any] = {}
    if path.exists():
        try:
            form = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path} is no readable TOML file: {error}.") from error
    mine = form.get(digester.replace("-", "_"), {})
    if not isinstance(mine, dict):
        raise ConfigError(f"{path}: {digester} is no section; write [{digester}] above its settings.")
    for override in overrides:
        apply_override(mine, override)
    known = settings_class(digester).model_fields
    # A digester without these settings costs nothing.
    return mine | {name: value for name, value in budget.items() if value is not None and name in known}


def _day(text: str) -> dt.date | None:
    from alfred.core.calendar import day

    return dt.date.fromisoformat(str(day(text))) if text else None
