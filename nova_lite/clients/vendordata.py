"""What operators tell guests: a file (``StaticJSON``), and what services of theirs answer (``DynamicJSON``).

Only the URLs that the configuration names are asked, no other that they lead to, for a bounded time and answer.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import requests
from keystoneauth1 import exceptions as ks_errors
from keystoneauth1 import loading as ks_loading
from keystoneauth1.session import Session
from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.sessions import LeanSession
from nova_lite.config import VENDORS
from nova_lite.model.guest_documents import Told, Vendordata
from nova_lite.model.instance import Instance

LOG = logging.getLogger(__name__)

_STATIC = "StaticJSON"
#: Bytes of one service's answer, at most.
_MAX_ANSWER = 1 << 20
_SEED_BYTES = 512


class Teller:
    """Knows what guests are told, beside what their servers are. Thread-safe; asks nobody before it must."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._services = _Services(conf)

    def told(self, instance: Instance, *, address: str = "", password: str | None = None) -> Told:
        """Return what a guest is told that asks from ``address``; its vendordata raise as ``static``, ``dynamic``."""
        providers = self._conf.api.vendordata_providers
        return Told(
            instance,
            Vendordata(self.static if _STATIC in providers else None, lambda: self._named(instance)),
            os.urandom(_SEED_BYTES),
            domain=self._conf.api.dhcp_domain,
            address=address,
            password=password,
        )

    @property
    def skipped_versions(self) -> list[str]:
        """Return the versions of EC2's layout that config drives are without."""
        return str(self._conf.api.config_drive_skip_versions).split()

    def static(self) -> object:
        """Return what the file says, nothing where none is named; raises Misconfigured."""
        path = self._conf.api.vendordata_jsonfile_path
        if not path:
            return {}
        try:
            return orjson.loads(Path(path).read_bytes())
        except (OSError, ValueError) as exc:
            raise errors.Misconfigured(f"[api] vendordata_jsonfile_path cannot be read as JSON: {exc}") from exc

    def dynamic(self, instance: Instance) -> dict[str, object]:
        """Return what each service says of a server, by its name.

        One that fails says nothing, or raises Unavailable with ``[api] vendordata_dynamic_failure_fatal``.
        """
        found: dict[str, object] = {}
        for target in self._conf.api.vendordata_dynamic_targets:
            name, at, url = target.partition("@")
            if not at or not url.startswith(("http://", "https://")) or name in found:
                LOG.warning("[api] vendordata_dynamic_targets: %r is not name@url, or its name is taken", target)
                continue
            found[name] = self._services.ask(name, url, instance)
        return found

    def _named(self, instance: Instance) -> Mapping[str, object]:
        found: dict[str, object] = {}
        for provider in self._conf.api.vendordata_providers:
            said = {"static": self.static()} if provider == _STATIC else self.dynamic(instance)
            found |= {name: value for name, value in said.items() if name not in found}
        return found


class _Services:
    """Asks vendors' services, with a token where ``[vendordata_dynamic_auth]`` says whose."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._lock = threading.Lock()
        self._session: Session | None = None

    def ask(self, name: str, url: str, instance: Instance) -> object:
        try:
            return self._answer(url, instance)
        except (ks_errors.ClientException, requests.RequestException, ValueError) as exc:
            LOG.warning("The vendordata service %s at %s failed: %s", name, url, exc)
            if self._conf.api.vendordata_dynamic_failure_fatal:
                raise errors.Unavailable(f"The vendordata service {name} does not answer.", cause=str(exc)) from exc
            return {}

    def _answer(self, url: str, instance: Instance) -> object:
        api = self._conf.api
        session = self._opened()
        question = {
            "project-id": instance.project_id,
            "instance-id": instance.uuid,
            "image-id": instance.image_id,
            "user-data": instance.user_data,
            "hostname": instance.hostname,
            "metadata": instance.metadata,
            "boot-roles": instance.boot_roles or "",
        }
        ends_at = time.monotonic() + api.vendordata_dynamic_connect_timeout + api.vendordata_dynamic_read_timeout
        with session.request(
            url,
            "POST",
            data=orjson.dumps(question),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            user_agent="openstack-nova-vendordata",
            timeout=(api.vendordata_dynamic_connect_timeout, api.vendordata_dynamic_read_timeout),
            verify=(api.vendordata_dynamic_ssl_certfile or True) if url.startswith("https://") else False,
            authenticated=session.auth is not None,
            redirect=False,
            stream=True,
            log=False,
        ) as answer:
            if answer.status_code >= 300:
                raise ValueError(f"it answered {answer.status_code}")
            body = _read(answer, ends_at)
        return orjson.loads(body) if body else {}

    def _opened(self) -> Session:
        with self._lock:
            if self._session is None:
                auth: Any = ks_loading.load_auth_from_conf_options(self._conf, VENDORS)
                if auth is None:
                    LOG.warning("Vendordata services are asked without a token: [%s] has no auth_type", VENDORS)
                self._session = ks_loading.load_session_from_conf_options(
                    self._conf, VENDORS, auth=auth, session=LeanSession()
                )
            return self._session


def _read(answer: requests.Response, ends_at: float) -> bytes:
    """Return an answer's body; raises ValueError when it is too long, or comes too slowly."""
    body = b""
    for chunk in answer.iter_content(1 << 14):
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise ValueError(f"its answer has more than {_MAX_ANSWER} bytes")
        if time.monotonic() > ends_at:
            raise ValueError("its answer did not come in time")
    return body
