"""``/os-console-auth-tokens/{token}``"""

import falcon

from nova_lite import errors
from nova_lite.api.policies import console_auth_tokens as policies
from nova_lite.api.schemas.console_auth_tokens import SHOW_QUERY
from nova_lite.api.services.console_auth_tokens import ConsoleAuthTokenService
from nova_lite.api.views import console_auth_tokens as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.versions import Version

#: Before, it told of consoles only that nobody has any more.
_TELLS = Version(2, 31)


class ConsoleAuthToken:
    """``/os-console-auth-tokens/{token}``"""

    def __init__(self, tokens: ConsoleAuthTokenService) -> None:
        self._tokens = tokens

    @endpoint(policy=policies.SHOW, query=SHOW_QUERY, enforce=True)
    def on_get(self, req: falcon.Request, resp: falcon.Response, token: str) -> None:
        if req.context.version < _TELLS:
            raise errors.Invalid("Before 2.31 there is nothing to be told of a token.")
        send_json(resp, views.one(self._tokens.show(token), req.context.version))
