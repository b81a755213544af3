"""What every store of Idempotency-Keys does."""

import pytest

from payonce.adapters.postgres.keys import Keys as PostgresKeys
from payonce.ports.applications import KeyAnswered, KeyInHand, KeyReused, Keys, KeyTaken
from tests.store.applying import KEPT_FOR, FakeKeys
from tests.store.making import NOW, later

BODY, OTHER = b"\x00body", b"other"
DAY_S = KEPT_FOR.total_seconds()
ANSWER = {"text": '{"a":1}', "content_type": "application/json"}


@pytest.fixture(params=["fake", "postgres"])
def keys(request: pytest.FixtureRequest) -> Keys:
    """Each store in turn."""
    if request.param == "fake":
        return FakeKeys()
    return PostgresKeys(request.getfixturevalue("database"), KEPT_FOR)


async def test_the_first_takes_the_key_and_its_repeat_gets_the_answer(keys: Keys) -> None:
    """As it was, status and all."""
    assert KeyTaken(NOW) == await keys.take("k", BODY, NOW, later(60))
    assert KeyInHand() == await keys.take("k", BODY, later(1), later(61))
    await keys.answer("k", NOW, 201, ANSWER)
    assert KeyAnswered(201, ANSWER) == await keys.take("k", BODY, later(2), later(62))
    assert KeyAnswered(201, ANSWER) == await keys.take("k", BODY, later(DAY_S - 1), later(DAY_S))


async def test_another_body_is_told_apart(keys: Keys) -> None:
    """In hand, answered, or left by a process that died."""
    await keys.take("k", BODY, NOW, later(60))
    assert KeyReused() == await keys.take("k", OTHER, later(1), later(61))
    assert KeyReused() == await keys.take("k", OTHER, later(99), later(999))
    await keys.answer("k", NOW, 201, ANSWER)
    assert KeyReused() == await keys.take("k", OTHER, later(2), later(62))


async def test_who_died_is_followed_once_the_lease_has_passed(keys: Keys) -> None:
    """The key keeps its beginning, from which the payment's id follows."""
    await keys.take("k", BODY, NOW, later(60))
    assert KeyInHand() == await keys.take("k", BODY, later(59), later(119))
    assert KeyTaken(NOW) == await keys.take("k", BODY, later(60), later(120))
    assert KeyInHand() == await keys.take("k", BODY, later(61), later(121))


async def test_a_released_key_can_be_taken_at_once(keys: Keys) -> None:
    """There was no answer, so there is nothing to wait for."""
    await keys.take("k", BODY, NOW, later(60))
    await keys.release("k", later(60))
    assert KeyTaken(NOW) == await keys.take("k", BODY, later(1), later(61))


async def test_a_late_release_leaves_the_key_to_who_took_it_over(keys: Keys) -> None:
    """Two would work on it otherwise."""
    await keys.take("k", BODY, NOW, later(60))
    assert KeyTaken(NOW) == await keys.take("k", BODY, later(60), later(120))
    await keys.release("k", later(60))
    assert KeyInHand() == await keys.take("k", BODY, later(61), later(121))


async def test_a_forgotten_key_is_new(keys: Keys) -> None:
    """Also with another body."""
    await keys.take("k", BODY, NOW, later(60))
    await keys.forget("k", NOW)
    assert KeyTaken(later(1)) == await keys.take("k", OTHER, later(1), later(61))


async def test_an_answer_is_not_overwritten(keys: Keys) -> None:
    """Neither by who was followed, nor by a release or a late word of an older life."""
    await keys.take("k", BODY, NOW, later(60))
    await keys.answer("k", later(5), 500, {})
    assert KeyInHand() == await keys.take("k", BODY, later(1), later(61))
    await keys.answer("k", NOW, 201, ANSWER)
    await keys.answer("k", NOW, 202, {})
    await keys.release("k", later(60))
    await keys.forget("k", NOW)
    assert KeyAnswered(201, ANSWER) == await keys.take("k", BODY, later(2), later(62))


async def test_a_key_is_free_again_after_a_day(keys: Keys) -> None:
    """With whatever body; old ones are deleted a bounded number at a time."""
    await keys.take("k", BODY, NOW, later(60))
    await keys.answer("k", NOW, 201, ANSWER)
    assert KeyTaken(later(DAY_S)) == await keys.take("k", OTHER, later(DAY_S), later(DAY_S + 60))
    await keys.take("young", BODY, later(2 * DAY_S - 1), later(2 * DAY_S))
    for n in range(3):
        await keys.take(f"old-{n}", BODY, later(DAY_S - n), later(DAY_S))
    assert 2 == await keys.expire(later(2 * DAY_S), 2)
    assert 2 == await keys.expire(later(2 * DAY_S), 9)
    assert KeyInHand() == await keys.take("young", BODY, later(2 * DAY_S - 0.5), later(2 * DAY_S))
