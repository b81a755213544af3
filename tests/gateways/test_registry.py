"""Which kinds of gateway there are adapters for."""

import pytest

from payonce.domain.errors import BadSettings
from payonce.gateways.client import open_session
from payonce.gateways.registry import ADAPTERS, build_gateways
from tests.gateways.conftest import KINDS
from tests.gateways.rigs import NotingMeter, settings_for


async def test_each_gateway_is_built_under_its_name() -> None:
    """The mapping's keys are the names in the configuration."""
    settings = {name: settings_for("http://h", name=name) for name in ("a", "b")}
    async with open_session() as session:
        gateways = build_gateways(settings, session, NotingMeter())
    assert {"a": "a", "b": "b"} == {key: one.name for key, one in gateways.items()}


async def test_kind_without_adapter_is_refused_with_its_key() -> None:
    """A kind that this version cannot speak stops the command, naming what it can."""
    async with open_session() as session:
        with pytest.raises(BadSettings) as caught:
            build_gateways(
                {"x": settings_for("http://h", name="x", kind="carrier-pigeon")},
                session,
                NotingMeter(),
            )
    assert ("gateways.x.kind", ", ".join(sorted(ADAPTERS))) == (
        caught.value.key,
        caught.value.allowed,
    )


def test_every_adapter_keeps_the_suite() -> None:
    """No adapter without a stage in the behavioural suite."""
    assert set(ADAPTERS) == set(KINDS)
