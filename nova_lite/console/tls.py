"""TLS towards browsers: the proxy's certificate, and what it does not speak."""

import ssl

from oslo_config import cfg

from nova_lite import errors

#: What is older is not spoken, whatever OpenSSL would take by itself: Debian's Python leaves that to its configuration.
_OLDEST = ssl.TLSVersion.TLSv1_2
#: What a minimum is called → which it is.
_VERSIONS = {"tlsv1_2": ssl.TLSVersion.TLSv1_2, "tlsv1_3": ssl.TLSVersion.TLSv1_3}


def context(conf: cfg.ConfigOpts) -> ssl.SSLContext | None:
    """Return what connections are taken with; None without TLS. Raises Misconfigured.

    With a certificate nothing but TLS is spoken: a port that takes both lets whoever stands between choose.
    """
    if not conf.cert:
        if conf.ssl_only or conf.key:
            raise errors.Misconfigured("[DEFAULT] cert: missing, though ssl_only or key is set")
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    minimum, ciphers = conf.console.ssl_minimum_version, conf.console.ssl_ciphers
    made.minimum_version = _VERSIONS.get(minimum, max(made.minimum_version, _OLDEST))
    try:
        if ciphers:
            made.set_ciphers(ciphers)
        made.load_cert_chain(conf.cert, conf.key or None, password=_no_password)
    except (OSError, ValueError) as exc:
        raise errors.Misconfigured(f"TLS cannot be spoken with [DEFAULT] cert, key and ssl_ciphers: {exc}") from exc
    return made


def _no_password() -> str:
    raise errors.Misconfigured("[DEFAULT] key: it asks for a password, and nobody is there to give one")
