"""A consumer that can be killed: what its worker had in hand is delivered again."""

import asyncio

from payonce.adapters.consuming import Desk
from payonce.adapters.memory.bus import Message
from payonce.ports.bus import Delivery, Park, Receiver
from payonce.ports.clock import Clock
from tests.simulation.links import Link

PREFETCH = 20


class Consumer:
    """Consumes one queue for one worker."""

    def __init__(self, link: Link, queue: str, receiver: Receiver, clock: Clock) -> None:
        self._link = link
        self._name = queue
        self._queue = link.world.bus.queue(queue)
        self._desk = Desk(queue, receiver, clock)
        self._clock = clock
        self._free = asyncio.Semaphore(PREFETCH)
        self.in_hand: dict[int, asyncio.Task[None]] = {}
        self._number = 0

    async def run(self) -> None:
        """Consume for ever."""
        while True:
            await self._free.acquire()
            message = await self._queue.take()
            self._number += 1
            self.in_hand[self._number] = asyncio.get_running_loop().create_task(
                self._work(self._number, message)
            )

    async def _work(self, number: int, message: Message) -> None:
        try:
            await self._link.pass_time()
            while "broker" in self._link.world.away:
                await self._clock.sleep(0.5)
            fate = await self._desk.fate_of(self._delivery(message), lambda: True)
            self._link.check_alive()
            if isinstance(fate, Park):
                self._link.note(f"parked a message of {self._name}: {fate.reason}")
                self._link.world.bus.park(self._delivery(message), fate.reason)
        except BaseException:
            self._queue.give_back(message)
            raise
        finally:
            self._free.release()
            del self.in_hand[number]

    def _delivery(self, message: Message) -> Delivery:
        return Delivery(
            body=message.body,
            queue=self._name,
            received_at=self._clock.now(),
            content_type=message.content_type,
            message_id=message.message_id,
            routing_key=message.routing_key,
            headers=message.headers,
            delivery_count=message.delivery_count,
        )
