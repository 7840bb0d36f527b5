"""The table of notifications is whole: all that is in it is told somewhere, and all of it is in the documentation."""

import re
from pathlib import Path

import nova_lite
from docs._ext import notifications as page
from nova_lite.api.services.live_migrations import _WISHES
from nova_lite.conductor.notices import _ROLLBACKS, SPANS
from nova_lite.conductor.spanning.notices import TASKS
from nova_lite.model.notifications import EVENTS, event_type

_SOURCE = Path(nova_lite.__file__).parent
_TELLING = re.compile(r"_notices\.(\w+)\(\s*caller, ([^\n]*)")
_LITERAL = re.compile(r'"([a-z_]+)"')


def _told() -> set[str]:
    """Return what is told: of work, by name, and by the API's services, which name the noun and the action."""
    actions = {span.action for spans in SPANS.values() for span in spans}
    actions |= {action for rollback in _ROLLBACKS.values() for action in rollback}
    actions |= {f"live_migration_{wish}" for wish in _WISHES.values()}
    told = {f"instance.{action}" for action in actions} | {f"compute_task.{task}" for task in TASKS.values()}
    for path in _SOURCE.rglob("*.py"):
        if path.name == "notifications.py" and path.parent.name == "model":
            continue
        text = path.read_text()
        told |= {name for name in EVENTS if f'"{name}"' in text}
        for noun, rest in _TELLING.findall(text):
            told |= {f"{noun}.{action}" for action in _LITERAL.findall(rest)}
        if "self._tell(caller, located, " in text:
            told |= {f"instance.{action}" for action in re.findall(r'self\._tell\(caller, located, "(\w+)"', text)}
    return told


def test_all_in_the_table_is_told_somewhere() -> None:
    assert set(EVENTS) - _told() == set()


def test_what_is_told_elsewhere_is_told_here_or_not_for_a_reason() -> None:
    ours = {event_type(event.name, phase) for event in EVENTS.values() for phase in event.phases or (None,)}
    missing = {page.without_phase(name) for name in page.elsewhere() - ours}
    assert missing == page.NOT_TOLD.keys()
    assert not EVENTS.keys() & page.NOT_TOLD.keys()


def test_the_page_has_each_event_with_its_payload_and_when() -> None:
    text = "\n".join(page.lines())
    for event in EVENTS.values():
        phases = f".{{{','.join(event.phases)}}}" if event.phases else ""
        start = text.index(f"``{event.name}{phases}``")
        row = text[start : text.find("   * -", start)]
        assert f"``{event.shape.name} {event.shape.version}``" in row
        assert event.when in row


def test_names_and_versions_stand_once() -> None:
    shapes = {event.shape for event in EVENTS.values()}
    assert len({shape.name for shape in shapes}) == len(shapes)
    assert all(re.fullmatch(r"\d+\.\d+", shape.version) for shape in shapes)
