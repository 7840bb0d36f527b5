"""Where servers are wanted: what zones and hosts asked for mean, and which are refused."""

import pytest

from nova_lite import errors
from nova_lite.api.services import destinations
from nova_lite.api.services.destinations import Destination

ZONE_OF = {"h1": "east"}


def destination(zone: str | None = None, host: str | None = None, node: str | None = None) -> Destination:
    return Destination(zone, host, node, is_forced=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, destination(), id="nothing"),
        pytest.param("", destination(), id="an empty word"),
        pytest.param("east", destination("east"), id="a zone"),
        pytest.param("east:h1", Destination("east", "h1", None, is_forced=True), id="a host in a zone"),
        pytest.param(":h1", Destination(None, "h1", None, is_forced=True), id="a host"),
        pytest.param("east::n1", Destination("east", None, "n1", is_forced=True), id="a hypervisor"),
        pytest.param("east:h1:n1", Destination("east", "h1", "n1", is_forced=True), id="all of them"),
    ],
)
def test_what_a_zone_says(text: str | None, expected: Destination) -> None:
    assert destinations.parsed(text) == expected


def test_a_zone_says_three_things_at_most() -> None:
    with pytest.raises(errors.Invalid, match="write zone, zone:host"):
        destinations.parsed("a:b:c:d")


def test_a_host_is_named_once() -> None:
    assert destinations.parsed("east").named("h1", None) == destination("east", "h1")
    assert destinations.parsed("east:h1").named(None, None).is_forced
    with pytest.raises(errors.Invalid, match="names a host already"):
        destinations.parsed("east:h1").named(None, "n1")


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        pytest.param(destination(), None, id="anywhere"),
        pytest.param(destination("east"), None, id="a zone with hosts"),
        pytest.param(destination("nova"), None, id="the zone of all other hosts"),
        pytest.param(destination("west"), "'west' is not available", id="no such zone"),
        pytest.param(destination(None, "h1"), None, id="a host"),
        pytest.param(destination("east", "h1"), None, id="a host in its zone"),
        pytest.param(destination("nova", "h2"), None, id="a host that is in no zone of its own"),
        pytest.param(destination("nova", "h1"), "h1 is not in availability zone nova", id="a host in another zone"),
        pytest.param(destination(None, "h9"), "h9 could not be found", id="no such host"),
    ],
)
def test_places_that_are_none_are_refused(wanted: Destination, refusal: str | None) -> None:
    is_known = wanted.host in ("h1", "h2")
    if refusal is None:
        wanted.refuse_unknown(ZONE_OF, "nova", is_host_known=is_known)
    else:
        with pytest.raises(errors.Invalid, match=refusal):
            wanted.refuse_unknown(ZONE_OF, "nova", is_host_known=is_known)


def test_a_default_is_for_those_who_want_no_place() -> None:
    assert destination().or_zone("east") == destination("east")
    assert destination(None, None, "n1").or_zone("east") == destination(None, None, "n1")


def test_volumes_bind_servers_to_their_zone() -> None:
    assert destination().beside(None, "nova") == destination()
    assert destination().beside("nova", "nova") == destination("nova")
    with pytest.raises(errors.Invalid, match="it is to be in east, they are in nova"):
        destination("east").beside("nova", "nova")
