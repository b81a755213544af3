from hypothesis import given
from hypothesis import strategies as st

from payonce.adapters.rabbitmq.acks import Ack, Acks


def test_finished_in_order_are_one_ack() -> None:
    """What is finished from the first on goes as one multiple ack."""
    acks = Acks()
    for tag in (1, 2, 3, 4):
        acks.received(tag)
    for tag in (2, 1, 3):
        acks.finished(tag)
    assert [Ack(3, multiple=True)] == acks.take()
    assert 1 == len(acks)


def test_stragglers_hold_up_nobody() -> None:
    """What is finished behind an unfinished one goes by itself."""
    acks = Acks()
    for tag in (1, 2, 3):
        acks.received(tag)
    for tag in (3, 2):
        acks.finished(tag)
    assert [Ack(2, multiple=False), Ack(3, multiple=False)] == acks.take()


def test_nothing_finished_is_no_ack() -> None:
    """An ack that names nothing would kill the channel."""
    acks = Acks()
    acks.received(1)
    assert [] == acks.take()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_broker_would_accept_every_ack(steps: list[tuple[int, bool]]) -> None:
    """Each ack names a tag that is unacknowledged, and covers finished deliveries alone."""
    acks, unacked, finished, last = Acks(), set[int](), set[int](), 0
    for pick, deliver in steps:
        waiting = sorted(unacked - finished)
        if deliver or not waiting:
            last += 1
            acks.received(last)
            unacked.add(last)
        else:
            tag = waiting[pick % len(waiting)]
            acks.finished(tag)
            finished.add(tag)
        if pick == 0:
            for ack in acks.take():
                covered = {one for one in unacked if one <= ack.delivery_tag}
                covered = covered if ack.multiple else {ack.delivery_tag}
                assert ack.delivery_tag in unacked
                assert covered <= finished
                unacked -= covered
            assert not unacked & finished
