"""Schemas are compiled by the first request that needs them: here every one of them is, in every version."""

import contextlib
import importlib
import pkgutil
from types import ModuleType

import nova_lite.api.schemas
import nova_lite.placement.schemas
from nova_lite import errors
from nova_lite.web.validation import Schemas

_PACKAGES = (nova_lite.api.schemas, nova_lite.placement.schemas)


def test_every_schema_compiles() -> None:
    found = [schemas for package in _PACKAGES for schemas in _within(package)]
    assert len(found) > 90
    for schemas in found:
        for since, _ in schemas.dated:
            with contextlib.suppress(errors.Invalid):
                schemas.check({}, since)


def _within(package: ModuleType) -> list[Schemas]:
    modules = [
        importlib.import_module(f"{package.__name__}.{each.name}") for each in pkgutil.iter_modules(package.__path__)
    ]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Schemas)]
