"""Servers from elsewhere: fetched, kept, and fetched again for as long as a client runs.

    Subscriptions(config, take) -> start -> take(servers) whenever they change -> close

A start waits for nothing: it takes the kept copies, and asks for what is new in the background. What fails changes
nothing: the servers that are there serve on, and it is tried again, later each time. Several addresses are several
sources: each has its own servers, and one that is out of reach costs the others nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from ...config.hosts import split_port
from ...config.online import Taken, take_offers
from ...config.urls import host_of
from ...crypto.random import draw
from .documents import Document, DocumentError, read_document
from .download import TIME_LIMIT, Download, DownloadError, Fetched, OutOfReachError, in_thread
from .kept import KeptCopy

if TYPE_CHECKING:
    import ssl

    from ...config.model import Config, ServerConfig
    from .passage import Passage

log = logging.getLogger(__name__)

Take = Callable[[tuple["ServerConfig", ...]], None]
"""Hears of all servers of all subscriptions, whenever they change; those of the file are none of them."""

RETRY_FIRST: Final = 5.0
"""Seconds after the first failure: a client that starts before the network is up has its servers soon after it."""
JITTER: Final = 0.2
"""Share of a wait that is left to chance, so that the clients of one server do not come all at once."""
NOTES_MAX: Final = 5
"""Sentences about one document; a bad one could have a thousand."""


class Subscriptions:
    """The subscriptions of one client."""

    def __init__(
        self,
        config: Config,
        take: Take,
        directory: str | None = None,
        *,
        context: ssl.SSLContext | None = None,
        limit: float = TIME_LIMIT,
        passage: Passage | None = None,
    ) -> None:
        """Make them; nothing is fetched yet.

        Args:
            config: of the client; has `online`.
            take: hears of the servers.
            directory: where state is kept; None: nowhere.
            context: whom to trust; by default whom the system trusts.
            limit: seconds of one fetch.
            passage: the way through the client's servers, for what does not come straight.
        """
        assert config.online is not None, "there is something to subscribe to"
        self._take = take
        urls = [url.reveal() for url in config.online.urls]
        self.sources: Final = tuple(
            Source(config, url, directory, context, limit, self._changed, passage) for url in urls
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """The servers of all sources, in their order; what two of them have is there once."""
        return tuple(dict.fromkeys(server for source in self.sources for server in source.servers))

    def start(self) -> None:
        """Take the servers of the kept copies, and begin to ask for new ones."""
        for source in self.sources:
            source.recall()
        self._tasks = [
            asyncio.create_task(source.live())  # noqa: TID251 - kept, and ended by `close`
            for source in self.sources
        ]

    def refresh(self) -> None:
        """Ask for all of them now."""
        for source in self.sources:
            source.wake.set()

    async def close(self) -> None:
        """End the asking. A fetch that is under way is given up."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _changed(self) -> None:
        self._take(self.servers)


