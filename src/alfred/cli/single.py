"""The notes' quick path: train and evaluate one model without a study file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from alfred.cli.screen import Bars, out
from alfred.cli.studies import Overrides, conclude, figure_text
from alfred.core.contracts import DIRECTION
from alfred.core.home import home

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alfred.evaluation.contracts import Scorecard
    from alfred.experiments.models import Model
    from alfred.experiments.quick import Words

Tickers = Annotated[
    Path | None, typer.Option(help="Baskets file, as `alfred scan --save` writes it; default the demo's scan.")
]
ModelName = Annotated[
    str, typer.Option(help="A name of `alfred analysts`. A label that is a size takes its tanh head where it has one.")
]
Size = Annotated[int | None, typer.Option(help="Width of a network's hidden layers; default the model's.")]
Layers = Annotated[int | None, typer.Option(help="How many hidden layers; default the model's.")]
Quarters = Annotated[int | None, typer.Option(help="Quarters of history it looks at; default the model's.")]
Loss = Annotated[str | None, typer.Option(help="bce, mse, huber, mse-sign, huber-sign or sign-ratio.")]
Label = Annotated[str | None, typer.Option(help="PM, PQ, excess, rank, velocity or total_return.")]
Seed = Annotated[int, typer.Option(help="Of the initial weights and the order of rows.")]
Epochs = Annotated[int | None, typer.Option(help="At most so many; default the demo's 60.")]
Patience = Annotated[int | None, typer.Option(help="Epochs without a better validation loss before it stops.")]
BatchSize = Annotated[int | None, typer.Option(help="Rows of a step.")]
LearningRate = Annotated[float | None, typer.Option(help="Of the first epoch.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")]
Provider = Annotated[str | None, typer.Option(help="Where prices come from; default the sample.")]
Until = Annotated[str | None, typer.Option(help="Last session that is read; default the data's own.")]
TestFirst = Annotated[
    str | None, typer.Option(help="First test quarter; nothing after it is learnt. Default 2004-03-31.")
]
OF_A_SIZE = {"mae": "mae", "r2": "r2", "pearson_corr": "pearson", "sign_accuracy": "sign_accuracy"}
OF_A_DIRECTION = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "f1"}
"""The notes' names of what they printed, and ours."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(train)
    app.command()(evaluate)


def train(
    tickers: Tickers = None,
    model: ModelName = "vanilla.small",
    size: Size = None,
    layers: Layers = None,
    quarters: Quarters = None,
    loss: Loss = None,
    label: Label = None,
    seed: Seed = 0,
    epochs: Epochs = None,
    patience: Patience = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    device: Device = None,
    provider: Provider = None,
    until: Until = None,
    test_first: TestFirst = None,
    overrides: Overrides = None,
) -> None:
    """Train one model on the training basket before the test period, and keep it.

    Trained before with the same words, data and code, it is taken up. `alfred evaluate` with the same words judges it.

    alfred train --tickers baskets.json --model vanilla.medium --size 1024 --loss huber-sign --label PM

    alfred train --model lstm.small.extractors --quarters 12 --epochs 30 --seed 3
    """
    from alfred.experiments.models import train_model
    from alfred.experiments.quick import Words

    told = locals()
    words = Words.parse({name: told[name] for name in Words.model_fields}, "these words")
    study = words.study()
    _say_head(words)
    with Bars() as progress:
        found, before = train_model(study, home(), progress)
    _tell(found, before)
    out.print(f"Judge it: {words.command('evaluate')}", markup=False, soft_wrap=True)


