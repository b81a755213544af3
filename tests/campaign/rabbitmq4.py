"""RabbitMQ 4 beside the one that is installed: Debian 13's packages, unpacked into a folder.

They are linked against Debian 13's libraries, so the broker runs with that folder as its root. Its
data lie where those of any broker of ours lie, bound into that root in a mount namespace that goes
with its processes.
"""

import shutil
import subprocess

from tests.support.order_service import ROOT
from tests.support.rabbitmq import RabbitMQ

SUITE = "trixie"
KEPT = ROOT / ".dev" / "rabbitmq4"
_PROGRAMS = "/usr/lib/rabbitmq/bin"
_INSIDE = """
set -e
root=$1 data=$2
shift 2
mkdir -p "$root$data"
mount --bind "$data" "$root$data"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
exec chroot "$root" sh -c 'cd "$0" && exec "$@"' "$data" "$@"
"""


class RabbitMQ4(RabbitMQ):
    """A broker of the version that Debian 13 has. Only root can run it."""

    def _command(self, program: str, *arguments: str) -> list[str]:
        inside = ["sh", "-c", _INSIDE, "sh", str(KEPT), str(self.folder.absolute())]
        return ["unshare", "--mount", *inside, f"{_PROGRAMS}/{program}", *arguments]


def unpack() -> None:
    """Get and unpack the packages unless they are there. Raises OSError, CalledProcessError."""
    if (KEPT / _PROGRAMS.lstrip("/") / "rabbitmq-server").exists():
        return
    draft = KEPT.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", SUITE, str(draft)]
    subprocess.run([*command, _mirror()], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(KEPT, ignore_errors=True)
    draft.rename(KEPT)


def _mirror() -> str:
    """Return where this machine gets Debian's packages from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    listed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    found = [uri for uri in listed if uri.rstrip("/").endswith("/debian")]
    if not found:
        raise OSError("apt knows no mirror of Debian")
    return found[0]
