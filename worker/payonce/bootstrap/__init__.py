"""The only place that names concrete adapters; commands reach the world through these functions."""

from payonce.bootstrap.gateways import open_desk
from payonce.bootstrap.notices import open_notify_desk
from payonce.bootstrap.parked import ParkedQueue, open_parked
from payonce.bootstrap.refunds import open_refund_desk
from payonce.bootstrap.run import run_daemon
from payonce.bootstrap.tools import (
    CheckResult,
    MigrateReport,
    check,
    migrate,
    open_inbox,
    open_publisher,
    open_reader,
    publish_initiated,
)

__all__ = [
    "CheckResult",
    "MigrateReport",
    "ParkedQueue",
    "check",
    "migrate",
    "open_desk",
    "open_inbox",
    "open_notify_desk",
    "open_parked",
    "open_publisher",
    "open_reader",
    "open_refund_desk",
    "publish_initiated",
    "run_daemon",
]
