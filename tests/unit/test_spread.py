"""What `make test` gives to one worker: `tests.support.spread`."""

from tests.support.spread import whole


def test_a_file_stays_whole_and_so_does_a_package():
    dashboard = "tests/e2e/dashboard"
    for name in ("test_dashboard_live.py", "test_dashboard_views.py"):
        assert whole(f"{dashboard}/{name}") == dashboard
    for file in ("tests/e2e/test_demo.py", "tests/unit/test_spread.py"):
        assert whole(file) == file
