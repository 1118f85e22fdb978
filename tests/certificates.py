"""A certificate of an authority of its own, for servers that tests start."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """Files in PEM: the authority's certificate, the server's, and the server's key."""

    authority: Path
    certificate: Path
    key: Path


def certificate(folder: Path, *names: str) -> Certificate:
    """Make one for a server of these names, such as DNS:localhost, in a folder."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=a test's authority", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=keyCertSign")  # fmt: skip
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=files")
    extensions = f"subjectAltName={','.join(names)}\nauthorityKeyIdentifier=keyid\n"
    (folder / "extensions").write_text(extensions)
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "server.pem", "-days", "2",
            "-extfile", "extensions")  # fmt: skip
    return Certificate(folder / "ca.pem", folder / "server.pem", folder / "server.key")
