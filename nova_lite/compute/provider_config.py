"""Provider configuration files: custom inventories and traits that operators add to a host's providers, in YAML.

The format is that of OpenStack's ``provider.yaml``, schema version 1.0. Whatever is wrong with a file keeps the agent
from starting: half of what an operator wanted is worse than an agent that says why it does not run.
"""

import logging
import uuid as uuids
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nova_lite.errors import Misconfigured
from nova_lite.model.provider import Inventory, Provider

LOG = logging.getLogger(__name__)

#: Stands for the host itself, on any host.
THIS_HOST = "$COMPUTE_NODE"
_MAX = 2**31 - 1
_CUSTOM = "^CUSTOM_[A-Z0-9_]{1,248}$"
_MERGE = "tag:yaml.org,2002:merge"
_COUNT = {"type": "integer", "minimum": 1, "maximum": _MAX}

_INVENTORY = {
    "type": "object",
    "properties": {
        "total": _COUNT,
        "reserved": {"type": "integer", "minimum": 0, "maximum": _MAX},
        "min_unit": _COUNT,
        "max_unit": _COUNT,
        "step_size": _COUNT,
        "allocation_ratio": {"type": "number", "exclusiveMinimum": 0},
    },
    "required": ["total"],
    "additionalProperties": False,
}


