"""Numbers as Prometheus reads them, of one process; several are for the integration tests."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nova_lite.web import metrics
from nova_lite.web.metrics import DIRECTORY_VARIABLE, Metrics
from nova_lite.web.monitoring import RequestMeter


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share nothing, whatever the environment says."""
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)


def shown(metrics: Metrics) -> dict[str, float]:
    """Return "name{labels}" → value of every number."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        f"{each.name}{{{','.join(f'{name}={value}' for name, value in sorted(each.labels.items()))}}}": each.value
        for each in samples
    }


def test_two_services_of_one_process_keep_apart() -> None:
    one, two = Metrics("one"), Metrics("two")
    one.counter("things", "Things.").inc(3)
    two.counter("things", "Things.").inc(4)
    assert shown(one)["nova_lite_things_total{}"] == 3
    assert shown(two)["nova_lite_things_total{}"] == 4
    assert any(name.startswith("nova_lite_build_info{service=one,version=") for name in shown(one))
    assert shown(one)["nova_lite_start_time_seconds{}"] > 1e9


def test_requests_are_put_in_classes_of_latency() -> None:
    metrics = Metrics("things")
    meter = RequestMeter(metrics, "things")
    for seconds in (0.0005, 0.003, 0.003, 20.0):
        meter.note("GET", "/things/{id}", 200, seconds)
    numbers = shown(metrics)
    counted = {
        bound: numbers[
            f"nova_lite_http_request_seconds_bucket{{le={bound},method=GET,route=/things/{{id}},service=things}}"
        ]
        for bound in ("0.001", "0.0025", "0.005", "10.0", "+Inf")
    }
    assert counted == {"0.001": 1, "0.0025": 1, "0.005": 3, "10.0": 3, "+Inf": 4}


def test_methods_that_clients_invent_are_one_series() -> None:
    metrics = Metrics("things")
    meter = RequestMeter(metrics, "things")
    for number in range(50):
        meter.note(f"FOO{number}", None, 400, 0.001)
    label = "method=other,route=none,service=things,status=400"
    assert shown(metrics)[f"nova_lite_http_requests_total{{{label}}}"] == 50


def test_a_worker_that_begins_to_share_its_numbers_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is empty at first."""
    begun, looks = tmp_path / "counter_1.db", []
    begun.touch()

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        begun.unlink()

    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    monkeypatch.setattr(metrics, "time", SimpleNamespace(sleep=sleep, time=time.time))
    assert Metrics("test").render() == b""
    assert len(looks) == 1