def evaluate(
    tickers: Tickers = None,
    model: ModelName = "vanilla.small",
    size: Size = None,
    layers: Layers = None,
    quarters: Quarters = None,
    loss: Loss = None,
    label: Label = None,
    seed: Seed = 0,
    epochs: Epochs = None,
    patience: Patience = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    device: Device = None,
    provider: Provider = None,
    until: Until = None,
    test_first: TestFirst = None,
    overrides: Overrides = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Judge the network's initial weights instead, as a control.")
    ] = False,
) -> None:
    """Judge a model of `alfred train` on quarters and names that it has not seen; give the same words.

    One model forecasts the whole test period; `alfred run` trains anew as time goes on. The run's folder and report
    are like any other's.

    alfred evaluate --tickers baskets.json --model vanilla.medium --size 1024 --loss huber-sign --label PM

    alfred evaluate --model vanilla.small.tanh --untrained
    """
    from alfred.experiments.models import evaluate_model
    from alfred.experiments.quick import Words
    from alfred.experiments.record import load_record

    told = locals()
    words = Words.parse({name: told[name] for name in Words.model_fields}, "these words")
    study = words.study(untrained=untrained)
    _say_head(words)
    with Bars() as progress:
        folder = evaluate_model(study, home(), progress, f"Train it first: {words.command('train')}")
    record = load_record(folder)
    card = record.scorecards[-1]
    fold = record.folds[0]
    if untrained:
        out.print("Untrained control: these are the network's initial weights; it has learnt nothing.", soft_wrap=True)
    out.print(
        f"{card.analyst} on test rows: {card.rows:,} rows in {card.quarters} quarters from {fold.test_first}, "
        f"{len(record.evaluation_basket)} names. Protocol {record.protocol}: {record.question}",
        markup=False,
        soft_wrap=True,
    )
    values = {figure.name: figure.value for figure in card.figures}
    out.print(f"Evaluation: Loss: {values['loss']} stats: {_stats(values)}", markup=False, soft_wrap=True)
    out.print(_figures(card))
    conclude(record, folder)


def _say_head(words: "Words") -> None:
    if words.preset != words.model:
        out.print(
            f"{words.model} has a sigmoid head for {DIRECTION}; for {words.label} it is {words.preset}, as in the "
            "notes.",
            markup=False,
            soft_wrap=True,
        )


def _tell(found: "Model", before: bool) -> None:
    record, fit = found.record, found.record.fit
    if before:
        out.print(
            f"Trained before with the same words, data and code, on {record.created_at[:10]}; taken up from "
            f"{found.folder}",
            markup=False,
            soft_wrap=True,
        )
    course = f"best epoch {fit.best_epoch} of {len(fit.epochs)} ({fit.stopped})" if fit.epochs else fit.stopped
    memory = "" if fit.peak_memory_mb is None else f", peak memory {fit.peak_memory_mb:,.0f} MB"
    energy = "" if fit.energy_joules is None else f", {fit.energy_joules:,.0f} J"
    fold = record.fold
    cost = f"{fit.parameters:,} parameters, {course}, {fit.seconds:.1f} s{memory}{energy}"
    train = f"TRAINING rows ({fold.train_rows:,}, {fold.train_first} to {fold.train_last})"
    valid = f"VALIDATION rows ({fold.valid_rows:,}, {fold.valid_first} to {fold.valid_last})"
    lines = [
        f"{record.analyst}, seed {record.seed}: {cost}",
        "",
        f"{train}. The model has seen these: what follows tells nothing about the future.",
        f"Best loss: {record.training['loss']}, Best Stats: {_stats(record.training)}",
        _always_up(record.training),
        "",
        f"{valid}. Not learnt from, but they chose what was kept: still too kind.",
        f"Loss: {record.validation['loss']}, Stats: {_stats(record.validation)}",
        _always_up(record.validation),
        "",
    ]
    if not before:
        lines.append(f"Kept in {found.folder}")
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def _stats(values: "Mapping[str, float | None]") -> dict[str, float | None]:
    names = OF_A_SIZE if "mae" in values else OF_A_DIRECTION
    return {theirs: values[ours] for theirs, ours in names.items()}


def _always_up(values: "Mapping[str, float | None]") -> str:
    return f"Saying always up is right in {values['rise_share']:.1%} of them; the model is in {values['accuracy']:.1%}."


def _figures(card: "Scorecard") -> Table:
    table = Table(box=None)
    table.add_column("figure", no_wrap=True)
    for heading in ("value, 95% interval", "naive", "difference, 95% interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for figure in card.figures:
        naive = "-" if figure.naive is None else f"{figure.naive:.4f}"
        own = figure_text(figure.value, figure.over_quarters, "{:.4f}")
        beside = figure_text(figure.difference, figure.difference_over_quarters, "{:+.4f}")
        table.add_row(figure.name, own, naive, beside)
    return table
