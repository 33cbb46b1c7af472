"""What `manage.py check` says of the chosen models, before a server starts with them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import Error as DatabaseError

from recognition.engine.models.catalogue import KnownModel
from recognition.engine.models.weights import missing_files, weights_folder
from recognition.engine.types import EngineError
from recognition.selectors import thresholds_in_force
from recognition.workers import active_model_id, model_choice


@register("recognition")
def models_are_known_and_there(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Names that the settings give, their files and packages; the files are not opened here."""
    try:
        models = model_choice().parts()
    except EngineError as error:
        return [Error(str(error), hint="See docs/models.md.", id=f"recognition.{error.code}")]
    return [message for model in models for message in _missing(model)]


@register("recognition", "database", deploy=False)
def thresholds_are_known(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Whether the active model has thresholds. Only where checks may ask the database."""
    if not databases:
        return []
    try:
        thresholds_in_force(model_id=active_model_id())
    except EngineError as error:
        return [Warning(str(error), id="recognition.no_thresholds")]
    except DatabaseError:  # before the first migration
        return []
    return []


def _missing(model: KnownModel) -> list[CheckMessage]:
    folder = weights_folder(settings.MODEL_CACHE_DIR)
    files = [
        Warning(
            f"{file.name}, a file of the {model.part} {model.name}, is not in {folder}: no face "
            "can be recognised.",
            hint=f"Run `manage.py fetch_models {model.name}`.",
            id="recognition.model_missing",
        )
        for file in missing_files(model, folder)
    ]
    packages = [
        Warning(
            f"The {model.part} {model.name} needs the package {package}: no face can be "
            "recognised.",
            hint=f"pip install {package.replace('_', '-')}",
            id="recognition.package_missing",
        )
        for package in model.packages
        if find_spec(package) is None
    ]
    return [*files, *packages]
