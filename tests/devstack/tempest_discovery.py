"""Finds Tempest's tests. Those that ask for a network of their own without wanting anything of it go without.

Tempest would skip their whole classes where there is no network service. Classes that ask for users by lists of roles
get new ones: an account of several roles could be taken by whoever asks for one of them. Others give their accounts
back in the reverse order of asking. Runs in Tempest's environment, without nova_lite.
"""

import unittest
from collections.abc import Iterator
from typing import Any

from tempest.lib.common.preprov_creds import PreProvisionedCredentialProvider
from tempest.test_discover import test_discover


def _give_back(self: Any) -> None:
    """Give the accounts of a class back, that of its project's member, which all ask for first, last.

    Who gets it wants the others of its project next. Given back first, as Tempest does, it goes to a class that then
    fails for want of those still held.
    """
    for account in reversed(list(self._creds.values())):
        self.remove_credentials(account)


PreProvisionedCredentialProvider.clear_creds = _give_back


def load_tests(loader: Any, tests: Any, pattern: Any) -> Any:
    """Return all tests, as unittest asks for them."""
    suite = test_discover.load_tests(loader, tests, pattern)
    for test in _each(suite):
        if not test.id().startswith("tempest.api.compute."):
            continue
        if getattr(test, "create_default_network", False):
            type(test).create_default_network = False
        if any(isinstance(wanted, list) for wanted in getattr(test, "credentials", ())):
            type(test).force_tenant_isolation = True
    return suite


def _each(suite: Any) -> Iterator[Any]:
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from _each(one)
        else:
            yield one
