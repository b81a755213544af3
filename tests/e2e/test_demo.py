"""The demo of all kinds of gateways, as its user runs it: it ends well, and says why."""

import asyncio
import os
import sys

from payonce.cli.demo.kinds import STORIES_OF_KINDS

LONGEST_S = 240.0


async def test_every_kind_ends_right(postgres_dsn: str, amqp_url: str, redis_url: str) -> None:
    """Real servers, a worker that is killed meanwhile, and the books of six gateways."""
    kept = {name: one for name, one in os.environ.items() if not name.startswith("PAYONCE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "payonce", "demo", "--gateways", "all", "--plain"),
        env={
            **kept,
            "PAYONCE_POSTGRES_DSN": postgres_dsn,
            "PAYONCE_AMQP_URL": amqp_url,
            "PAYONCE_REDIS_URL": redis_url,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), LONGEST_S)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    told, orders = printed.decode(), len(STORIES_OF_KINDS)
    assert 0 == process.returncode, told
    assert "WRONG" not in told
    assert f"  ok     {orders} of {orders} orders ended as their story says" in told
    assert f"gateways {orders} of {orders} paid orders were kept exactly once" in told
    assert "other successes: 5 = 4 sent back whole + 1 for a person; " in told
