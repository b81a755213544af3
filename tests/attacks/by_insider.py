"""An operator alone, a support login, a compromised order service, a reader of logs and backups."""

from tests.attacks.defence import stops

_PEOPLE = "worker/payonce/domain/people.py"
_ROLES = "migrations/roles.sql"

DEFENCES = [
    stops(
        "who asked for a refund approves it",
        _PEOPLE,
        "    if _same(by, refund.requested_by):",
        "    if False:",
        "domain/test_people.py::test_nobody_approves_what_they_asked_for",
    ),
    stops(
        "one person approves a large refund twice",
        _PEOPLE,
        "    if _same(by, refund.approved_by):",
        "    if False:",
        "domain/test_people.py::test_a_large_amount_needs_two_people",
    ),
    stops(
        "one token stands for two people",
        "worker/payonce/settings/load.py",
        "    _refuse_shared_tokens(settings)\n",
        "",
        "attacks/test_order_of_checks.py::test_one_token_is_one_person",
    ),
    stops(
        "a person asks for the money that is kept",
        _PEOPLE,
        '    if case.order.settled_by == payment.payment_id:\n        raise Conflict("winner"',
        '    if False:\n        raise Conflict("winner"',
        "handlers/test_refund_desk.py::test_the_winner_is_not_asked_for",
    ),
    stops(
        "a person asks for more than was paid",
        _PEOPLE,
        "    if wanted > case.captured.amount:",
        "    if False:",
        "domain/test_people.py::test_a_request_is_refused_by_name",
    ),
    stops(
        "the code, or SQL by hand, refunds the winner",
        "migrations/0006_paid_once.sql",
        "WHERE o.order_id = NEW.order_id AND o.settled_by = NEW.payment_id",
        "WHERE false AND o.order_id = NEW.order_id AND o.settled_by = NEW.payment_id",
        "store/test_schema.py::test_every_rule_refuses_what_it_is_for",
    ),
    stops(
        "a worker's login rewrites the story",
        _ROLES,
        "GRANT INSERT ON timeline, gateway_journal, operator_journal TO payonce_app;",
        "GRANT INSERT, UPDATE, DELETE ON timeline, gateway_journal, operator_journal\n"
        "TO payonce_app;",
        "store/test_roles.py::test_a_worker_may_do_its_work_alone",
    ),
    stops(
        "support's login reads the key of all tokens",
        _ROLES,
        "activity, operator_journal, captures, payonce_migrations\nTO payonce_reader;",
        "activity, operator_journal, captures, payonce_migrations, installation\n"
        "TO payonce_reader;",
        "store/test_roles.py::test_who_looks_sees_no_secret_and_writes_nothing",
    ),
    stops(
        "a temporary table hides the rule that the winner is kept",
        "migrations/0010_pinned_functions.sql",
        "SET search_path = %I, pg_temp'",
        "SET search_path = pg_temp, %I'",
        "store/test_roles.py::test_a_table_of_ones_own_hides_no_other",
    ),
    stops(
        "a secret is told by logs",
        "worker/payonce/adapters/logs.py",
        "        name: MASK if _SECRET_NAMES.search(name) else _masked(one)",
        "        name: one",
        "attacks/test_order_of_checks.py::test_logs_hide_what_looks_like_a_secret",
    ),
    stops(
        "a secret is told by settings that are shown",
        "worker/payonce/settings/secret.py",
        'return "Secret(***)"',
        'return f"Secret({self._text})"',
        "settings/test_secrecy.py::test_secret_shows_stars",
    ),
    stops(
        "headers of a callback that are secrets are kept for ever",
        "worker/payonce/gateways/http.py",
        "        return CheckedCallback(event_id, {name: given[name] for name in SIGNED_HEADERS})",
        "        return CheckedCallback(event_id, given)",
        "gateways/test_callbacks.py::test_a_callback_in_order_is_taken",
    ),
    stops(
        "the order service leads the signed call elsewhere",
        "worker/payonce/adapters/webhook.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "adapters/test_webhook.py::test_a_redirect_is_a_refusal_and_nobody_follows_it",
    ),
    stops(
        "an answer of the order service has no end",
        "worker/payonce/adapters/webhook.py",
        "            return answer.status\n",
        "            await answer.read()\n            return answer.status\n",
        "adapters/test_webhook.py::test_a_body_without_an_end_is_not_read",
    ),
    stops(
        "the address of a page, with its token, is told to another site",
        "worker/payonce/edge/pages/rendering.py",
        '    "Referrer-Policy": "no-referrer",\n',
        "",
        "edge/test_rendering.py::test_every_page_forbids_what_no_page_needs",
    ),
]
