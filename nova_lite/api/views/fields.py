"""Views as data: each field a noun shows, the versions that show it, and where its value comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from nova_lite.web.versions import Version

T = TypeVar("T")


@dataclass(frozen=True)
class Field(Generic[T]):
    """One key of a JSON object, shown from version ``since`` to version ``until``, both included."""

    name: str
    read: Callable[[T], object]
    since: str = "2.1"
    until: str | None = None


class View(Generic[T]):
    """A JSON object made of fields; which of them a version shows is worked out once per version."""

    def __init__(self, *fields: Field[T]) -> None:
        self._dated = [
            (field.name, field.read, Version.parse(field.since), field.until and Version.parse(field.until))
            for field in fields
        ]
        self._shown: dict[Version, list[tuple[str, Callable[[T], object]]]] = {}

    def render(self, thing: T, version: Version) -> dict[str, object]:
        """Return ``thing`` as ``version`` shows it."""
        shown = self._shown.get(version)
        if shown is None:
            shown = self._shown[version] = [
                (name, read)
                for name, read, since, until in self._dated
                if since <= version and (not until or version <= until)
            ]
        return {name: read(thing) for name, read in shown}


def timestamp(moment: datetime | None) -> str | None:
    """Return a moment as most nouns write it: UTC with microseconds, without a zone."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
