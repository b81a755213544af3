"""What a private server needs to speak TLS: files alone. Standard library only, as the servers."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tls:
    """Files in PEM. `client`: certificate and key that clients must show; None: they show none."""

    ca: Path
    certificate: Path
    key: Path
    client: tuple[Path, Path] | None = None

    def context(self) -> ssl.SSLContext:
        """Return what a client of such a server connects with."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.client is not None:
            context.load_cert_chain(*self.client)
        return context

    def query(self, ca: str, certificate: str, key: str) -> str:
        """Return the query of a URL, by the names that a library gives to these options."""
        options = [f"{ca}={self.ca}"]
        if self.client is not None:
            options += [f"{certificate}={self.client[0]}", f"{key}={self.client[1]}"]
        return "&".join(options)
