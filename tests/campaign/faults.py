"""The faults of the campaign: each strikes a stage, and can be mended."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.error import HTTPError

from tests.campaign.proxy import Mode
from tests.campaign.stage import LINKS, Stage
from tests.support.waiting import holds_within

Act = Callable[[Stage], Awaitable[None]]

LATENCY_S = 0.3
_PURGED_WITHIN_S = 15.0
_WATERMARK = "set_vm_memory_high_watermark"
_CUTS = (Mode.LATENCY, Mode.BLACK_HOLE, Mode.CUT_ANSWER, Mode.REFUSE)

_JUMPS_S = {"+10m": 600, "-10m": -600, "+3h": 10_800, "-3h": -10_800}


async def _nothing(_: Stage) -> None:
    """Strike or mend nothing."""


def _always(_: Stage) -> str:
    return ""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    `strike` returns when it has gone wrong, `mend` when its cause is away; what is over by itself
    mends nothing. `hindrance` says why a stage cannot show it; nothing: it can.
    """

    name: str
    target: str
    strike: Act
    mend: Act = _nothing
    hindrance: Callable[[Stage], str] = _always

    @property
    def lasts(self) -> bool:
        """Whether it goes on until it is mended."""
        return self.mend is not _nothing


# --- killed, paused, restarted -------------------------------------------------------------------


def _server(name: str) -> Iterator[Fault]:
    async def do(act: str, stage: Stage) -> None:
        await asyncio.to_thread(getattr(getattr(stage, name), act))

    async def restart(stage: Stage) -> None:
        await do("stop", stage)
        await do("start", stage)

    yield Fault(f"{name}.killed", name, partial(do, "kill"), partial(do, "start"))
    yield Fault(f"{name}.paused", name, partial(do, "pause"), partial(do, "resume"))
    yield Fault(f"{name}.restarted", name, restart)


def _workers(name: str, chosen: slice) -> Iterator[Fault]:
    async def each(stage: Stage, act: Callable[[Any], Awaitable[Any]]) -> None:
        await asyncio.gather(*map(act, stage.workers[chosen]))

    async def kill(stage: Stage) -> None:
        await each(stage, lambda worker: worker.end(signal.SIGKILL))

    async def start(stage: Stage) -> None:
        await each(stage, lambda worker: worker.start())

    async def restart(stage: Stage) -> None:
        await each(stage, lambda worker: worker.end(signal.SIGTERM))
        await start(stage)

    async def send(number: signal.Signals, stage: Stage) -> None:
        for worker in stage.workers[chosen]:
            worker.send(number)

    pause, resume = partial(send, signal.SIGSTOP), partial(send, signal.SIGCONT)
    yield Fault(f"{name}.killed", name, kill, start)
    yield Fault(f"{name}.paused", name, pause, resume)
    yield Fault(f"{name}.restarted", name, restart)


def _gateway() -> Iterator[Fault]:
    async def kill(stage: Stage) -> None:
        await stage.gateway.kill()

    async def start(stage: Stage) -> None:
        await stage.gateway.front.start()

    async def pause(stage: Stage) -> None:
        stage.gateway.pause()

    async def resume(stage: Stage) -> None:
        stage.gateway.resume()

    async def restart(stage: Stage) -> None:
        await stage.gateway.front.end()
        await stage.gateway.front.start()

    yield Fault("gateway.killed", "gateway", kill, start)
    yield Fault("gateway.paused", "gateway", pause, resume)
    yield Fault("gateway.restarted", "gateway", restart)


def _orders() -> Iterator[Fault]:
    async def send(number: signal.Signals, stage: Stage) -> None:
        if stage.orders.process is not None:
            stage.orders.process.send_signal(number)

    async def kill(stage: Stage) -> None:
        await send(signal.SIGKILL, stage)
        if stage.orders.process is not None:
            await stage.orders.process.wait()

    async def start(stage: Stage) -> None:
        await stage.orders.start()

    async def restart(stage: Stage) -> None:
        await stage.orders.end()
        await stage.orders.start()

    pause, resume = partial(send, signal.SIGSTOP), partial(send, signal.SIGCONT)
    yield Fault("orders.killed", "orders", kill, start)
    yield Fault("orders.paused", "orders", pause, resume)
    yield Fault("orders.restarted", "orders", restart)


# --- cut off -------------------------------------------------------------------------------------


