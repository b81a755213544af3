"""Who may do what: the worker, people who look, who migrates; and how they come to it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.migrate import find_folder, migrate, read_migrations
from payonce.adapters.postgres.roles import ROLES, Standing, describe_standing, standing
from payonce.domain.errors import Unavailable
from tests.store.making import Store, opened, register, registration, settle, success
from tests.support.ports import free_port
from tests.support.postgres import Postgres, data_folder
from tests.support.roles import MIGRATOR, SUPPORT, WORKER, dsn_of, login

ALL = "SELECT"
GROWS = "INSERT SELECT"
FORGOTTEN = "DELETE INSERT SELECT update"

# In capitals what holds for the whole table, in small letters what holds for some of its columns.
# A new table needs a line here, and what it says in migrations/roles.sql.
DECIDED = {
    "activity": (FORGOTTEN, ALL),
    "captures": ("INSERT SELECT update", ALL),
    "delay_queues": (FORGOTTEN, ALL),
    "gateway_journal": (GROWS, ALL),
    "gateways": ("INSERT SELECT update", ALL),
    "idempotency_keys": (FORGOTTEN, ""),
    "installation": (ALL, ""),
    "operator_journal": (GROWS, ALL),
    "orders": ("SELECT insert update", ALL),
    "outbox": (FORGOTTEN, ALL),
    "payments": ("SELECT insert update", ALL),
    "payonce_migrations": (ALL, ALL),
    "refunds": ("SELECT insert update", ALL),
    "timeline": (GROWS, ALL),
    "webhook_inbox": (FORGOTTEN, "select"),
    "workers": (FORGOTTEN, ALL),
}

_PRIVILEGES = """
WITH tables AS (
    SELECT c.oid, c.relname FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND c.relname NOT LIKE 'pg\\_%' AND c.relname <> 'witness'
)
SELECT t.relname, COALESCE(string_agg(h.held, ' ' ORDER BY h.held COLLATE "C"), '') AS held
FROM tables t LEFT JOIN LATERAL (
    SELECT p.name AS held
    FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])
        AS p (name)
    WHERE has_table_privilege($1, t.oid, p.name)
    UNION ALL
    SELECT lower(p.name)
    FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS p (name)
    WHERE has_any_column_privilege($1, t.oid, p.name) AND NOT has_table_privilege($1, t.oid, p.name)
) AS h ON true
GROUP BY t.relname
"""


@pytest.fixture
async def support(dsn: str) -> AsyncIterator[Database]:
    """A pool of somebody who may look."""
    async with opened(Database(await login(dsn, SUPPORT))) as database:
        yield database


@pytest.fixture
async def paid(postgres_store: Store, database: Database) -> Database:
    """Order o1 is paid by p1; p2 was paid too, and is refunded."""
    await register(postgres_store, registration("p1"), registration("p2"))
    await settle(postgres_store, success("p1"), success("p2"))
    return database


async def refusal(database: Database, statement: str) -> type[BaseException | None]:
    """Return what PostgreSQL raised to refuse a statement to whoever sent it."""
    with pytest.raises(
        Unavailable, match=r"permission denied|must be owner|must be superuser"
    ) as one:
        await database.fetch(statement)
    return type(one.value.__cause__)


async def owners(database: Database) -> list[str]:
    """Return who owns tables, sequences and functions of payonce."""
    rows = await database.fetch(
        "SELECT relowner::regrole::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"
        " AND relname <> 'witness' AND relname NOT LIKE 'pg\\_%'"
        " UNION SELECT proowner::regrole::text FROM pg_proc WHERE proname LIKE 'refuse%'"
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize(("role", "column"), [("payonce_app", 0), ("payonce_reader", 1)])
async def test_every_table_was_decided_on(owner: Database, role: str, column: int) -> None:
    """Each table's rights are those that are written down here, table by table."""
    rows = await owner.fetch(_PRIVILEGES, role)
    assert {name: rights[column] for name, rights in DECIDED.items()} == {
        row["relname"]: row["held"] for row in rows
    }


