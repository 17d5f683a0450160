"""Which stored models count: aliases are given and taken away here, and models that nobody needs are removed."""

import re
from collections.abc import Sequence

from alfred.core.errors import ConfigError
from alfred.core.home import Home
from alfred.experiments.aliases import NAME, REGISTERED, aliases_of
from alfred.experiments.store import MODEL_TAG, PLACE, REMOVING, StoredModel, runs_of, stored_models
from alfred.experiments.tracking import Tracking, tracking

CHAMPION = "champion"
_ALIAS = re.compile(r"(?!v\d+$)(?!latest$)[a-z][a-z0-9_-]*")


def promote(home: Home, model: StoredModel, alias: str = CHAMPION) -> str:
    """Let an alias point to a model; it leaves whichever model of the family it pointed to.

    Args:
        home: whose tracking data.
        model: of the store.
        alias: of small letters, digits, - and _; one a family.

    Returns:
        The name of the model that had it before; empty where none had.

    Raises:
        ConfigError: MLflow takes no such alias.
    """
    if not _ALIAS.fullmatch(alias):
        raise ConfigError(
            f"an alias is a word of small letters, digits, - and _, such as champion; neither latest nor v1, got "
            f"{alias!r}."
        )
    store, registered = tracking(home), REGISTERED + model.family
    before = [one.name for one in stored_models(home, model.family) if alias in one.aliases]
    _register(store, registered, model.family)
    with store.asked() as client:
        # MLflow's search does not look for a version's tags.
        versions = client.search_model_versions(f"name = '{registered}'")
        version = next((one for one in versions if one.tags.get(NAME) == model.name), None)
        if version is None:
            uri = f"{client.get_run(model.number).info.artifact_uri}/{model.place}"
            tags = {NAME: model.name, "alfred.sha256": model.sha256}
            version = client.create_model_version(registered, uri, model.number, tags)
        client.set_registered_model_alias(registered, alias, version.version)
    return before[0] if before and before != [model.name] else ""


def withdraw(home: Home, family: str, alias: str) -> None:
    """Take an alias away from a family's model.

    Raises:
        ConfigError: no model of the family has it.
    """
    if not any(alias in one.aliases for one in stored_models(home, family)):
        raise ConfigError(f"no model of the family {family!r} is called {alias}.")
    with tracking(home).asked() as client:
        client.delete_registered_model_alias(REGISTERED + family, alias)


def superfluous(models: Sequence[StoredModel], keep: int) -> tuple[StoredModel, ...]:
    """The models without an alias that are not of the `keep` latest runs of their analyst and family.

    Args:
        models: of the store, the latest run's first.
        keep: runs of each analyst, at least 0.
    """
    seen: dict[tuple[str, str], list[str]] = {}
    found = []
    for model in models:
        runs = seen.setdefault((model.family, model.analyst), [])
        if model.run not in runs:
            runs.append(model.run)
        if runs.index(model.run) >= keep and not model.aliases:
            found.append(model)
    return tuple(found)


def remove(home: Home, models: Sequence[StoredModel]) -> None:
    """Delete models' files, and go on with removals that were cut off; what their runs found out stays.

    Raises:
        ConfigError: one of them has an alias.
        FetchError: the store did not do as it was asked.
    """
    store = tracking(home)
    aliases = aliases_of(store) if models else {}
    for model in models:
        if model.name in aliases:
            called = aliases[model.name][0]
            raise ConfigError(f"{model.name} is called {called}; withdraw the alias before it is removed.")
    with store.asked() as client:
        for model in models:
            client.set_tag(model.number, _removing(model.tag), model.place)
            client.set_tag(model.number, model.tag, REMOVING)
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with store.asked() as client:
        for run in runs_of(store):
            tags = run.data.tags
            for tag in [name for name, value in tags.items() if value == REMOVING]:
                if PLACE.fullmatch(tags.get(_removing(tag), "")):
                    files = get_artifact_repository(run.info.artifact_uri, tracking_uri=client.tracking_uri)
                    files.delete_artifacts(tags[_removing(tag)])
                for one in {tag, _removing(tag)} & tags.keys():
                    client.delete_tag(run.info.run_id, one)


def _removing(tag: str) -> str:
    """The tag that says what to delete while a removal goes on."""
    return tag.replace(MODEL_TAG, "alfred.removing.")


def _register(store: Tracking, name: str, family: str) -> None:
    from mlflow.exceptions import MlflowException

    with store.asked() as client:
        try:
            client.create_registered_model(name, {"alfred.family": family})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
