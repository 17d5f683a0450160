"""Aliases of stored models, such as champion.

A family's chosen models are versions of MLflow's registered model `alfred.<family>`; an alias points to one of them,
and earlier holders stay listed as earlier versions.
"""

from typing import TYPE_CHECKING

from alfred.experiments.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel

REGISTERED, NAME = "alfred.", "alfred.name"


def aliases_of(store: Tracking) -> dict[str, list[str]]:
    """Aliases by the name of the model that they point to."""
    found: dict[str, list[str]] = {}
    with store.asked() as client:
        for registered in _registered(store):
            for alias, version in sorted(registered.aliases.items()):
                name = client.get_model_version(registered.name, version).tags.get(NAME, "")
                found.setdefault(name, []).append(alias)
    return found


def _registered(store: Tracking) -> "list[RegisteredModel]":
    found: list[RegisteredModel] = []
    token: str | None = None
    with store.asked() as client:
        while True:
            page = client.search_registered_models(f"name LIKE '{REGISTERED}%'", 100, page_token=token)
            found += page
            token = page.token
            if not token:
                return found
