"""A micro-batcher: callers await their own result, the work is done for many at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from payonce.domain.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Collects items until `max_items` lie there or `max_wait_s` has passed, then runs `work`.

    `work` gets the items in order of arrival and returns one result for each. Unavailable is raised
    in every caller of the batch. After any other exception each item is worked on alone, so that
    only the caller whose item is at fault gets it: `work` leaves nothing behind when it fails, or
    may be repeated. At most `max_running` batches run at once; more wait and
    grow, so that batches get larger exactly when the work gets slower.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        max_items: int = 100,
        max_wait_s: float = 0.002,
        max_running: int = 2,
    ) -> None:
        self._work = work
        self._max_items = max_items
        self._max_wait_s = max_wait_s
        self._max_running = max_running
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def submit(self, item: Item) -> Result:
        """Return the result of `item`, worked on together with others."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._max_items:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(self._max_wait_s, self._on_timer)
        return await future

    def _on_timer(self) -> None:
        self._timer = None
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._max_running:
            batch = self._waiting[: self._max_items]
            del self._waiting[: self._max_items]
            task = asyncio.ensure_future(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._start()

    async def _run(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            await self._work_on(batch)
        except asyncio.CancelledError:
            _fail(batch, Unavailable("batch", "cancelled while stopping"))
            raise

    async def _work_on(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        wanted = [(item, future) for item, future in batch if not future.done()]
        if not wanted:
            return
        try:
            results = await self._work([item for item, _ in wanted])
        except Unavailable as error:
            _fail(wanted, error)
        except Exception as error:  # noqa: BLE001 - handed to its caller, nothing is swallowed
            if len(wanted) == 1:
                _fail(wanted, error)
                return
            for one in wanted:
                await self._work_on([one])
        else:
            _answer(wanted, results)


def _answer(batch: list[tuple[Item, "asyncio.Future[Result]"]], results: Sequence[Result]) -> None:
    if len(results) != len(batch):
        _fail(batch, ValueError(f"{len(results)} results for {len(batch)} items"))
        return
    for (_, future), result in zip(batch, results, strict=True):
        if not future.done():
            future.set_result(result)


def _fail(batch: list[tuple[Item, "asyncio.Future[Result]"]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
