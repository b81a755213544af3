"""Is a consumer still alive in the broker's eyes? Two looks tell."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Pulse:
    """One channel's worth of consuming, what it brought so far, and how much is in hand.

    `unseen`: the broker spoke of no consumer and no message.
    """

    session: int
    received: int
    in_hand: int
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages of a queue wait for a consumer, and how many consumers it has."""

    ready: int
    consumers: int


Pulses = Mapping[str, Pulse | None]
"""The consumers' pulses by queue; None: it does not consume, or was just told to begin anew."""

Depths = Mapping[str, Depth]

_NOTHING = Depth(0, 0)
"""What RabbitMQ answers also of a queue whose leader says nothing within 250 ms."""


def looked_at(pulses: Pulses, depths: Depths) -> Pulses:
    """Return the pulses with what the broker said beside them."""
    return {
        queue: pulse and replace(pulse, unseen=depths[queue] == _NOTHING)
        for queue, pulse in pulses.items()
    }


def forsaken(before: Pulses, now: Pulses, depths: Depths) -> set[str]:
    """Return the queues whose consumers get nothing any more, though nobody told them so.

    `depths` holds every queue that is consumed; who ended by choice is left out of `now`.

    Either the broker knows no consumer (where it speaks of no message either, at two looks), or it
    holds messages back from one with empty hands. Or a consumer had to begin anew: where one queue
    was deleted, others may have been, even after their consumers came back, and declared again by
    somebody else before the broker told them. RabbitMQ 3.10 then goes on sending to them, under
    numbers that its own channel takes for old ones and drops.
    """
    steady = {
        queue: (was, pulse)
        for queue, pulse in now.items()
        if pulse is not None and (was := before.get(queue)) and was.session == pulse.session
    }
    if any(before.get(queue) and queue not in steady for queue in now):
        return {queue for queue, pulse in now.items() if pulse is not None}
    return {queue for queue, looks in steady.items() if _is_cut_off(*looks, depths[queue])}


def _is_cut_off(was: Pulse, pulse: Pulse, depth: Depth) -> bool:
    is_idle = not pulse.in_hand and pulse.received == was.received
    if depth == _NOTHING:
        return is_idle and was.unseen
    return not depth.consumers or (depth.ready > 0 and is_idle)
