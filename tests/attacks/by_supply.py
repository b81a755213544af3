"""Who reads along, takes a server's place, or changes what payonce is made of."""

from tests.attacks.defence import stops

DEFENCES = [
    stops(
        "TLS is asked for, and its certificates are not looked at",
        "worker/payonce/settings/servers.py",
        "    if wanted and urlsplit(url).scheme != scheme:",
        "    if False:",
        "settings/test_servers.py::test_half_a_protection_is_refused",
    ),
    stops(
        "a container is taken, and its system written to",
        "compose.yaml",
        "x-payonce: &payonce\n  image: payonce\n  pull_policy: never\n  read_only: true\n",
        "x-payonce: &payonce\n  image: payonce\n  pull_policy: never\n",
        "tools/test_container.py::test_a_service_cannot_write_nor_rise",
    ),
    stops(
        "a port of the servers is open to the network",
        "compose.yaml",
        '"127.0.0.1:15672:15672"',
        '"15672:15672"',
        "tools/test_container.py::test_ports_are_bound_to_this_machine",
    ),
    stops(
        "the image runs as root",
        "Dockerfile",
        "USER 10001:10001",
        "USER root",
        "tools/test_container.py::test_the_image_runs_as_a_numbered_user",
    ),
]
