"""Microversions: parsing, negotiation and the headers that tell the client what it got.

Which versions an API speaks is data, in that API's ``microversions.py``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import falcon

_PATTERN = re.compile(r"(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})", re.ASCII)
_ANY_NUMBERS = re.compile(r"(-?[0-9]+)\.(-?[0-9]+)", re.ASCII)
HEADER = "OpenStack-API-Version"


class Version(NamedTuple):
    """A microversion, compared by number: 2.9 < 2.10."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str, *, loose: bool = False) -> "Version":
        """Return the version ``text`` spells, of any whole numbers with ``loose``; raises ValueError."""
        match = (_ANY_NUMBERS if loose else _PATTERN).fullmatch(text)
        if match is None:
            raise ValueError(f"not a microversion: {text!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class VersionNotSupported(falcon.HTTPNotAcceptable):
    """406: the version asked for is outside what this API speaks."""

    def __init__(self, description: str, minimum: Version, maximum: Version) -> None:
        super().__init__(title="Not Acceptable", description=description)
        self.minimum = minimum
        self.maximum = maximum


@dataclass(frozen=True)
class Negotiation:
    """How one API negotiates: its service type, its range, and the older header it still listens to, if any.

    With ``loose`` 1.07 is 1.7, and -1.0 a version there is not.
    """

    service: str
    minimum: Version
    maximum: Version
    legacy_header: str | None = None
    loose: bool = False

    def choose(self, header: Callable[[str], str | None]) -> Version:
        """Return the version the request headers ask for, the minimum when they ask for none.

        Raises: 400 for a malformed version, 406 for one out of range.
        """
        asked = self._from_header(header(HEADER))
        if asked is None and self.legacy_header is not None:
            asked = header(self.legacy_header)
        if asked is None:
            return self.minimum
        asked = asked.strip()
        if asked == "latest":
            return self.maximum
        try:
            version = Version.parse(asked, loose=self.loose)
        except ValueError:
            raise falcon.HTTPBadRequest(
                title="Bad Request",
                description=f"{HEADER} header: {asked[:64]!r} is not a version; use MAJOR.MINOR or latest.",
            ) from None
        if not self.minimum <= version <= self.maximum:
            raise VersionNotSupported(
                f"Version {version} is not supported by the API. "
                f"Minimum is {self.minimum} and maximum is {self.maximum}.",
                self.minimum,
                self.maximum,
            )
        return version

    def _from_header(self, value: str | None) -> str | None:
        """Return the last version named for our service in a header that may name several services."""
        found = None
        for entry in (value or "").split(","):
            service, _, version = entry.strip().partition(" ")
            if version and service.lower() == self.service:
                found = version
        return found

    def announce(self, resp: falcon.Response, version: Version) -> None:
        """Set the headers that say which version answered and that it depends on them."""
        resp.set_header(HEADER, f"{self.service} {version}")
        resp.append_header("Vary", HEADER)
        if self.legacy_header is not None:
            resp.set_header(self.legacy_header, str(version))
            resp.append_header("Vary", self.legacy_header)
