"""The suites: what is downloaded, what is run, and what it needs besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one client.

    Attributes:
        name: of the package.
        paths: of the tests, in the unpacked source distribution.
        packages: that they need.
        plugins: of pytest; modules of this room.
        left_out: files that are not run: they do not ask a broker, or stop it in a container.
        in_sdist: the source distribution has the tests.
    """

    name: str
    paths: tuple[str, ...]
    packages: tuple[str, ...]
    plugins: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    in_sdist: bool = True


_PYTEST: Final = ("pytest", "pytest-timeout")
SUITES: Final = (
    Suite("kombu", ("t/integration/test_py_amqp.py",), _PYTEST),
    Suite(
        "aio-pika",
        ("tests",),
        (*_PYTEST, "aiomisc", "aiomisc-pytest", "shortuuid", "timeout-decorator"),
        plugins=("aio_pika_broker",),
        left_out=("tests/test_robust_recovery.py", "tests/test_memory_leak.py"),
    ),
    Suite(
        "pika",
        (
            "tests/acceptance/blocking_adapter_test.py",
            "tests/acceptance/async_adapter_tests.py",
            "tests/acceptance/enforce_one_basicget_test.py",
            "tests/acceptance/twisted_adapter_tests.py",
        ),
        (*_PYTEST, "gevent", "tornado", "twisted"),
        in_sdist=False,
    ),
)
