"""Every option of servers' consoles; ``config.py`` has the others, and registers these with them."""

from oslo_config import cfg

#: Of the group that has no name.
WEB_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "web",
        default="/usr/share/novnc",
        help="Directory of what the console proxy gives to browsers, noVNC for one; without it there is nothing.",
    ),
    cfg.StrOpt(
        "cert",
        help="Path of the certificate, with those up to its CA's, that the console proxy shows to browsers. With it "
        "nothing but TLS is spoken.",
    ),
    cfg.StrOpt("key", help="Path of the key of that certificate; by default it stands in the same file."),
    cfg.BoolOpt("ssl_only", default=False, help="Whether the console proxy refuses to start without a certificate."),
]

VNC_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt("enabled", default=True, help="Whether new guests of this host have a screen that VNC shows."),
    cfg.StrOpt(
        "novncproxy_base_url",
        default="http://127.0.0.1:6080/vnc_auto.html",
        help="URL at which users find the console proxy and, behind it, noVNC. Read by hosts.",
    ),
    cfg.HostAddressOpt("novncproxy_host", default="0.0.0.0", help="Address at which the console proxy serves VNC."),  # noqa: S104 - as operators know it
    cfg.PortOpt("novncproxy_port", default=6080, help="Port at which the console proxy serves VNC."),
    cfg.HostAddressOpt("server_listen", default="127.0.0.1", help="Address at which guests of this host serve VNC."),
    cfg.HostAddressOpt(
        "server_proxyclient_address",
        default="127.0.0.1",
        help="Address at which the console proxy reaches the VNC of this host's guests.",
    ),
]

SPICE_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt("enabled", default=False, help="Whether new guests of this host have a screen that SPICE shows."),
    cfg.StrOpt(
        "html5proxy_base_url",
        default="http://127.0.0.1:6082/spice_auto.html",
        help="URL at which users find the console proxy and, behind it, a client of SPICE. Read by hosts.",
    ),
    cfg.StrOpt(
        "spice_direct_proxy_base_url",
        default="http://127.0.0.1:13002/nova",
        help="URL at which users find a proxy that native clients of SPICE go through. Read by hosts.",
    ),
    cfg.HostAddressOpt("html5proxy_host", default="0.0.0.0", help="Address at which the console proxy serves SPICE."),  # noqa: S104 - as operators know it
    cfg.PortOpt("html5proxy_port", default=6082, help="Port at which the console proxy serves SPICE."),
    cfg.HostAddressOpt("server_listen", default="127.0.0.1", help="Address at which guests of this host serve SPICE."),
    cfg.HostAddressOpt(
        "server_proxyclient_address",
        default="127.0.0.1",
        help="Address at which proxies reach the SPICE of this host's guests.",
    ),
]

SERIAL_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt("enabled", default=False, help="Whether users reach the serial consoles of this host's new guests."),
    cfg.StrOpt(
        "base_url",
        default="ws://127.0.0.1:6083/",
        help="URL at which users find the console proxy for serial consoles. Read by hosts.",
    ),
    cfg.HostAddressOpt(
        "serialproxy_host",
        default="0.0.0.0",  # noqa: S104 - as operators know it
        help="Address at which the console proxy serves serial consoles.",
    ),
    cfg.PortOpt("serialproxy_port", default=6083, help="Port at which the console proxy serves serial consoles."),
    cfg.StrOpt(
        "port_range",
        default="10000:20000",
        regex=r"^[0-9]{1,5}:[0-9]{1,5}$",
        help="Ports, the first and the last, at which serial consoles of this host's guests listen, each at its own.",
    ),
    cfg.HostAddressOpt(
        "proxyclient_address",
        default="127.0.0.1",
        help="Address at which serial consoles of this host's guests listen, and the console proxy reaches them.",
    ),
]

CONSOLE_OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "check_interval",
        default=5.0,
        min=0.1,
        help="Seconds after which the console proxy asks again whether an open console may still be open.",
    ),
    cfg.ListOpt(
        "allowed_origins",
        default=[],
        help="Names of machines whose web pages may open consoles, beside the one that the console proxy is called by.",
    ),
    cfg.IntOpt("max_sessions", default=1000, min=1, help="Consoles one console proxy has open at most."),
    cfg.IntOpt(
        "idle_timeout",
        default=3600,
        min=0,
        help="Seconds after which a console over which nothing is said is closed; 0 is never.",
    ),
    cfg.StrOpt(
        "ssl_minimum_version",
        default="default",
        choices=["default", "tlsv1_2", "tlsv1_3"],
        help="The oldest TLS the console proxy speaks; by default what its OpenSSL says, which is 1.2 at least.",
    ),
    cfg.StrOpt("ssl_ciphers", help="Ciphers the console proxy takes for TLS 1.2, as OpenSSL writes them."),
]

CONSOLEAUTH_OPTS: list[cfg.Opt] = [
    cfg.IntOpt("token_ttl", default=600, min=0, help="Seconds for which a console can be opened with its token."),
    cfg.BoolOpt(
        "enforce_session_timeout", default=False, help="Whether an open console is closed when its token has expired."
    ),
]
