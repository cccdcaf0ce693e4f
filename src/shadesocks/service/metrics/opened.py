"""The page of counters where a configuration wants one; where it does not, nothing of it is loaded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...config.model import Config
    from ..service import Service


async def open_page(config: Config, service: Service) -> Callable[[], Awaitable[None]]:
    """Open the page of a started service, and return what closes it, once or more often."""
    if config.metrics is None:
        return _nothing
    from .page import MetricsPage

    page = MetricsPage(config.metrics, service)
    await page.open()
    return page.close


async def _nothing() -> None:
    """Close nothing."""
