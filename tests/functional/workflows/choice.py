"""Which places of a workflow are worth a story.

All workflows run on one engine. Those of ``WHOLE`` have all it knows, steps and records, undoing, a detour, a point of
no return, and are tried at every place there is. Of each other workflow come the places that tell something new of its
own steps, one story for each state that its databases and its host can be left in:

- After a step's record the databases are as they are before the next step. So a story ``before`` a step tells nothing
  that the one ``after`` its forerunner does not.
- A conductor that dies in the ``middle`` of a step has the next conductor run that step again, from what was kept: so
  that what was recorded is enough to go on, and that the step may run twice, is seen there.
- What is undone is the same whichever later step failed: each undo is tried after its own step has failed, when least
  was done, and after the last that may fail, when most was.
"""

from tests.functional.workflows.sabotage import WORKFLOWS, Place, Role, may_fail_at, places, road, undo_places

#: Workflows that are tried at every place; ``schedule`` is, with several servers, in ``test_many``.
WHOLE: frozenset[tuple[Role, str]] = frozenset({("cell", "create")})


def deaths() -> list[Place]:
    """Return where a conductor is to die."""
    return [place for place in places("before", "middle", "after") if _is_whole(place) or place.moment == "middle"]


def passing_errors() -> list[Place]:
    """Return where an error is to pass; that of a record takes all back that the record did."""
    outside = places("middle", records=False)
    return [place for place in places("middle") if _is_whole(place) or place in outside]


def final_errors() -> list[Place]:
    """Return where an error is to be final; where there is no way back one only means another try."""
    return [place for place in places("middle") if _is_whole(place) or may_fail_at(place)]


def bugs() -> list[Place]:
    """Return where a step is to break before it has done anything: where there is an undo, and where it is latest."""
    return [
        place
        for place in places("before")
        if _is_whole(place) or place.step == _last_failing(place) or _has_undo(place)
    ]


def undo_deaths() -> list[tuple[Place, Place]]:
    """Return final errors, each with a place of what follows where a conductor is to die."""
    return [
        (error, death)
        for error, death in undo_places()
        if _is_whole(error)
        or (death.moment == "middle" and error.step in (_last_failing(error), death.step.removeprefix("undo ")))
    ]


def repeated_steps() -> list[Place]:
    """Return the steps that are to run twice on end."""
    return [place for place in places("before", records=False) if _is_whole(place)]


def repeated_undos() -> list[tuple[Place, Place]]:
    """Return final errors, each with an undo of what follows that is to run twice on end."""
    return [
        (error, undo)
        for error, undo in undo_places()
        if _is_whole(error) and undo.moment == "before" and undo.step != "failed"
    ]


def deletions() -> list[Place]:
    """Return where a user is to delete the server; after the last step it would be one at rest."""
    return [
        place
        for place in places("before", "middle", "after", records=False)
        if _is_whole(place) or place.moment == "middle" or (place.moment == "after" and place.step != _names(place)[-1])
    ]


def _is_whole(place: Place) -> bool:
    return (place.role, place.kind) in WHOLE


def _names(place: Place) -> list[str]:
    return [step.name for step in road(WORKFLOWS[place.role][place.kind])]


def _has_undo(place: Place) -> bool:
    return any(step.undo for step in road(WORKFLOWS[place.role][place.kind]) if step.name == place.step)


def _last_failing(place: Place) -> str:
    """Return the last step whose final error ends the workflow; the first step of one that is never given up."""
    names = _names(place)
    failing = [name for name in names if may_fail_at(Place(place.role, place.kind, name, "middle"))]
    return (failing or names)[-1 if failing else 0]
