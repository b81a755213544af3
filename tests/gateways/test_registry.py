"""Which kinds of gateway there are adapters for."""

from payonce.gateways.client import open_session
from payonce.gateways.registry import build_gateways
from payonce.settings.kinds import KINDS
from tests.gateways.conftest import STAGES
from tests.gateways.rigs import NotingMeter, settings_for


async def test_each_gateway_is_built_under_its_name() -> None:
    """The mapping's keys are the names in the configuration."""
    settings = {name: settings_for("http://h", name=name) for name in ("a", "b")}
    async with open_session() as session:
        gateways = build_gateways(settings, session, NotingMeter())
    assert {"a": "a", "b": "b"} == {key: one.name for key, one in gateways.items()}


def test_every_kind_keeps_the_suite() -> None:
    """No kind without a stage in the behavioural suite."""
    assert set(KINDS) == set(STAGES)
