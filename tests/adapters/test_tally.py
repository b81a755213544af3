"""The meter that keeps a tally."""

from payonce.adapters.tally import TallyMeter
from payonce.ports.activity import LATENESS_S


def test_it_counts_for_both() -> None:
    """For Prometheus for ever, for the page until they are taken."""
    meter = TallyMeter()
    meter.payment_registered("mock", "new")
    meter.payment_decided("mock", "settled", "poll")
    meter.payment_decided("mock", "settled", "poll")
    meter.payment_decided("mock", "settled", "webhook")
    for lateness_s in (-1.0, 0.001, 0.0011, 61.0):
        meter.poll_started("mock", lateness_s)
    assert {
        ("registered", "mock", "new", ""): 1,
        ("decided", "mock", "settled", "poll"): 2,
        ("decided", "mock", "settled", "webhook"): 1,
        ("late", "mock", "0", ""): 2,
        ("late", "mock", "1", ""): 1,
        ("late", "mock", str(len(LATENESS_S)), ""): 1,
    } == meter.take()
    assert {} == meter.take()
    labels = {"gateway": "mock", "verdict": "settled", "source": "poll"}
    assert 2 == meter.registry.get_sample_value("payonce_payments_total", labels)
    assert 4 == meter.registry.get_sample_value(
        "payonce_poll_lateness_seconds_count", {"gateway": "mock"}
    )