def _link(name: str) -> Iterator[Fault]:
    async def turn(mode: Mode, stage: Stage) -> None:
        await stage.links[name].turn(mode, LATENCY_S if mode is Mode.LATENCY else 0.0)

    def missing(stage: Stage) -> str:
        return "" if name in stage.links else f"no link to {name} goes through the proxy"

    for mode in _CUTS:
        strike, mend = partial(turn, mode), partial(turn, Mode.PASS)
        yield Fault(f"{name}.{mode.value}", f"link to {name}", strike, mend, missing)


# --- filled up -----------------------------------------------------------------------------------


def _full() -> Iterator[Fault]:
    async def fill(stage: Stage) -> None:
        if stage.disk is not None:
            stage.disk.fill()

    async def free(stage: Stage) -> None:
        if stage.disk is not None:
            stage.disk.free()
        if stage.postgres.mark is None or not stage.postgres.mark.alive():
            await asyncio.to_thread(stage.postgres.start)
        await asyncio.to_thread(stage.postgres.wait_ready)

    def no_disk(stage: Stage) -> str:
        return "" if stage.disk is not None else "the database's files lie on no disk of ours"

    async def tell(command: tuple[str, ...], stage: Stage) -> None:
        await asyncio.to_thread(stage.rabbitmq.ctl, *command)

    yield Fault("postgres.disk-full", "postgres", fill, free, no_disk)
    for alarm, raise_it, end_it in (
        ("disk-alarm", ("set_disk_free_limit", "100000GB"), ("set_disk_free_limit", "50MB")),
        ("memory-alarm", (_WATERMARK, "absolute", "1MB"), (_WATERMARK, "0.4")),
    ):
        yield Fault(f"rabbitmq.{alarm}", "rabbitmq", partial(tell, raise_it), partial(tell, end_it))


# --- purged --------------------------------------------------------------------------------------


def _own_queues(stage: Stage) -> list[str]:
    listed: Any = stage.rabbitmq.api("GET", f"/api/queues/{stage.vhost}?columns=name")
    return [one["name"] for one in listed if one["name"].startswith("payonce.")]


def _deletes(stage: Stage, path: str) -> bool:
    """Have something deleted; a queue that has just moved or begun refuses for a moment."""
    try:
        stage.rabbitmq.api("DELETE", path, missing_ok=True)
    except HTTPError:
        return False
    return True


def _purged() -> Iterator[Fault]:
    def each_queue(ending: str, stage: Stage) -> None:
        for name in _own_queues(stage):
            path = f"/api/queues/{stage.vhost}/{name}{ending}"
            if not holds_within(_PURGED_WITHIN_S, partial(_deletes, stage, path)):
                raise TimeoutError(f"the broker does not delete {path}")

    async def purge(stage: Stage) -> None:
        await asyncio.to_thread(each_queue, "/contents", stage)

    async def delete(stage: Stage) -> None:
        await asyncio.to_thread(each_queue, "", stage)

    async def forget(stage: Stage) -> None:
        await asyncio.to_thread(stage.rabbitmq.fresh_vhost, stage.vhost)

    async def flush(stage: Stage) -> None:
        await asyncio.to_thread(stage.redis.flush)

    def shared(stage: Stage) -> str:
        return "" if stage.vhost != "%2F" else "payonce has no virtual host of its own"

    yield Fault("rabbitmq.queues-purged", "rabbitmq", purge)
    yield Fault("rabbitmq.queues-deleted", "rabbitmq", delete)
    yield Fault("rabbitmq.all-lost", "rabbitmq", forget, hindrance=shared)
    yield Fault("redis.flushed", "redis", flush)


# --- the clock -----------------------------------------------------------------------------------


def _clock() -> Iterator[Fault]:
    async def jump(offset_s: int, stage: Stage) -> None:
        if stage.clock is not None:
            stage.clock.set(offset_s)

    def none(stage: Stage) -> str:
        return "" if stage.clock is not None else "libfaketime is not installed: ./dev campaign"

    for name, offset_s in _JUMPS_S.items():
        yield Fault(f"clock.{name}", "clock", partial(jump, offset_s), partial(jump, 0), none)


def _all() -> Iterator[Fault]:
    # What everything else is compared with.
    yield Fault("nothing", "nothing", _nothing)
    yield from _server("rabbitmq")
    yield from _server("postgres")
    yield from _server("redis")
    yield from _workers("worker", slice(0, 1))
    yield from _workers("workers", slice(None))
    yield from _gateway()
    yield from _orders()
    for name in LINKS:
        yield from _link(name)
    yield from _full()
    yield from _purged()
    yield from _clock()


FAULTS: dict[str, Fault] = {fault.name: fault for fault in _all()}
"""All of them by name, in the order of the table."""
