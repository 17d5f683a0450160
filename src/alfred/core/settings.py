"""Typed, closed configuration: frozen models that refuse unknown keys and name the nearest known one."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alfred.core.digest import digest_of
from alfred.core.errors import ConfigError

LONGEST_SHOWN = 300
"""Letters of a wrong value that an error shows."""
Seed = Annotated[int, Field(ge=0, lt=2**31)]
"""Of draws: a number that every library that draws can take."""


class Settings(BaseModel):
    """Base of every settings model: immutable, closed, and identified by a digest of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str) -> Self:
        """Validate `data`.

        Args:
            data: nested mapping, as TOML gives it.
            where: what the user would call the source, for the error's text ("study.toml").

        Raises:
            ConfigError: one sentence that lists every problem, with a suggestion for unknown keys.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            *others, last = [sentence.rstrip(".") for sentence in _sentences(cls, error)]
            stop = "" if last.endswith("?") else "."
            raise ConfigError(f"{where}: {'; '.join([*others, last])}{stop}") from error

    def digest(self) -> str:
        """Hex digest of the values; equal settings have equal digests on every machine."""
        return digest_of(self.model_dump(mode="json"))


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: "did you mean 'x'?" for the nearest known name, otherwise what there is, and a stop."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}."


def _sentences(model: type[BaseModel], error: ValidationError) -> list[str]:
    sentences = []
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            key = str(problem["loc"][-1])
            sentences.append(f"unknown setting {place!r}, {suggestion(key, _keys_at(model, problem['loc'][:-1]))}")
        elif problem["type"] == "missing":
            sentences.append(f"setting {place!r} is required but absent")
        elif problem["type"] == "value_error":
            text = problem["msg"].removeprefix("Value error, ").rstrip(".")
            sentences.append(f"{place}: {text}" if place else text)
        else:
            got = repr(problem["input"])
            got = got if len(got) <= LONGEST_SHOWN else f"{got[:LONGEST_SHOWN]}..."
            sentences.append(f"{place}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {got}")
    return sentences


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the settings that exist at a nested location, following lists and unions of models."""
    for part in location:
        if isinstance(part, int) or part not in model.model_fields:
            continue
        inner = _model_in(model.model_fields[part].annotation)
        if inner is not None:
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
