"""How long the fuzzers run: `fast` with every test run, `--hypothesis-profile=deep` here when there is time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

# Examples of `fast` keep the folder near two seconds; `deep` takes minutes. No deadline: machines are shared.
settings.register_profile("fast", max_examples=60, deadline=None)
settings.register_profile(
    "deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def pytest_configure(config: pytest.Config) -> None:
    """Take `fast` unless the command line names a profile."""
    if config.getoption("--hypothesis-profile") is None:
        settings.load_profile("fast")
