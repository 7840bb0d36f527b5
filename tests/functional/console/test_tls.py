"""Stories of a console proxy that speaks TLS, with a certificate made for them."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from nova_lite import errors
from nova_lite.console import tls
from nova_lite.console.service import ConsoleProxy
from tests.functional.compute_api.cloud import CELL1
from tests.functional.console.conftest import PAGE, PATIENCE_S, Site


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1; its key is beside it in ``key.pem``, and with a password in ``locked.pem``."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "consoles")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    for file, locked in (("key.pem", False), ("locked.pem", True)):
        way = serialization.BestAvailableEncryption(b"secret") if locked else serialization.NoEncryption()
        (directory / file).write_bytes(key.private_bytes(form, kind, way))
    path = directory / "cert.pem"
    path.write_bytes(made.public_bytes(form))
    (directory / "both.pem").write_bytes(path.read_bytes() + (directory / "key.pem").read_bytes())
    return path


@pytest.fixture
def options(site: Site) -> Iterator[Any]:
    """Return what sets options for a proxy to come."""
    conf, changed = site.cloud.conf, []

    def change(**values: object) -> None:
        for name, value in values.items():
            group = "console" if name.startswith("ssl_") and name != "ssl_only" else None
            conf.set_override(name, value, group=group)
            changed.append((name, group))

    yield change
    for name, group in changed:
        conf.clear_override(name, group=group)


@pytest.fixture
def secure(site: Site, options: Any, certificate: Path) -> Iterator[Site]:
    """Return the site before a proxy that speaks TLS."""
    options(cert=str(certificate), key=str(certificate.with_name("key.pem")), ssl_only=True)
    options(ssl_minimum_version="tlsv1_3")
    proxy = ConsoleProxy(site.cloud.conf)
    proxy.start()
    yield Site(site.cloud, site.hosts, proxy)
    proxy.stop()


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def test_a_console_and_pages_over_tls(secure: Site, certificate: Path) -> None:
    host, server = secure.hosts[CELL1], secure.boot()
    host.told = replace(host._consoles.find(server.uuid, "novnc"), base_url="https://127.0.0.1/vnc_lite.html")
    port = secure.proxy.ports["vnc"]
    try:
        url = f"wss://127.0.0.1:{port}{secure.path(server)}"
        more: Any = {"proxy": None, "ssl": trusting(certificate), "open_timeout": PATIENCE_S}
        with connect(url, origin=Origin("https://127.0.0.1"), **more) as browser:
            assert browser.recv(PATIENCE_S) == b"RFB 003.008\n"
        with pytest.raises(InvalidStatus):
            connect(url, origin=Origin("http://127.0.0.1"), **more)
        with pytest.raises(InvalidStatus):
            connect(url.replace("token=", "token=bad"), **more)
    finally:
        host.told = None
    pages = HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_S, context=trusting(certificate))
    pages.request("GET", "/vnc_lite.html")
    assert pages.getresponse().read().decode() == PAGE
    pages.close()


def test_nothing_but_tls_is_spoken(secure: Site, certificate: Path) -> None:
    """Neither the plain protocol, nor TLS older than the least that was asked for."""
    path = secure.path(secure.boot())
    with pytest.raises((InvalidMessage, ConnectionError, EOFError)):
        secure.open(path)
    old = trusting(certificate)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    address = ("127.0.0.1", secure.proxy.ports["vnc"])
    with socket.create_connection(address, PATIENCE_S) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"ssl_only": True}, "cert: missing"),
        ({"key": "key.pem"}, "cert: missing"),
        ({"cert": "missing.pem"}, "No such file"),
        ({"cert": "cert.pem"}, "cannot be spoken"),
        ({"cert": "cert.pem", "key": "locked.pem"}, "password"),
        ({"cert": "both.pem", "ssl_ciphers": "none at all"}, "ssl_ciphers"),
    ],
    ids=["no certificate", "only a key", "no file", "no key", "a locked key", "no ciphers"],
)
def test_what_cannot_be_served_does_not_start(
    site: Site, options: Any, certificate: Path, values: dict[str, Any], why: str
) -> None:
    options(
        **{
            name: str(certificate.with_name(value)) if name in ("cert", "key") else value
            for name, value in values.items()
        }
    )
    with pytest.raises(errors.Misconfigured, match=why):
        ConsoleProxy(site.cloud.conf)


def test_one_file_may_hold_all(site: Site, options: Any, certificate: Path) -> None:
    options(cert=str(certificate.with_name("both.pem")), ssl_ciphers="ECDHE+AESGCM")
    made = tls.context(site.cloud.conf)
    assert made is not None
    assert made.minimum_version >= ssl.TLSVersion.TLSv1_2