async def test_nobody_else_has_any_right(owner: Database) -> None:
    """Of tables and functions; and the migrator owns all of them."""
    granted = await owner.fetch(
        "SELECT grantee::regrole::text FROM pg_class, aclexplode(relacl)"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"
        " AND relname <> 'witness' AND relname NOT LIKE 'pg\\_%'"
        " UNION SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END"
        " FROM pg_proc, aclexplode(COALESCE(proacl, acldefault('f', proowner)))"
        " WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'refuse%'"
    )
    assert set(ROLES) == {row[0] for row in granted}
    assert ["payonce_migrator"] == await owners(owner)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE timeline SET detail = '{}'",
        "DELETE FROM timeline",
        "TRUNCATE timeline",
        "ALTER TABLE timeline DISABLE TRIGGER timeline_only_grows",
        "ALTER TABLE timeline DISABLE TRIGGER ALL",
        "DROP TRIGGER timeline_only_grows ON timeline",
        "SET session_replication_role = replica",
        "UPDATE gateway_journal SET why = 'else'",
        "DELETE FROM operator_journal",
        "DELETE FROM orders",
        "DELETE FROM payments",
        "DELETE FROM refunds",
        "DELETE FROM captures",
        "TRUNCATE outbox",
        "UPDATE orders SET order_id = 'o9'",
        "UPDATE orders SET created_at = now()",
        "UPDATE payments SET amount = 1",
        "UPDATE payments SET order_id = 'o9'",
        "UPDATE refunds SET requested_by = 'nobody'",
        "UPDATE refunds SET amount = 1",
        "UPDATE webhook_inbox SET body = ''",
        "UPDATE outbox SET data = '{}'",
        "UPDATE installation SET token_key = 'known'",
        "INSERT INTO payonce_migrations (name, checksum) VALUES ('9999', '')",
        "CREATE TABLE mine (n integer)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE orders ADD COLUMN mine integer",
        "DROP INDEX payments_one_winner",
        "ALTER TABLE orders OWNER TO test_worker",
        "ALTER FUNCTION refuse() RESET ALL",
        "SET ROLE payonce_migrator",
        "CREATE ROLE mine SUPERUSER",
    ],
)
async def test_a_worker_may_do_its_work_alone(paid: Database, statement: str) -> None:
    """Not rewrite the story, not change the rules, not delete what is money."""
    assert asyncpg.InsufficientPrivilegeError is await refusal(paid, statement)


async def test_a_table_of_ones_own_hides_no_other(paid: Database) -> None:
    """Who may make temporary tables cannot have the rule of the winner look into one."""

    async def refund_the_winner(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await connection.execute("CREATE TEMP TABLE orders (order_id text, settled_by text)")
        await connection.execute("CREATE TEMP TABLE payments (LIKE public.payments)")
        await connection.execute("INSERT INTO payments SELECT * FROM public.payments")
        await connection.execute(
            "INSERT INTO public.refunds (refund_id, payment_id, order_id, gateway, amount,"
            " currency, status, reason)"
            " VALUES ('r', 'p1', 'o1', 'mock', 1, 'CNY', 'REQUESTED', 'asked')"
        )

    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await paid.transact(refund_the_winner)  # type: ignore[arg-type]
    assert "refunds_not_of_winner" == caught.value.constraint_name


async def test_every_function_is_pinned(owner: Database) -> None:
    """A function that is replaced loses its search path, and has to be pinned anew."""
    rows = await owner.fetch(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND proname NOT IN ('bear_witness') AND proname NOT LIKE 'pg\\_%'"
    )
    assert {
        name: ["search_path=public, pg_temp"]
        for name in ("refuse", "refuse_new_price", "refuse_wrong_refund")
    } == {row["proname"]: row["proconfig"] for row in rows}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT token_key FROM installation",
        "SELECT answer FROM idempotency_keys",
        "SELECT key FROM idempotency_keys",
        "SELECT body FROM webhook_inbox",
        "SELECT headers FROM webhook_inbox",
        "SELECT * FROM webhook_inbox",
        "SELECT order_id FROM orders FOR NO KEY UPDATE",
        "UPDATE orders SET version = 9",
        "INSERT INTO timeline (order_id, at, kind) VALUES ('o1', now(), 'else')",
        "DELETE FROM outbox",
        "CREATE TABLE mine (n integer)",
        "SET ROLE payonce_app",
    ],
)
async def test_who_looks_sees_no_secret_and_writes_nothing(
    paid: Database, support: Database, statement: str
) -> None:
    """Neither what gateways sent nor what order tokens follow from."""
    assert asyncpg.InsufficientPrivilegeError is await refusal(support, statement)


async def test_who_looks_sees_the_story(paid: Database, support: Database) -> None:
    """Orders, payments, refunds, timelines, and which callbacks came."""
    rows = await support.fetch(
        "SELECT o.order_id, p.payment_id, r.status, t.kind FROM orders o"
        " JOIN payments p ON p.payment_id = o.settled_by JOIN refunds r ON r.order_id = o.order_id"
        " JOIN timeline t ON t.order_id = o.order_id WHERE t.kind = 'payment.settled'"
    )
    assert [("o1", "p1", "REQUESTED", "payment.settled")] == [tuple(row) for row in rows]
    assert [] == await support.fetch("SELECT gateway, event_id, problem FROM webhook_inbox")


async def test_who_migrates_need_be_nothing_else(postgres_dsn: str, tmp_path: Path) -> None:
    """A member of payonce_migrator adds a table to what a superuser began, and the role owns it."""
    await migrate(postgres_dsn)
    for file in find_folder().glob("*.sql"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "9999_more.sql").write_text(
        "ALTER TABLE orders ADD COLUMN more text;"
        'CREATE TABLE more (order_id text COLLATE "C" REFERENCES orders);'
    )
    text = (tmp_path / "roles.sql").read_text()
    (tmp_path / "roles.sql").write_text(text.replace("'captures', ", "'captures', 'more', "))
    dsn = await login(postgres_dsn, MIGRATOR)
    assert ["9999_more"] == await migrate(dsn, tmp_path)
    async with opened(Database(dsn)) as database:
        rows = await database.fetch(
            "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'more'"
        )
        assert [("payonce_migrator",)] == [tuple(row) for row in rows]
        assert (await standing(database)).granted


