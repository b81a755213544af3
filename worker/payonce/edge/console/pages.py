"""The console's templates, with the words that they use everywhere."""

from payonce.edge.console.charts import HEIGHT, WIDTH
from payonce.edge.console.words import RULES, age, moment, money, printable
from payonce.edge.pages.rendering import Pages

NAVIGATION = (
    ("/ops", "Dashboard"),
    ("/ops/refunds", "Refunds"),
    ("/ops/unresolved", "Unresolved"),
    ("/ops/mismatched", "Mismatched"),
    ("/ops/unacknowledged", "Unacknowledged"),
    ("/ops/parked", "Parked"),
    ("/ops/webhooks", "Callbacks"),
    ("/ops/gateways", "Gateways"),
)


def console_pages() -> Pages:
    """Return what renders the console's pages."""
    return Pages(
        navigation=NAVIGATION,
        money=money,
        moment=moment,
        age=age,
        printable=printable,
        rules=RULES,
        chart_width=WIDTH,
        chart_height=HEIGHT,
    )
