"""What schemathesis makes of the API's own description, good requests and bad ones: answered, never with a 500.

Its examples are the same in every run.
"""

import itertools
import json
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core import NOT_SET
from schemathesis.core.result import Ok

from tests.functional.compute_api.cloud import Cloud
from tests.functional.compute_api.machines import add_machines
from tests.functional.compute_api.test_fuzz import PLACES, assert_useful, stocked

#: Operations whose good request asks a host while the client waits; there is none.
ASK_A_HOST = {
    ("/servers/{server_id}/action", "changePassword"),
    ("/servers/{server_id}/action", "os-getConsoleOutput"),
    ("/servers/{server_id}/remote-consoles", "remote_console"),
}
#: How many requests of each operation.
EXAMPLES = {GenerationMode.POSITIVE: 4, GenerationMode.NEGATIVE: 2}
#: Classes of characters that Python's expressions do not know, and what they know of them.
_CLASSES = (re.compile(r"(\\\\p\{\w+\})+"), r"\\\\x00-\\\\x1f\\\\x7f-\\\\x9f")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("openapi-fuzz"))
    add_machines(cloud)
    for resource in ("instances", "cores", "ram", "key_pairs"):
        cloud.conf.set_override(resource, -1, group="quota")
    yield cloud
    cloud.close()


@pytest.mark.parametrize("version", ["2.1", "2.104"])
def test_what_is_made_of_the_description_is_answered(shared: Cloud, version: str) -> None:
    written = shared.client(root="").get(f"/openapi.json?microversion={version}").text
    api = schemathesis.openapi.from_dict(json.loads(_CLASSES[0].sub(_CLASSES[1], written)))
    statuses: set[int] = set()
    operations = [found.ok() for found in api.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == written.count('"operationId"')
    for operation in operations:
        # Servers under their former name are served by the same code.
        if "os-volumes_boot" in operation.path:
            continue
        for mode, examples in EXAMPLES.items():
            stories = settings(
                max_examples=examples,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            stories(given(operation.as_strategy(mode))(_asking(shared, version, statuses)))()
    assert {200, 202, 204, 400, 404} <= statuses


def _asking(cloud: Cloud, version: str, statuses: set[int]) -> Any:
    """Return what sends a generated request, every other one with parts in its path that are there."""
    turns, dice = itertools.cycle([True, False]), random.Random(version)
    client = cloud.client("admin:demo", version)

    def ask(case: Case[Any]) -> None:
        path = case.path.format(**stocked(cloud, *dice.choice(PLACES))) if next(turns) else case.formatted_path
        sent: dict[str, Any] = {"query_string": urlencode(case.query or {}, doseq=True)}
        if case.body is not NOT_SET:
            # Bad requests may be no JSON at all.
            body = case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=str).encode()
            sent |= {"body": body, "headers": {"Content-Type": "application/json"}}
        answer = client.request(case.method, path, **sent)
        story = f"{case.method} {path[:300]} {str(sent)[:600]} → {answer.status_code} {answer.text[:300]}"
        statuses.add(answer.status_code)
        action = next(iter(case.body), None) if isinstance(case.body, dict) else None
        if answer.status_code == 503 and (case.path, action) in ASK_A_HOST:
            return
        assert answer.status_code < 500 or answer.status_code == 501, story
        if answer.status_code >= 400:
            assert_useful(answer, case.method, story)

    return ask
