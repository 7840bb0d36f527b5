"""Microversion parsing and negotiation."""

import falcon
import pytest

from nova_lite.web.versions import Negotiation, Version, VersionNotSupported

COMPUTE = Negotiation("compute", Version(2, 1), Version(2, 104), "X-OpenStack-Nova-API-Version")


def test_compared_by_number() -> None:
    assert Version.parse("2.9") < Version.parse("2.10") < Version.parse("3.0")
    assert str(Version.parse("2.79")) == "2.79"


@pytest.mark.parametrize(
    "text", ["", "2", "2.", ".1", "2.01", "02.1", "2.1.1", "2.1 ", "\u0662.\u0661", "2.999999", "-2.1"]
)
def test_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="not a microversion"):
        Version.parse(text)


@pytest.mark.parametrize(
    ("headers", "chosen"),
    [
        pytest.param({}, "2.1", id="none"),
        pytest.param({"OpenStack-API-Version": "compute 2.79"}, "2.79", id="header"),
        pytest.param({"OpenStack-API-Version": "Compute 2.79"}, "2.79", id="capital"),
        pytest.param({"OpenStack-API-Version": "compute latest"}, "2.104", id="latest"),
        pytest.param({"OpenStack-API-Version": "volume 3.1, compute 2.5"}, "2.5", id="several"),
        pytest.param({"X-OpenStack-Nova-API-Version": "2.25"}, "2.25", id="legacy"),
        pytest.param(
            {"OpenStack-API-Version": "compute 2.79", "X-OpenStack-Nova-API-Version": "2.25"}, "2.79", id="both"
        ),
        pytest.param({"OpenStack-API-Version": "volume 3.1"}, "2.1", id="another service"),
    ],
)
def test_chosen(headers: dict[str, str], chosen: str) -> None:
    assert COMPUTE.choose(headers.get) == Version.parse(chosen)


def test_refused() -> None:
    with pytest.raises(VersionNotSupported) as refused:
        COMPUTE.choose({"OpenStack-API-Version": "compute 2.105"}.get)
    assert (refused.value.minimum, refused.value.maximum) == ((2, 1), (2, 104))
    with pytest.raises(falcon.HTTPBadRequest):
        COMPUTE.choose({"X-OpenStack-Nova-API-Version": "two"}.get)


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        pytest.param("placement 1.07", "1.7", id="padded"),
        pytest.param("placement 01.7", "1.7", id="padded in front"),
        pytest.param("placement", "1.0", id="no version"),
    ],
)
def test_taken_less_strictly(asked: str, chosen: str) -> None:
    lenient = Negotiation("placement", Version(1, 0), Version(1, 39), loose=True)
    assert lenient.choose({"OpenStack-API-Version": asked}.get) == Version.parse(chosen)
    assert str(lenient.choose({"OpenStack-API-Version": "placement latest"}.get)) == "1.39"
    with pytest.raises(falcon.HTTPBadRequest):
        lenient.choose({"OpenStack-API-Version": "placement 1.7.1"}.get)
    for text in ("-1.0", "1.-1", "9" * 30 + ".1"):
        with pytest.raises(VersionNotSupported):
            lenient.choose({"OpenStack-API-Version": f"placement {text}"}.get)
    with pytest.raises(falcon.HTTPBadRequest):
        lenient.choose({"OpenStack-API-Version": f"placement {'9' * 9000}.1"}.get)
    with pytest.raises(falcon.HTTPBadRequest):
        COMPUTE.choose({"OpenStack-API-Version": "compute 2.07"}.get)
