"""Settings of the documentation; build it with ``tox -e docs``."""

from configparser import ConfigParser
from pathlib import Path

_PACKAGE = ConfigParser()
_PACKAGE.read(Path(__file__).parent.parent / "setup.cfg")

project = "nova_lite"
version = release = _PACKAGE["metadata"]["version"]
extensions: list[str] = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
nitpicky = True
