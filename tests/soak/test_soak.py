"""The long run, made short: everything is started, struck, measured, compared and drawn."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.soak.judge import CURVES
from tests.soak.picture import PANELS, draw
from tests.soak.plan import Plan
from tests.soak.run import soak
from tests.soak.stage import KEPT

SVG = "{http://www.w3.org/2000/svg}"
pytestmark = pytest.mark.timeout(900)


async def test_a_short_run_ends_well(tmp_path: Path) -> None:
    """Two faults, no order lost, every curve measured; who grows cannot be said so soon."""
    plan = Plan(
        tmp_path,
        seconds=9,
        rate=5,
        fault_every_s=3,
        hold_s=1,
        sample_every_s=0.5,
        seed=5,
        ladder=("200ms", "500ms", "1s"),
        asks_after_s=1,
        expires_s=6,
    )
    story = await soak(plan)

    assert [] == [one.text for one in story.findings if not one.ok]
    assert 2 == len(story.strikes)
    measured = {name for sample in story.samples for name in sample}
    assert {one.name for one in CURVES} <= measured
    assert 1 == len({one[f"{KEPT}.pid"] for one in story.samples if f"{KEPT}.pid" in one})
    lines = (tmp_path / "samples.jsonl").read_text().splitlines()
    assert len(story.samples) == len(lines)
    picture = ET.fromstring(draw(story))
    assert len(PANELS) == len(picture.findall(f"{SVG}g"))
