"""How the block storage service is called: as whom, at which microversion, how often, and what its errors are here.

What is asked of it: ``volumes.py``.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from keystoneauth1 import exceptions as ks_errors
from keystoneauth1 import loading as ks_loading
from keystoneauth1 import service_token, token_endpoint
from keystoneauth1.adapter import Adapter
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.sessions import LeanSession

LOG = logging.getLogger(__name__)

#: Seconds one answer may take, where the configuration says nothing.
_TIMEOUT_S = 30.0
#: Seconds between two tries of a call.
_PAUSE_S = 0.2
#: The microversions that brought something we use, newest first; calls are made at the newest both sides know.
VERSIONS = ((3, 71), (3, 68), (3, 48), (3, 44), (3, 27))
_GAINS = {
    (3, 44): "complete attachments",
    (3, 48): "shared targets",
    (3, 68): "reimage",
    (3, 71): "completion of extensions",
}
_DOWN = "The block storage service does not answer."

_T = TypeVar("_T")
Version = tuple[int, int]


def is_configured(conf: cfg.ConfigOpts) -> bool:
    """Return whether ``[cinder]`` says how to reach one."""
    return bool(conf.cinder.auth_type or conf.cinder.auth_section)


def chosen_of(newest: Version) -> Version:
    """Return the microversion to ask a service at that speaks ``newest`` at most; raises Unsupported."""
    chosen = next((version for version in VERSIONS if version <= newest), None)
    if chosen is None:
        raise errors.Unsupported(
            f"The block storage service speaks {text_of(newest)} at most; {text_of(VERSIONS[-1])} is needed."
        )
    return chosen


def lacks(chosen: Version) -> str:
    """Return what a microversion does not have of what we use, as the end of a sentence."""
    lacking = [gain for version, gain in _GAINS.items() if version > chosen]
    return f", without: {', '.join(lacking)}" if lacking else ""


def text_of(version: Version) -> str:
    """Return a microversion as people write it."""
    return f"{version[0]}.{version[1]}"


class VolumeService:
    """One block storage service: where it is, what it speaks, and who we are there. Thread-safe, connects when used."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._lock = threading.Lock()
        self._version: Version | None = None
        self._endpoint = ""
        self._http = LeanSession()
        self._credentials: tuple[BaseAuthPlugin, BaseAuthPlugin] | None = None

    def newest_version(self) -> Version:
        """Return the newest microversion it speaks; raises Unavailable, Misconfigured."""
        session = self._session(self._who_we_are()[0])
        adapter = Adapter(session, **self._whereabouts())
        try:
            found = adapter.get_endpoint_data()
        except ks_errors.ClientException as exc:
            raise errors.Unavailable(_DOWN, cause=str(exc)) from exc
        if found is None or found.max_microversion is None:
            raise errors.Unavailable("The block storage service does not say which versions it speaks.")
        self._endpoint = str(found.url)
        major, minor = found.max_microversion
        return int(major), int(minor)

    def version(self) -> Version:
        """Return the microversion calls are made at; asked once, said once in the log.

        Raises Unsupported for a service older than attachments, Unavailable, Misconfigured.
        """
        if self._version is None:
            newest = self.newest_version()
            chosen = chosen_of(newest)
            with self._lock:
                if self._version is None:
                    self._version = chosen
                    LOG.info(
                        "Block storage is asked at %s (it speaks up to %s)%s",
                        text_of(chosen),
                        text_of(newest),
                        lacks(chosen),
                    )
        return self._version

    def calls(self, token: str | None = None) -> "Calls":
        """Return how to call it as the owner of ``token``, or, without one, as the service of ``[cinder]``.

        Either way a service token goes along, which says that compute itself is asking.
        """
        version = self.version()
        ours, vouching = self._who_we_are()
        who = ours if token is None else token_endpoint.Token(self._endpoint, token)
        auth = service_token.ServiceTokenAuthWrapper(user_auth=who, service_auth=vouching)
        return Calls(self._client(auth, version), int(self._conf.cinder.http_retries))

    def _client(self, auth: BaseAuthPlugin, version: Version) -> Any:
        # Imported on first use: a process may never need a volume.
        from cinderclient.api_versions import APIVersion  # noqa: PLC0415
        from cinderclient.v3 import client  # noqa: PLC0415

        return client.Client(
            session=self._session(auth),
            api_version=APIVersion(text_of(version)),
            endpoint_override=self._endpoint,
            connect_retries=0,
            status_code_retries=0,
        )

    def _session(self, auth: BaseAuthPlugin | None) -> Session:
        timeout = self._conf.cinder.timeout or _TIMEOUT_S
        session: Session = ks_loading.load_session_from_conf_options(
            self._conf, "cinder", auth=auth, session=self._http, timeout=timeout
        )
        return session

    def _whereabouts(self) -> dict[str, Any]:
        mine = self._conf.cinder
        return {
            "service_type": mine.service_type or "block-storage",
            "service_name": mine.service_name,
            "interface": mine.valid_interfaces,
            "region_name": mine.region_name,
            "endpoint_override": mine.endpoint_override,
        }

    def _who_we_are(self) -> tuple[BaseAuthPlugin, BaseAuthPlugin]:
        """Return as whom the service acts, and who vouches for it: ``[service_user]``, where there is one."""
        with self._lock:
            if self._credentials is None:
                ours, service = self._plugin("cinder"), self._conf.service_user
                has_service_user = bool(service.auth_type or service.auth_section)
                self._credentials = (ours, self._plugin("service_user") if has_service_user else ours)
            return self._credentials

    def _plugin(self, group: str) -> BaseAuthPlugin:
        try:
            auth = ks_loading.load_auth_from_conf_options(self._conf, group)
        except (ks_errors.ClientException, cfg.Error) as exc:
            raise errors.Misconfigured(f"The credentials in [{group}] cannot be used: {exc}") from exc
        if auth is None:
            raise errors.Misconfigured(f"[{group}] has no credentials: set auth_type and what it needs")
        return auth


