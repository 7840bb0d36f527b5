"""Public keys and certificates."""

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, pkcs12

from nova_lite.api.services import key_material
from nova_lite.errors import Invalid

# Made with ssh-keygen, its fingerprint told by ssh-keygen -l -E md5.
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY0H+Lq7kMIY/gfuyvmQbIEG16qI4jJ/qNBdDXVTCC/ me@here"
_OPENSSH = (Encoding.OpenSSH, PublicFormat.OpenSSH)
ED25519_MD5 = "cd:41:fc:42:84:4d:97:e8:58:5b:51:da:8b:1c:20:5f"


def _blob(*parts: bytes) -> str:
    return base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()


def test_fingerprint_is_the_one_ssh_keygen_tells() -> None:
    found = key_material.imported("ssh", ED25519)
    assert found.fingerprint == ED25519_MD5
    assert found.public_key == ED25519
    assert found.private_key is None


@pytest.mark.parametrize(
    "public_key",
    [
        pytest.param(ED25519 + "\n", id="line end"),
        pytest.param(ED25519.rpartition(" ")[0], id="no comment"),
        pytest.param(ED25519 + " and more words", id="long comment"),
    ],
)
def test_comment_and_line_end_do_not_count(public_key: str) -> None:
    assert key_material.imported("ssh", public_key).fingerprint == ED25519_MD5


def test_every_common_type_is_taken() -> None:
    curves = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
    keys = [ec.generate_private_key(curve).public_key().public_bytes(*_OPENSSH) for curve in curves]
    keys.append(ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*_OPENSSH))
    for text in (key.decode() for key in keys):
        assert len(key_material.imported("ssh", text).fingerprint) == 47
    security_key = "sk-ssh-ed25519@openssh.com"
    text = f"{security_key} {_blob(security_key.encode(), b'k' * 32, b'ssh:')}"
    assert len(key_material.imported("ssh", text).fingerprint) == 47


@pytest.mark.parametrize(
    "public_key",
    [
        pytest.param("", id="empty"),
        pytest.param("hello", id="one word"),
        pytest.param("ssh-rsa AAAA!", id="not base64"),
        pytest.param("ssh-rsa ünïcode", id="not ASCII"),
        pytest.param(f"ssh-rsa {ED25519.split()[1]}", id="other type than named"),
        pytest.param(f"ssh-rsa {_blob(b'ssh-rsa')}", id="no key inside"),
        pytest.param(f"ssh-rsa {_blob(b'ssh-rsa', b'x')}", id="broken inside"),
        pytest.param(f"{ED25519}\n{ED25519}", id="two lines"),
        pytest.param(f'command="sh" {ED25519}', id="options before the key"),
        pytest.param("-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----", id="a private key"),
    ],
)
def test_what_is_no_ssh_key_is_refused(public_key: str) -> None:
    with pytest.raises(Invalid, match="public_key"):
        key_material.imported("ssh", public_key)


def test_generated_ssh_key_fits_its_private_half(tmp_path: Path) -> None:
    made = key_material.generated("ssh", "alice")
    assert made.private_key is not None
    assert made.private_key.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    private = load_pem_private_key(made.private_key.encode(), None)
    public = private.public_key().public_bytes(*_OPENSSH).decode()
    assert made.public_key.startswith(public)
    assert key_material.imported("ssh", made.public_key).fingerprint == made.fingerprint


def test_generated_certificate_opens_and_names_its_user() -> None:
    made = key_material.generated("x509", "u" * 200)
    assert made.private_key is not None
    bundle = pkcs12.load_pkcs12(base64.b64decode(made.private_key), None)
    certificate = x509.load_pem_x509_certificate(made.public_key.encode())
    assert bundle.cert is not None
    assert bundle.cert.certificate == certificate
    assert certificate.subject.rfc4514_string() == "CN=" + "u" * 64
    assert key_material.imported("x509", made.public_key).fingerprint == made.fingerprint
    assert len(made.fingerprint) == 59


@pytest.mark.parametrize("pem", ["", "hello", ED25519, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_refused(pem: str) -> None:
    with pytest.raises(Invalid, match="public_key"):
        key_material.imported("x509", pem)


def test_ssh_keygen_agrees(tmp_path: Path) -> None:
    made = key_material.generated("ssh", "alice")
    file = tmp_path / "key.pub"
    file.write_text(made.public_key + "\n")
    try:
        told = subprocess.run(["ssh-keygen", "-l", "-E", "md5", "-f", file], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("ssh-keygen is not installed")
    assert f"MD5:{made.fingerprint}" in told.stdout