def _schema(*, newer: bool) -> dict[str, Any]:
    """Return the schema of a file; one of a ``newer`` minor version may say more."""

    def mapping(properties: Mapping[str, object], *required: str) -> dict[str, Any]:
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": newer}

    by_class = {"type": "object", "patternProperties": {_CUSTOM: _INVENTORY}, "additionalProperties": False}
    identification = {
        "type": "object",
        "properties": {
            "uuid": {"anyOf": [{"const": THIS_HOST}, {"type": "string", "pattern": "^[0-9A-Fa-f-]{36}$"}]},
            "name": {"type": "string", "minLength": 1, "maxLength": 200},
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    provider = mapping(
        {
            "identification": identification,
            "inventories": mapping({"additional": {"type": "array", "items": by_class}}),
            "traits": mapping({"additional": {"type": "array", "items": {"type": "string", "pattern": _CUSTOM}}}),
        },
        "identification",
    )
    meta = mapping({"schema_version": {"type": "string"}}, "schema_version")
    return mapping({"meta": meta, "providers": {"type": "array", "items": provider}}, "meta")


@dataclass(frozen=True, slots=True)
class Addition:
    """What one file adds to one provider, named by UUID, name or ``$COMPUTE_NODE``."""

    path: Path
    by: str
    provider: str
    inventories: Mapping[str, Inventory] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()


def load(directory: Path) -> tuple[Addition, ...]:
    """Return what the ``*.yaml`` files of ``directory`` add, by file name; nothing where there is no such directory.

    Raises Misconfigured, naming the file and the place in it.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".yaml")
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise Misconfigured(f"[compute] provider_config_location {directory} cannot be read: {exc.strerror}") from exc
    found: dict[tuple[str, str], Addition] = {}
    for path in paths:
        for addition in _additions(path):
            other = found.setdefault((addition.by, addition.provider), addition)
            if other is not addition:
                raise Misconfigured(f"{path}: provider {addition.provider} is in {other.path} already")
    return tuple(found.values())


def applied(
    providers: Sequence[Provider], additions: Iterable[Addition], uuid_of: Callable[[Provider], str]
) -> tuple[Provider, ...]:
    """Return ``providers`` with what the files add; ``$COMPUTE_NODE`` is the first, unless a file names it otherwise.

    Raises Misconfigured when two files' words meet in one provider, or one of them and the driver's.
    """
    by_place = {(addition.by, addition.provider): addition for addition in additions}
    found = []
    for provider in providers:
        places = [place for place in (("uuid", uuid_of(provider)), ("name", provider.name)) if place in by_place]
        if len(places) > 1:
            one, other = (by_place[place] for place in places)
            raise Misconfigured(
                f"{one.path} and {other.path} both add to provider {provider.name}, by UUID and by name"
            )
        if not places and provider.parent is None and ("uuid", THIS_HOST) in by_place:
            places = [("uuid", THIS_HOST)]
        found.append(_with(provider, by_place[places[0]]) if places else provider)
    return tuple(found)


def strangers(
    providers: Sequence[Provider], additions: Iterable[Addition], uuid_of: Callable[[Provider], str]
) -> list[str]:
    """Return what is added to providers that are not this host's, in words: files may be those of many hosts."""
    known = {THIS_HOST, *(uuid_of(provider) for provider in providers), *(provider.name for provider in providers)}
    return [f"{one.path}: {one.provider} is no provider of this host" for one in additions if one.provider not in known]


def _with(provider: Provider, addition: Addition) -> Provider:
    both = sorted(provider.inventories.keys() & addition.inventories.keys())
    if both:
        raise Misconfigured(f"{addition.path}: {', '.join(both)} of {provider.name} is what the host itself tells of")
    return replace(
        provider,
        inventories={**provider.inventories, **addition.inventories},
        traits=provider.traits | addition.traits,
    )


def _additions(path: Path) -> Iterator[Addition]:
    content = _read(path)
    _check(path, content)
    for number, provider in enumerate(content.get("providers", ())):
        [(by, name)] = provider["identification"].items()
        if by == "uuid" and name != THIS_HOST:
            try:
                name = str(uuids.UUID(name))
            except ValueError:
                raise Misconfigured(f"{path}: providers/{number}/identification/uuid: {name} is no UUID") from None
        listed = provider.get("inventories", {}).get("additional", ())
        inventories: dict[str, Inventory] = {}
        for name_of_class, amounts in (pair for by_class in listed for pair in by_class.items()):
            if name_of_class in inventories:
                raise Misconfigured(f"{path}: {name_of_class} is there twice for provider {name}")
            inventories[name_of_class] = Inventory(**{"max_unit": _MAX, "allocation_ratio": 1.0, **amounts})
            if inventories[name_of_class].reserved > inventories[name_of_class].total:
                raise Misconfigured(f"{path}: more {name_of_class} is reserved than there is")
        traits = frozenset(provider.get("traits", {}).get("additional", ()))
        if not inventories and not traits:
            LOG.warning("%s: nothing is added to provider %s", path, name)
        yield Addition(path, by, name, inventories, traits)


def _check(path: Path, content: Any) -> None:
    """Raise Misconfigured unless the file is of a version known here and keeps its schema."""
    # Only for those who have such files: agents are many.
    import jsonschema_rs  # noqa: PLC0415

    version = content.get("meta", {}).get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, str):
        raise Misconfigured(f"{path}: meta/schema_version is missing, or is not a text: write '1.0', in quotes")
    major, _, minor = version.partition(".")
    if major != "1" or not minor.isdecimal():
        raise Misconfigured(f"{path}: schema version {version} is not known here; write '1.0'")
    if int(minor) > 0:
        LOG.warning("%s is of schema version %s; what is not in 1.0 is ignored", path, version)
    error = next(jsonschema_rs.validator_for(_schema(newer=int(minor) > 0)).iter_errors(content), None)
    if error is not None:
        place = "/".join(str(step) for step in error.instance_path) or "the whole"
        raise Misconfigured(f"{path}: {place}: {error.message}")


def _read(path: Path) -> Any:
    import yaml  # noqa: PLC0415 - as above

    class Loader(yaml.SafeLoader):
        """Takes no key twice."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys: list[object] = []
            for key in (key for key, _ in node.value if key.tag != _MERGE):
                name = self.construct_object(key, deep=True)
                if name in keys:
                    raise yaml.constructor.ConstructorError(None, None, f"{name} is there twice", key.start_mark)
                keys.append(name)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe one
    except OSError as exc:
        raise Misconfigured(f"{path} cannot be read: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as exc:
        raise Misconfigured(f"{path} is no YAML: {exc}") from exc