class Calls:
    """The calls of one caller. ``api`` is cinderclient's, for the functions given to ``ask`` and ``tell``."""

    def __init__(self, api: Any, retries: int) -> None:
        self._api = api
        self._retries = retries

    def ask(self, what: str, call: Callable[[Any], _T]) -> _T:
        """Return what ``call`` does, tried again when it got no answer: it may arrive twice without harm.

        ``what`` names the thing in messages. Raises NotFound, Invalid, Conflict, OverQuota, Forbidden, Unavailable,
        Timeout, Unsupported.
        """
        for _ in range(self._retries):
            try:
                return self.tell(what, call)
            except errors.Timeout:
                raise
            except errors.Unavailable as exc:
                LOG.info("Asking again about %s: %s", what, exc.facts.get("cause", exc.message))
                time.sleep(_PAUSE_S)
        return self.tell(what, call)

    def tell(self, what: str, call: Callable[[Any], _T]) -> _T:
        """Return what ``call`` does, sent once: were it to arrive twice, it would be done twice. Raises as ``ask``."""
        from cinderclient import exceptions  # noqa: PLC0415

        try:
            return call(self._api)
        except exceptions.ClientException as exc:
            raise _of_answer(what, exc) from exc
        except exceptions.VersionNotFoundForAPIMethod as exc:
            raise errors.Unsupported(f"The block storage service is too old for this with {what}.") from exc
        except (ks_errors.ConnectTimeout, exceptions.TimeoutException) as exc:
            raise errors.Timeout(
                f"The block storage service did not answer in time about {what}.", cause=str(exc)
            ) from exc
        except (ks_errors.ClientException, exceptions.ConnectionError, exceptions.EndpointNotFound) as exc:
            raise errors.Unavailable(_DOWN, about=what, cause=str(exc)) from exc
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise errors.Unavailable(
                "The block storage service answers nonsense.", about=what, cause=repr(exc)
            ) from exc


def _of_answer(what: str, exc: Any) -> errors.NovaLiteError:
    """Return the kind of error that an answer of the service stands for, with its own words."""
    status = int(exc.code)
    said = str(exc.message or "").strip()
    facts = {"status": status, "request_id": exc.request_id}
    if status == 404:
        return errors.NotFound(f"{_upper(what)} could not be found.", said=said, **facts)
    if status >= 500 or status in (408, 429):
        return errors.Unavailable(_DOWN, about=what, cause=said, **facts)
    # What follows is for whoever asked to mend, and the service's words say how.
    kind = {
        400: errors.Invalid,
        409: errors.Conflict,
        413: errors.OverQuota,
        401: errors.Forbidden,
        403: errors.Forbidden,
    }
    return kind.get(status, errors.Invalid)(f"{_upper(what)}: {said}", **facts)


def _upper(what: str) -> str:
    return what[:1].upper() + what[1:]
