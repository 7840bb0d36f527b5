"""States set by hand while something is done to a server: that ends first, and leaves nothing in two places."""

import threading
from collections.abc import Callable

import pytest

from nova_lite import errors
from nova_lite.api.services import state_resets
from nova_lite.api.services.state_resets import StateResetService
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.storage import epoch_now
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.sabotage import Place
from tests.functional.workflows.site import Site
from tests.functional.workflows.stories import STORIES, tell


def reset(site: Site, server: str, state: str = "error") -> None:
    site.act(server, "os-resetState", {"state": state})


def is_over(site: Site, server: str, kind: str) -> bool:
    """Return whether the time of all work of this kind above the cells on the server is over."""
    runner = next(each for each in site.saboteur.runners if each.row is ApiWorkflowRow)
    with runner.db.reader() as session:
        known = workflows.about(session, ApiWorkflowRow, server)
    return all(each.deadline < epoch_now() for each in known if each.kind == kind)


def errors_of_resets(site: Site, server: str) -> list[str | None]:
    """Return how each attempt to set the server's state ended; None is well."""
    _, body = site.ask("GET", f"/servers/{server}/os-instance-actions")
    return [done["message"] for done in body["instanceActions"] if done["action"] == "resetState"]


@pytest.mark.parametrize(
    "place",
    [
        Place("cell", "create", "spawn guest", "middle"),
        Place("super", "move", "choose host", "middle"),
        Place("cell", "move", "set guest aside", "middle"),
        Place("cell", "move", "hand over", "after"),
        Place("cell", "move", "start guest", "middle"),
        Place("cell", "revert-resize", "remove guest", "middle"),
        Place("cell", "live-migrate", "prepare destination", "middle"),
        Place("cell", "live-migrate", "send guest", "middle"),
        Place("cell", "live-migrate", "settle", "after"),
        Place("cell", "evacuate", "start guest", "middle"),
        Place("cell", "rebuild", "change server", "after"),
        Place("cell", "rescue", "boot rescue disk", "middle"),
        Place("cell", "snapshot", "take snapshot", "middle"),
        Place("cell", "shelve", "take snapshot", "middle"),
        Place("super", "unshelve", "choose host", "middle"),
        Place("cell", "unshelve", "spawn guest", "middle"),
    ],
    ids=str,
)
def test_what_is_under_way_ends_first(site: Site, place: Place) -> None:
    def sabotage(server: Callable[[], str]) -> None:
        site.saboteur.plan(place, lambda: reset(site, server()))

    (server,) = tell(site, place.role, place.kind, sabotage)
    assert site.saboteur.happened == [place]
    assert site.status(server) == "ERROR"
    assert site.reason(server) == "An administrator set the state of the server."
    assert errors_of_resets(site, server) == [None]


def test_who_sees_a_server_at_rest_sees_its_state_set_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    has_looked = threading.Event()
    look = StateResetService._is_at_work
    seen: list[str] = []

    def noted(service: StateResetService, uuid: str) -> bool:
        is_at_work = look(service, uuid)
        has_looked.set()
        return is_at_work

    def reset_and_look(server: str) -> None:
        reset(site, server)
        seen.append(site.status(server))

    def reset_before_it_ends(server: str) -> None:
        eventually(lambda: site.status(server) == "ACTIVE", "the cell's part of the rebuild is over")
        monkeypatch.setattr(StateResetService, "_is_at_work", noted)
        resetting.append(threading.Thread(target=reset_and_look, args=(server,)))
        resetting[0].start()
        assert has_looked.wait(480)

    def sabotage(server: Callable[[], str]) -> None:
        site.saboteur.plan(Place("super", "rebuild", "note image", "before"), lambda: reset_before_it_ends(server()))

    resetting: list[threading.Thread] = []
    monkeypatch.setattr(state_resets, "_ENDING_S", 480.0)
    (server,) = tell(site, "super", "rebuild", sabotage)
    resetting[0].join(480)
    assert seen == ["ERROR"]
    assert errors_of_resets(site, server) == [None]


def test_a_step_that_fails_again_and_again_is_given_up(site: Site) -> None:
    (server,) = site.boot()
    site.rest()
    script = site.faults()
    script.fail("receive", errors.Unavailable("It hangs."), times=None)
    site.resize(server)
    eventually(lambda: script.calls("receive") > 0, "the guest on its way")
    reset(site, server, "active")
    site.rest()
    assert site.status(server) == "ACTIVE"
    _, body = site.ask("GET", f"/servers/{server}")
    assert body["server"]["flavor"]["vcpus"] == 1


def test_a_move_that_waits_is_confirmed(site: Site) -> None:
    (server,) = site.boot()
    site.rest()
    STORIES["cell", "move"].begin(site, server)
    site.rest()
    assert site.status(server) == "VERIFY_RESIZE"
    reset(site, server, "active")
    site.rest()
    assert site.status(server) == "ACTIVE"
    _, body = site.ask("GET", f"/servers/{server}/os-instance-actions")
    assert [done["action"] for done in body["instanceActions"]][:2] == ["confirmResize", "resetState"]


def test_a_server_that_got_no_host_is_not_made_active(site: Site) -> None:
    place = Place("super", "unshelve", "choose host", "middle")

    def reset_before_it_goes_on(server: str) -> None:
        reset(site, server, "active")
        eventually(lambda: is_over(site, server, "unshelve"), "the time of the unshelving is declared over")

    def sabotage(server: Callable[[], str]) -> None:
        site.saboteur.plan(place, lambda: reset_before_it_goes_on(server()))

    (server,) = tell(site, "super", "unshelve", sabotage)
    assert site.status(server) == "SHELVED_OFFLOADED"
    assert errors_of_resets(site, server) == ["Error"]
    assert site.last_error(server) == f"Instance {server} is on no host and cannot be active."


@pytest.mark.parametrize("step", ["end other work", "set state"])
def test_a_delete_wins(site: Site, step: str) -> None:
    place = Place("super", "reset-state", step, "before")

    def sabotage(server: Callable[[], str]) -> None:
        site.saboteur.plan(place, lambda: answers.append(site.delete(server())))

    answers: list[int] = []
    (server,) = tell(site, "super", "reset-state", sabotage)
    assert answers == [204]
    assert site.status(server) == "GONE"
