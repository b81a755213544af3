"""Somebody on the message bus, or in Redis: its bytes, not its word."""

from tests.attacks.defence import stops

_RABBIT = "worker/payonce/adapters/rabbitmq"

DEFENCES = [
    stops(
        "headers nested a thousandfold end the worker, again and again",
        f"{_RABBIT}/wire.py",
        "    RecursionError,\n",
        "",
        "broker/test_hostile_headers.py::test_a_message_with_any_headers_is_parked",
        "fuzz/test_fuzz.py::test_nothing_foreign_breaks_it",
    ),
    stops(
        "a parked message makes the list of parked messages unreadable",
        f"{_RABBIT}/transport.py",
        "passed.append(wire.readable(frame_type, data[at:end]))",
        "passed.append(data[at:end])",
        "broker/test_hostile_headers.py::test_what_the_broker_parks_is_shown_whatever_its_headers",
    ),
    stops(
        "forged x-death, x-parked, CC: a parked message vanishes, or goes elsewhere",
        f"{_RABBIT}/parking.py",
        "properties.headers = {**clean_headers(properties.headers), **why}",
        "properties.headers = {**(properties.headers or {}), **why}",
        "broker/test_consumer.py::test_parking_strips_what_would_harm",
    ),
    stops(
        "a message of megabytes is read",
        "worker/payonce/adapters/codec.py",
        "    if len(body) > MAX_BODY_BYTES:",
        "    if False:",
        "adapters/test_codec.py::test_garbage_names_what_is_wrong",
    ),
    stops(
        "a message that breaks us blocks all others",
        "worker/payonce/adapters/consuming.py",
        "        if failures >= TRIES:",
        "        if False:",
        "broker/test_suite.py::test_a_fault_parks_after_three_tries",
    ),
    stops(
        "a poll that is not ours holds a time without a place in the calendar",
        "worker/payonce/adapters/codec.py",
        '    _check_ms(message.due_ms, "due_ms")\n',
        "",
        "adapters/test_codec.py::test_wrong_poll_names_its_field",
    ),
    stops(
        "a poll's outcome steers the terminal of who looks at the order",
        "worker/payonce/adapters/codec.py",
        "if not 1 <= len(outcome) <= _LONGEST_OUTCOME or not outcome.isprintable():",
        "if not outcome:",
        "adapters/test_codec.py::test_wrong_poll_names_its_field",
    ),
    stops(
        "the same, from what the database holds",
        "worker/payonce/cli/show.py",
        'f"poll {step}", who, shown(outcome)',
        'f"poll {step}", who, outcome',
        "attacks/test_terminals.py::test_an_order_s_story_is_still",
    ),
    stops(
        "a parked message's id steers the terminal",
        "worker/payonce/cli/parked.py",
        'print(shown(f"left {message_id}: {problem}"), file=sys.stderr)',
        'print(f"left {message_id}: {problem}", file=sys.stderr)',
        "attacks/test_terminals.py::test_what_is_left_parked_is_told_still",
    ),
    stops(
        "a log's field steers the terminal",
        "worker/payonce/adapters/logs.py",
        "        shared.append(keep_still)\n",
        "        pass\n",
        "attacks/test_terminals.py::test_logs_are_still",
    ),
    stops(
        "a line of JSON becomes two, for readers to whom U+2028 ends one",
        "worker/payonce/cli/printing.py",
        "\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069",
        "",
        "attacks/test_terminals.py::test_json_is_one_line_a_row",
    ),
    stops(
        "a payment is told again with another amount or order",
        "worker/payonce/handlers/register.py",
        "            case RegisterOutcome.CONFLICT | RegisterOutcome.REF_TAKEN:\n"
        '                return Park(f"{registered.outcome}: {registered.detail}")\n',
        "            case RegisterOutcome.CONFLICT | RegisterOutcome.REF_TAKEN:\n"
        "                return DONE\n",
        "handlers/test_register.py::test_another_content_under_the_same_id_is_parked",
    ),
    stops(
        "an acknowledgement names a payment that did not win",
        "worker/payonce/handlers/acknowledge.py",
        "                return Park(outcome.value)",
        "                return DONE",
        "handlers/test_acknowledge.py::test_any_other_acknowledgement_is_parked",
    ),
    stops(
        "a success is written into Redis: a poll ends, an application is denied",
        "worker/payonce/adapters/redis/cache.py",
        "        return text if is_ours else None",
        "        return text",
        "adapters/test_redis.py::test_what_somebody_else_wrote_into_redis_was_never_seen",
        "fuzz/test_fuzz.py::test_nothing_foreign_breaks_it",
    ),
    stops(
        "a proven success is copied to another payment",
        "worker/payonce/adapters/redis/cache.py",
        'f"{key} {version} {text}".encode()',
        'f"{version} {text}".encode()',
        "adapters/test_redis.py::test_a_proven_word_is_no_word_about_another",
    ),
    stops(
        "a Redis of another past ends the watch of a payment for good",
        "worker/payonce/handlers/poll.py",
        "        if seen.succeeded and not message.epoch:",
        "        if seen.succeeded:",
        "attacks/test_order_of_checks.py::test_no_memory_ends_a_watch_that_was_taken_up",
    ),
    stops(
        "a forged change breaks the listening",
        "worker/payonce/adapters/redis/changes.py",
        "        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:",
        "        except FileExistsError as error:",
        "fuzz/test_fuzz.py::test_nothing_foreign_breaks_it",
    ),
]
