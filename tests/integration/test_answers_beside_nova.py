"""What clients look at has the same keys, types, dates and links as the real Nova's, in every version, for everybody.

Both clouds hold the same (``answers/cloud.py``); the real one is asked in its own process. A path is asked at the
versions at which the real one says that it takes or answers something else; at all by ``NOVA_LITE_ANSWERS=all``.
What is meant to differ is in ``answers/deliberate.py``.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.answers import cloud
from tests.integration.answers.deliberate import DELIBERATE
from tests.integration.answers.ours import Ours
from tests.integration.answers.shapes import Difference, differences
from tests.integration.conftest import started
from tests.integration.stack.real_nova import nova_venv, told_by

_HOW = [each for each in [os.environ.get("NOVA_LITE_ANSWERS", "")] if each]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Difference]]:
    """Wherein the answers differ."""
    folder = tmp_path_factory.mktemp("answers")
    started(nova_venv)
    theirs = told_by("tests.integration.answers.theirs", folder, *_HOW)
    ours = Ours(folder)
    try:
        yield list(_differences(theirs, ours))
    finally:
        ours.close()


def _differences(theirs: dict[str, dict[str, Any]], ours: Ours) -> Iterator[Difference]:
    for caller, path, version in cloud.requests(theirs["versions"]):
        url = path.format(**ours.names, hypervisor=ours.hypervisor(version) if "{hypervisor}" in path else "")
        status, body = theirs["answers"][cloud.key(caller, path, version)]
        yield from differences(caller, path, version, (status, body), ours.ask(caller, url, version))


def test_answers_differ_only_where_they_are_meant_to(found: list[Difference]) -> None:
    strange = [each for each in found if not any(known.covers(each) for known in DELIBERATE)]
    assert not strange, "\n".join(str(each) for each in strange[:100])


def test_what_is_meant_to_differ_does(found: list[Difference]) -> None:
    stale = [known.reason for known in DELIBERATE if not any(known.covers(each) for each in found)]
    assert not stale, stale