class Source:
    """One address, and the servers that its document offered last."""

    def __init__(
        self,
        config: Config,
        url: str,
        directory: str | None,
        context: ssl.SSLContext | None,
        limit: float,
        changed: Callable[[], None],
        passage: Passage | None,
    ) -> None:
        assert config.online is not None
        self._config = config
        self._interval = config.online.interval
        self._url = url
        self._context = context
        self._limit = limit
        self._changed = changed
        self._passage = passage
        self._copy = KeptCopy(directory, url)
        self._etag = self._last_modified = ""
        self._told: tuple[str, ...] = ()
        self._came = False
        """Whether there was a document: the first one is news even where it is empty."""
        self.host: Final = host_of(url)
        """What it is called in logs: the rest of the address is a secret."""
        self.servers: tuple[ServerConfig, ...] = ()
        self.failure = ""
        """Why the last fetch brought nothing; empty where it did."""
        self._detour = ""
        """Why the last document came through the servers; empty where it came straight."""
        self.wake: Final = asyncio.Event()
        """Set to fetch now."""

    def recall(self) -> None:
        """Take the servers of the kept copy."""
        kept = self._copy.read()
        if kept is None:
            return
        try:
            self._accept(kept, self._judge(kept))
        except DocumentError as error:
            log.warning("subscription %s: the kept copy is of no use: %s", self.host, error)
        except Exception as error:  # a start never depends on it
            log.error("subscription %s: internal error: %r", self.host, error, exc_info=error)

    async def live(self) -> None:
        """Fetch, rest, and fetch again, for ever."""
        failures = 0
        while True:
            failures = 0 if await self.fetch() else failures + 1
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rest(failures)):
                    await self.wake.wait()
            self.wake.clear()

    async def fetch(self) -> bool:
        """Fetch once, and take what is new; False where nothing came of it, which changes nothing."""
        try:
            fetched = await self._download()
            if fetched is not None:
                judged = await in_thread(partial(self._judge, fetched))
                self._accept(fetched, judged)
                await in_thread(partial(self._copy.write, fetched))
        except (DownloadError, DocumentError) as error:
            self._fail(str(error))
            return False
        except Exception as error:
            log.error("subscription %s: internal error: %r", self.host, error, exc_info=error)
            self._fail("an internal error")
            return False
        if self.failure:
            log.info("subscription %s: works again", self.host)
        self.failure = ""
        return True

    async def _download(self) -> Fetched | None:
        """Return the document, by the straight way or, where that does not lead there, through the servers.

        Raises:
            DownloadError: it did not come.
        """
        terms = (self._url, self._etag, self._last_modified, self._context)
        passage = self._passage
        try:
            fetched = await Download(*terms).run(self._limit)
        except OutOfReachError as error:
            if passage is None or not passage.leads_to(split_port(self.host)[0]):
                raise
            why = str(error)
        else:
            self._detour = ""
            return fetched
        try:
            fetched = await Download(*terms, connect=passage.connect).run(self._limit)
        except DownloadError as error:
            raise DownloadError(f"{why}; and through the servers: {error}") from None
        if why != self._detour:
            log.info(
                "subscription %s: it is fetched through the servers, since the straight way failed: %s", self.host, why
            )
        self._detour = why
        return fetched

    def _fail(self, why: str) -> None:
        """Say once why it fails, and not again until it is for another reason."""
        if why != self.failure:
            still = "its servers serve on" if self.servers else "it has brought no server yet"
            log.warning("subscription %s: %s; %s", self.host, why, still)
        self.failure = why

    def _judge(self, fetched: Fetched) -> tuple[Document, Taken]:
        """Return what a document offers, and what comes of it; in a thread, since a thousand servers take a while.

        Raises:
            DocumentError: nothing can be made of it.
        """
        document = read_document(fetched.text)
        return document, take_offers(document.offers, self._config, self.host)

    def _accept(self, fetched: Fetched, judged: tuple[Document, Taken]) -> None:
        """Take the servers of a document.

        Raises:
            DocumentError: there is none in it that can be used, though some are offered.
        """
        document, taken = judged
        problems = (*taken.left_out, *taken.warnings)
        self._tell((*document.notes, *(f"{problem.key}: {problem.text}" for problem in problems)))
        if not taken.servers and (document.offers or document.notes):
            raise DocumentError("none of its servers can be used here")
        if self.servers != taken.servers or not self._came:
            before, self.servers = self.servers, taken.servers
            log.info("subscription %s: servers: %d", self.host, len(self.servers))
            try:
                self._changed()
            except BaseException:
                self.servers = before  # so that they are new once more, the next time
                raise
        self._came = True
        self._etag, self._last_modified = fetched.etag, fetched.last_modified

    def _tell(self, notes: tuple[str, ...]) -> None:
        """Say what is left out of a document, unless that was said of the one before."""
        if notes != self._told:
            for note in notes[:NOTES_MAX]:
                log.warning("subscription %s: %s", self.host, note)
            if len(notes) > NOTES_MAX:
                log.warning("subscription %s: and %d more like these", self.host, len(notes) - NOTES_MAX)
        self._told = notes

    def _rest(self, failures: int) -> float:
        """Return the seconds until the next fetch."""
        wait = self._interval
        if failures:
            wait = min(wait, RETRY_FIRST * 2.0 ** min(failures - 1, 32))
        chance = int.from_bytes(draw(4)) / (1 << 32)
        return wait * (1 - JITTER / 2 + JITTER * chance)
