"""A scheduler for stories that have none: what it is asked over the API's bus is decided by the story."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from nova_lite.model.request_spec import Decision, RequestSpec
from nova_lite.rpc import scheduler
from tests.functional.compute_api.cloud import Cloud


def have_decided(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, question: str, decide: Callable[[RequestSpec, Any], Decision]
) -> None:
    """Have ``decide`` answer ``question`` (``choose``: of a server's UUID, ``rehearse``: of so many servers)."""

    def call(topic: str, method: str, *, long_s: float | None = None, server: str | None = None, **payload: Any) -> Any:
        assert (topic, method) == (scheduler.TOPIC, question)
        spec = msgspec.convert(payload.pop("spec"), RequestSpec)
        (of,) = payload.values()
        return msgspec.to_builtins(decide(spec, of))

    monkeypatch.setattr(cloud.api_bus, "call", call)
