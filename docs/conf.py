"""Settings of the documentation; build it with ``tox -e docs``."""

import sys
import warnings
from configparser import ConfigParser
from pathlib import Path

_TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_TREE))  # the directives ask the code of this tree, and live in docs/_ext
warnings.filterwarnings("ignore", "(?s).*[Ee]ventlet")  # oslo.service imports it when oslo.messaging loads
_PACKAGE = ConfigParser()
_PACKAGE.read(_TREE / "setup.cfg")

project = "nova_lite"
version = release = _PACKAGE["metadata"]["version"]
extensions = ["docs._ext.directives"]
exclude_patterns = ["_build", "_ext"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1180px", "sidebar_width": "230px"}
nitpicky = True
