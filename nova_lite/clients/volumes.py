"""The block storage service over HTTP: so far only which versions it speaks."""

from keystoneauth1 import exceptions as ks_errors
from keystoneauth1 import loading as ks_loading
from keystoneauth1.adapter import Adapter
from oslo_config import cfg

from nova_lite import errors

#: Seconds one answer may take, where the configuration says nothing.
_TIMEOUT_S = 15.0


def is_configured(conf: cfg.ConfigOpts) -> bool:
    """Return whether ``[cinder]`` says how to reach one."""
    return bool(conf.cinder.auth_type or conf.cinder.auth_section)


def newest_version(conf: cfg.ConfigOpts) -> tuple[int, int]:
    """Return the newest microversion it speaks.

    Raises Unavailable when it does not answer, Misconfigured when its credentials cannot be used.
    """
    try:
        auth = ks_loading.load_auth_from_conf_options(conf, "cinder")
        session = ks_loading.load_session_from_conf_options(
            conf, "cinder", auth=auth, timeout=conf.cinder.timeout or _TIMEOUT_S
        )
    except ks_errors.ClientException as exc:
        raise errors.Misconfigured(f"The credentials in [cinder] cannot be used: {exc}") from exc
    adapter = Adapter(
        session,
        service_type=conf.cinder.service_type or "block-storage",
        interface=conf.cinder.valid_interfaces,
        region_name=conf.cinder.region_name,
        endpoint_override=conf.cinder.endpoint_override,
    )
    try:
        found = adapter.get_endpoint_data()
    except ks_errors.ClientException as exc:
        raise errors.Unavailable("The block storage service does not answer.", cause=str(exc)) from exc
    if found is None or found.max_microversion is None:
        raise errors.Unavailable("The block storage service does not say which versions it speaks.")
    major, minor = found.max_microversion
    return int(major), int(minor)
