"""``/servers/{id}/action``: a table of what can be done, each with its schema and its service method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import falcon

from nova_lite import errors
from nova_lite.api.policies import servers as rules
from nova_lite.api.schemas import server_actions as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY
from nova_lite.api.services.server_actions import ServerActionService
from nova_lite.model.caller import Caller
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.validation import Schemas

#: What an action answers with 200; None is an empty 202.
Answer = dict[str, object] | None
#: Told who asks, which server, and what stands under the action's name.
Do = Callable[[ServerActionService, Caller, str, Any], Answer]


@dataclass(frozen=True)
class Action:
    """One action: the rule it needs, the body it takes, what it does."""

    policy: str
    schema: Schemas
    do: Do


def _operation(policy: str, schema: Schemas, name: str) -> Action:
    """Return an action that takes nothing and begins the operation ``name`` of the table of states."""

    def do(service: ServerActionService, caller: Caller, server_id: str, body: object) -> Answer:
        service.begin(caller, server_id, policy, name)
        return None

    return Action(policy, schema, do)


def _reboot(service: ServerActionService, caller: Caller, server_id: str, body: Mapping[str, str]) -> Answer:
    is_hard = body["type"].upper() == "HARD"
    service.begin(caller, server_id, rules.REBOOT, "reboot-hard" if is_hard else "reboot")
    return None


def _console_output(service: ServerActionService, caller: Caller, server_id: str, body: Mapping[str, Any]) -> Answer:
    length = body.get("length")
    lines = None if length is None or int(length) < 0 else int(length)
    return {"output": service.console_output(caller, server_id, lines)}


ACTIONS: Mapping[str, Action] = {
    "os-start": _operation(rules.START, schemas.START, "start"),
    "os-stop": _operation(rules.STOP, schemas.STOP, "stop"),
    "reboot": Action(rules.REBOOT, schemas.REBOOT, _reboot),
    "pause": _operation(rules.PAUSE, schemas.PAUSE, "pause"),
    "unpause": _operation(rules.UNPAUSE, schemas.UNPAUSE, "unpause"),
    "suspend": _operation(rules.SUSPEND, schemas.SUSPEND, "suspend"),
    "resume": _operation(rules.RESUME, schemas.RESUME, "resume"),
    "os-getConsoleOutput": Action(rules.CONSOLE_OUTPUT, schemas.CONSOLE_OUTPUT, _console_output),
}


class ServerAction:
    """``/servers/{id}/action``"""

    def __init__(self, service: ServerActionService) -> None:
        self._service = service

    @endpoint(policy=tuple(action.policy for action in ACTIONS.values()), query=LENIENT_QUERY, body=schemas.ANY)
    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        body: Mapping[str, Any] = req.context.body
        name = next(iter(body))
        action = ACTIONS.get(name)
        if action is None:
            raise errors.Invalid(f"There is no such action: {name[:64]}")
        action.schema.check(body, req.context.version)
        answer = action.do(self._service, req.context.caller, server_id, body[name])
        if answer is None:
            resp.status = falcon.HTTP_202
        else:
            send_json(resp, answer)
