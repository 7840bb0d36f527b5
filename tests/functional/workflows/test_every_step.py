"""Every workflow, at each of its steps: death, error, repetition, deletion. A new one is covered by being in the table.

Which places are tried, and why not all, says ``choice``.

Afterwards the three truths agree: see ``nova_lite/testing/audit.py``.
"""

from collections.abc import Callable, Iterator

import pytest

from nova_lite import errors
from tests.functional.workflows import choice
from tests.functional.workflows.sabotage import WORKFLOWS, Killed, Place, may_fail_at
from tests.functional.workflows.site import Site, opened
from tests.functional.workflows.stories import BORN_BY_IT, STORIES, tell

REASON = "It was made to fail."


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A cloud in which a server that cannot go to one other host has yet another."""
    with opened(tmp_path_factory.mktemp("site"), hosts_per_cell=3) as site:
        yield site


def every(*found: Place) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", found, ids=str)


def planned(site: Site, place: Place, deed: Callable[[], None] | BaseException) -> Callable[[Callable[[], str]], None]:
    return lambda server: site.saboteur.plan(place, deed)


def test_every_workflow_is_told() -> None:
    assert set(STORIES) == {(role, kind) for role, kinds in WORKFLOWS.items() for kind in kinds}


@every(*choice.deaths())
def test_a_conductor_dies(site: Site, place: Place) -> None:
    (server,) = tell(site, place.role, place.kind, planned(site, place, Killed()))
    assert site.saboteur.happened == [place]
    assert site.outcome(server) == STORIES[place.role, place.kind].ends


@every(*choice.passing_errors())
def test_an_error_passes(site: Site, place: Place) -> None:
    (server,) = tell(site, place.role, place.kind, planned(site, place, errors.Unavailable("A moment.")))
    assert site.saboteur.happened == [place]
    assert site.outcome(server) == STORIES[place.role, place.kind].ends


@every(*choice.final_errors())
def test_an_error_is_final(site: Site, place: Place) -> None:
    (server,) = tell(site, place.role, place.kind, planned(site, place, errors.GuestFailed(REASON)))
    assert site.saboteur.happened == [place]
    _ends_badly(site, server, place, REASON)


@every(*choice.bugs())
def test_a_step_has_a_bug(site: Site, place: Place) -> None:
    (server,) = tell(site, place.role, place.kind, planned(site, place, ValueError("secret")))
    assert site.saboteur.happened == [place]
    _ends_badly(site, server, place, "An internal error happened.")


@pytest.mark.parametrize(("error", "death"), choice.undo_deaths(), ids=str)
def test_a_conductor_dies_while_it_undoes(site: Site, error: Place, death: Place) -> None:
    def sabotage(server: Callable[[], str]) -> None:
        site.saboteur.plan(error, errors.GuestFailed(REASON))
        site.saboteur.plan(death, Killed())

    (server,) = tell(site, error.role, error.kind, sabotage)
    assert site.saboteur.happened == [error, death]
    _ends_badly(site, server, error, REASON)


@every(*choice.repeated_steps())
def test_a_step_runs_twice(site: Site, place: Place) -> None:
    (server,) = tell(
        site, place.role, place.kind, lambda server: site.saboteur.twice.add((place.role, place.kind, place.step))
    )
    assert site.saboteur.happened == [place]
    assert site.outcome(server) == STORIES[place.role, place.kind].ends


@pytest.mark.parametrize(("error", "undo"), choice.repeated_undos(), ids=str)
def test_an_undo_runs_twice(site: Site, error: Place, undo: Place) -> None:
    def sabotage(server: Callable[[], str]) -> None:
        site.saboteur.plan(error, errors.GuestFailed(REASON))
        site.saboteur.twice.add((undo.role, undo.kind, undo.step))

    (server,) = tell(site, error.role, error.kind, sabotage)
    assert site.saboteur.happened == [error, undo]
    _ends_badly(site, server, error, REASON)


@every(*choice.deletions())
def test_a_user_deletes_the_server(site: Site, place: Place) -> None:
    answers = []

    def sabotage(server: Callable[[], str]) -> None:
        site.saboteur.plan(place, lambda: answers.append(site.delete(server())))

    (server,) = tell(site, place.role, place.kind, sabotage)
    assert answers in ([204], [404] if place.kind == "delete" else [204])
    assert site.status(server) == "GONE"


def _ends_badly(site: Site, server: str, place: Place, reason: str) -> None:
    """Check that a final error at ``place`` ended as the table says, with its reason; or well, past no return."""
    story = STORIES[place.role, place.kind]
    if not may_fail_at(place):
        assert site.outcome(server) == story.ends
        return
    status = site.outcome(server)
    assert status in story.fails
    if status.startswith("ERROR"):
        assert site.reason(server) == reason
    if place.role == "cell" and status != "GONE" and (place.role, place.kind) not in BORN_BY_IT:
        assert site.last_error(server) == reason
