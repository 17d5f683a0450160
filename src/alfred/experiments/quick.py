"""The notes' quick path: one model by a few words, without a study file.

The words make a study of one analyst on the demo's settings, so that engine, records and honesty are those of any run.
"""

import shlex
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from alfred.analysts import analyst_names, describe
from alfred.core.contracts import FittedAnalyst
from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.core.home import home as home_of_environment
from alfred.core.progress import Progress
from alfred.core.settings import Settings
from alfred.experiments.models import find_model, train_model
from alfred.experiments.study import Study, apply_override, entry_name

DEFAULT_MODEL = "vanilla.small"
"""The notes' default."""
_IN_SECTIONS = {
    "provider": ("data", "provider"),
    "until": ("data", "until"),
    "test_first": ("splits", "test_first"),
    "epochs": ("train", "epochs"),
    "patience": ("train", "patience"),
    "batch_size": ("train", "batch_size"),
    "learning_rate": ("train", "learning_rate"),
    "device": ("train", "device"),
}
_OF_THE_ANALYST = ("size", "layers", "quarters", "loss", "label")


class Words(Settings):
    """What `alfred train` and `alfred evaluate` are told; what is left out is the preset's or the demo's.

    Attributes:
        model: preset, such as "vanilla.medium". Where the label asks for a size and this one has a sigmoid head,
            its brother with a tanh head is taken, as in the notes.
        tickers: baskets file, as `alfred scan --save` writes it; None for the scan of the demo.
        size, layers, quarters, loss, label: as in `AnalystSpec`.
        seed: of the initial weights and of the order of rows.
        epochs, patience, batch_size, learning_rate, device: as in `TrainSettings`.
        provider: where prices come from.
        until: last session that is read.
        test_first: first test quarter; training and validation labels are realised before.
        overrides: further settings of the study, such as "panel.horizon_quarters=4".
    """

    model: str = DEFAULT_MODEL
    tickers: Path | None = None
    size: int | None = None
    layers: int | None = None
    quarters: int | None = None
    loss: str | None = None
    label: str | None = None
    seed: int = Field(default=0, ge=0)
    epochs: int | None = None
    patience: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    device: str | None = None
    provider: str | None = None
    until: str | None = None
    test_first: str | None = None
    overrides: tuple[str, ...] = ()

    @field_validator("overrides", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return value or ()

    @property
    def preset(self) -> str:
        """The analyst's name: the model's, or that of its brother whose head suits the label."""
        brother = f"{self.model}.tanh"
        if self.label is None or brother not in analyst_names():
            return self.model
        suits = self.label not in describe(self.model).labels and self.label in describe(brother).labels
        return brother if suits else self.model

    def study(self, *, untrained: bool = False) -> Study:
        """The study of this one model, whose only fold tests all quarters from the first to the last.

        Args:
            untrained: keep the network's initial weights, as a control.

        Raises:
            ConfigError: there is no such model, or a word is none that it takes.
        """
        form = _demo()
        given = {name: getattr(self, name) for name in _OF_THE_ANALYST if getattr(self, name) is not None}
        form["analysts"] = [{"name": self.preset, "untrained": untrained, **given}]
        form["seeds"] = [self.seed]
        form["splits"]["test_quarters"] = "all"
        # All that is tried by words on one provider's data counts together, whatever the model is called.
        form["family"] = f"single-{self.provider or form['data']['provider']}"
        if self.tickers is not None:
            form["universe"] = {"baskets": str(self.tickers.absolute())}
        elif self.provider not in {None, form["data"]["provider"]}:
            raise ConfigError(f"the default baskets are of the sample; with {self.provider} name some by --tickers.")
        for name, (section, key) in _IN_SECTIONS.items():
            if getattr(self, name) is not None:
                form.setdefault(section, {})[key] = getattr(self, name)
        for override in self.overrides:
            apply_override(form, override)
        form["name"] = "single"
        study = Study.parse(form, "these words")
        if len(study.analysts) != 1 or len(study.seeds) != 1 or study.splits.test_quarters != "all":
            raise ConfigError("one model is one analyst with one seed, trained once; for more, write a study.")
        named = entry_name(study.analysts[0]).lower()
        return study.model_copy(update={"name": "".join(c if c.isalnum() else "-" for c in named)})

    def command(self, verb: str) -> str:
        """The command line of these words, such as `alfred train --model vanilla.small`."""
        parts = ["alfred", verb]
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name == "overrides":
                parts += [part for override in value for part in ("--set", override)]
            elif value != type(self).model_fields[name].default or name == "model":
                parts += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(parts)


def analyst_from_config(
    model: str = DEFAULT_MODEL,
    *,
    tickers: Path | str | None = None,
    size: int | None = None,
    layers: int | None = None,
    quarters: int | None = None,
    loss: str | None = None,
    label: str | None = None,
    seed: int = 0,
    epochs: int | None = None,
    provider: str | None = None,
    until: str | None = None,
    test_first: str | None = None,
    overrides: Sequence[str] = (),
    train: bool = True,
    home: Home | None = None,
    progress: Progress | None = None,
) -> FittedAnalyst:
    """The analyst of these words: restored if it was trained before on the same data and code, otherwise trained.

    What it is and learns is what `alfred train` with the same words gives; the folder is the same.

    Args:
        model, tickers, size, layers, quarters, loss, label, seed, epochs: as in `Words`.
        provider, until, test_first, overrides: likewise.
        train: False refuses to train, and only restores.
        home: where data and models are; default that of the environment.
        progress: hears how far training is.

    Raises:
        ConfigError: there is no such model; a word is none that it takes; or it is to be restored and is not there.
        AlfredError: the data do not allow it.
    """
    words = Words.parse(
        {
            "model": model,
            "tickers": tickers,
            "size": size,
            "layers": layers,
            "quarters": quarters,
            "loss": loss,
            "label": label,
            "seed": seed,
            "epochs": epochs,
            "provider": provider,
            "until": until,
            "test_first": test_first,
            "overrides": tuple(overrides),
        },
        "analyst_from_config",
    )
    place, study = home or home_of_environment(), words.study()
    found = train_model(study, place, progress)[0] if train else find_model(study, place)
    if found is None:
        raise ConfigError(f"{entry_name(study.analysts[0])} was never trained with these words, data and code.")
    return found.restore()


def _demo() -> dict[str, Any]:
    return tomllib.loads((files("alfred.experiments") / "studies" / "demo.toml").read_text(encoding="utf-8"))
