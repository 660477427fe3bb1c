"""With `QUORATE_TEST_TLS=1`, what the programs of these tests are told about TLS and tokens.

See `tests.support.tls`: clusters of real processes are locked then, and whoever talks to them (the
SDK, the command line, in this process or another) finds its certificate and token as users' do.
`quorate up` makes secure clusters, and nothing is open that `tests.support.lock_guard` sees.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support import tls
from tests.support.lock_guard import TRIPWIRE, LockGuard

if tls.ON:
    os.environ.update(tls.client_environment())
    os.environ["QUORATE_UP_SECURE"] = "1"
    search = (str(TRIPWIRE), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in search if path)


@pytest.fixture(scope="session", autouse=True)
def lock_guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockGuard | None]:
    """Watches what these tests start; None where clusters are plaintext."""
    if not tls.ON:
        yield None
        return
    with LockGuard(tmp_path_factory.mktemp("lock-guard")) as guard:
        os.environ["QUORATE_TEST_STARTED"] = str(guard.record)
        yield guard
        del os.environ["QUORATE_TEST_STARTED"]


@pytest.fixture(scope="module", autouse=True)
def nothing_is_open(lock_guard: LockGuard | None) -> Iterator[None]:
    """In a locked run: every service that this file started refused whom it had to refuse."""
    yield
    if lock_guard is not None:
        lock_guard.check()