async def test_a_worker_cannot_migrate(postgres_dsn: str) -> None:
    """It is told in a line that it may not."""
    await migrate(postgres_dsn)
    with pytest.raises(Unavailable, match="permission denied for schema public"):
        await migrate(await login(postgres_dsn, WORKER))


async def test_an_older_version_takes_no_right_away(postgres_dsn: str, tmp_path: Path) -> None:
    """What a newer version granted stays, since it alone knows its tables."""
    await migrate(postgres_dsn)
    await migrate(postgres_dsn, _older(tmp_path))
    async with opened(Database(postgres_dsn)) as database:
        await database.fetch("GRANT DELETE ON orders TO payonce_app")
        assert [] == await migrate(postgres_dsn, tmp_path)
        assert "DELETE" in await _held(database)
        assert [] == await migrate(postgres_dsn)
        assert "DELETE" not in await _held(database)


def _older(folder: Path) -> Path:
    for one in read_migrations(find_folder())[:-1]:
        (folder / f"{one.name}.sql").write_text(one.text)
    (folder / "roles.sql").write_text((find_folder() / "roles.sql").read_text())
    return folder


async def _held(database: Database) -> str:
    rows = await database.fetch(_PRIVILEGES, "payonce_app")
    return next(str(row["held"]) for row in rows if row["relname"] == "orders")


@pytest.fixture(scope="module")
def bare_server() -> Iterator[Postgres]:
    """A server where no role was ever made."""
    with tempfile.TemporaryDirectory(prefix="payonce-roles-") as name:
        Path(name).chmod(0o711)
        server = Postgres(data_folder(Path(name) / "postgres"), free_port(), fast=True)
        server.start()
        yield server
        server.stop()


async def run_as_admin(server: Postgres, statement: str) -> None:
    """Run a statement as the server's superuser."""
    connection = await asyncpg.connect(server.dsn)
    await connection.execute(statement)
    await connection.close()


async def test_who_may_not_create_roles_migrates_all_the_same(bare_server: Postgres) -> None:
    """Rights follow once an administrator made the roles, ownership once it is a member."""
    dsn = dsn_of(bare_server.fresh_database("plain"), "plain")
    await run_as_admin(bare_server, "CREATE ROLE plain LOGIN; ALTER DATABASE plain OWNER TO plain")
    assert len(read_migrations(find_folder())) == len(await migrate(dsn))
    async with opened(Database(dsn)) as database:
        alone = await standing(database)
        await run_as_admin(bare_server, "".join(f"CREATE ROLE {one} NOLOGIN;" for one in ROLES))
        assert [] == await migrate(dsn)
        assert [False, True] == [alone.granted, (await standing(database)).granted]
        assert ["plain"] == await owners(database)
        await run_as_admin(bare_server, "GRANT payonce_migrator TO plain")
        assert [] == await migrate(dsn)
        assert ["payonce_migrator"] == await owners(database)
    await run_as_admin(bare_server, f"CREATE ROLE {WORKER} LOGIN IN ROLE payonce_app")
    async with opened(Database(dsn_of(dsn, WORKER))) as database:
        found = await standing(database)
    assert Standing(WORKER, False, False, False, granted=True) == found


async def test_databases_of_a_server_migrate_at_once(bare_server: Postgres) -> None:
    """They all want to make the same roles; each ends with its own rights granted."""
    await run_as_admin(bare_server, "DROP DATABASE IF EXISTS plain WITH (FORCE)")
    await run_as_admin(bare_server, f"DROP ROLE IF EXISTS {WORKER}, {', '.join(ROLES)}")
    dsns = [bare_server.fresh_database(f"at_once_{n}") for n in range(4)]
    await asyncio.gather(*(migrate(dsn) for dsn in dsns))
    for dsn in dsns:
        async with opened(Database(dsn)) as database:
            assert (await standing(database)).granted


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Standing("w", False, False, False, granted=True), None),
        (Standing("w", True, True, True, granted=True), "works as w, who is a superuser; a login"),
        (
            Standing("w", False, True, True, granted=True),
            "works as w, who owns the tables; a login",
        ),
        (Standing("w", False, False, True, granted=True), "works as w, who may create tables; a"),
        (Standing("w", False, False, False, granted=False), "payonce_app and payonce_reader are"),
    ],
)
def test_what_is_too_much_is_said_in_a_line(found: Standing, told: str | None) -> None:
    """With what is enough, and where it is written."""
    line = describe_standing(found)
    assert (told is None) == (line is None)
    assert told is None or (line is not None and told in line and "database.md, Roles" in line)
