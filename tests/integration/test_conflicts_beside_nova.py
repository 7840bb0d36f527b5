"""What cannot be done to a server as it is now is refused as by the real Nova: by the same status, for the same reason.

Both clouds hold the same servers, brought into states by changes of their rows; both are asked in their own process,
without agents, conductors, a bus or volumes (``conflicts/``). Everything is asked by ``NOVA_LITE_ANSWERS=all``: ten
times as much. What is meant to differ is in ``conflicts/deliberate.py``.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.conflicts import asked
from tests.integration.conflicts.asked import Asked
from tests.integration.conflicts.deliberate import DELIBERATE, Deliberate
from tests.integration.conflicts.ours import Asking
from tests.integration.conftest import started
from tests.integration.stack.real_nova import nova_venv, told_by

_HOW = [each for each in [os.environ.get("NOVA_LITE_ANSWERS", "")] if each]
#: What a message says of a state, an attribute of the server and its value, or of its lock.
_STATE = re.compile(r"(vm_state|task_state) ([\w-]+)|(is locked)")


@dataclass(frozen=True)
class Compared:
    """A request with both answers: status, and what an error says."""

    asked: Asked
    theirs: tuple[int, str]
    ours: tuple[int, str]

    def __str__(self) -> str:
        return f"{asked.key(self.asked)}: {self.theirs} {self.ours}"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Compared]]:
    folder = tmp_path_factory.mktemp("conflicts")
    started(nova_venv)
    theirs = told_by("tests.integration.conflicts.theirs", folder, *_HOW)
    ours = Asking(folder)
    try:
        yield [
            Compared(each, tuple(theirs[asked.key(each)]), ours.answer(each))
            for each in asked.everything(is_all=_HOW == ["all"])
        ]
    finally:
        ours.close()


def test_statuses_differ_only_where_they_are_meant_to(compared: list[Compared]) -> None:
    strange = [each for each in compared if each.theirs[0] != each.ours[0] and not any(_covering(each))]
    assert not strange, "\n".join(map(str, strange[:100]))


def test_what_is_meant_to_differ_does(compared: list[Compared]) -> None:
    differing = [each for each in compared if each.theirs[0] != each.ours[0]]
    covering = {known.reason for each in differing for known in _covering(each)}
    assert [known.reason for known in DELIBERATE if known.reason not in covering] == []


def test_a_refusal_names_the_same_state(compared: list[Compared]) -> None:
    refused = [each for each in compared if each.theirs[0] == each.ours[0] == 409]
    assert len(refused) > 300
    strange = [each for each in refused if _state(each.theirs[1]) and _state(each.theirs[1]) != _state(each.ours[1])]
    assert not strange, "\n".join(map(str, strange[:100]))


def _covering(each: Compared) -> list[Deliberate]:
    return [known for known in DELIBERATE if known.covers(each.asked, each.theirs[0], each.ours[0])]


def _state(message: str) -> str:
    found = _STATE.search(message)
    return "" if found is None else found[0]
