"""`python -m store` serves the files that are packed in /content/files.tar.gz until it is ended.

One port is S3, by moto, with all of them in one bucket: once /state/keys.json is there, it answers
only what is signed by those keys, which it makes anew at each start. On the other port the same
files are anybody's by HTTPS, in ranges, with the certificate in /tls; while there is a file
/state/hold, an answer stops in its midst.
"""

import json
import logging
import tarfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
import requests
from flask import Flask, Response, send_from_directory
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server

from store import BUCKET, HELD_AFTER_BYTES, HTTPS_PORT, S3_PORT

_PACKED = Path("/content/files.tar.gz")
_STATE = Path("/state")
_FILES = _STATE / "files"
_TLS = Path("/tls")
_S3 = f"http://127.0.0.1:{S3_PORT}"
_USER = "reader"
_MAY_READ = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"},
}


def main() -> None:
    """Serve; ready once the keys are there."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with tarfile.open(_PACKED) as archive:
        archive.extractall(_FILES)  # noqa: S202  # the test's own
    ThreadedMotoServer("0.0.0.0", S3_PORT, verbose=False).start()  # noqa: S104  # the pod's own
    _upload(_client("s3"))
    keys = _lock(_client("iam"))
    tls = (str(_TLS / "tls.crt"), str(_TLS / "tls.key"))
    web = make_server("0.0.0.0", HTTPS_PORT, _web(), threaded=True, ssl_context=tls)  # noqa: S104
    (_STATE / "keys.json").write_text(json.dumps(keys))
    web.serve_forever()


def _client(service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=_S3,
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",  # noqa: S106  # until the store is locked
    )


def _upload(client: Any) -> None:
    client.create_bucket(Bucket=BUCKET)
    for file in filter(Path.is_file, _FILES.rglob("*")):
        key = file.relative_to(_FILES).as_posix()
        client.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())


def _lock(client: Any) -> dict[str, str]:
    """From now on every request must be signed; the keys of somebody who may read."""
    client.create_user(UserName=_USER)
    client.put_user_policy(UserName=_USER, PolicyName="read", PolicyDocument=json.dumps(_MAY_READ))
    made = client.create_access_key(UserName=_USER)["AccessKey"]
    requests.post(f"{_S3}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
    return {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
    }


def _web() -> Flask:
    app = Flask(__name__)

    @app.get("/<path:path>")
    def file(path: str) -> Response:
        answer = send_from_directory(_FILES, path)
        answer.direct_passthrough = False
        answer.response = _held(answer.iter_encoded())
        return answer

    return app


def _held(pieces: Iterable[bytes]) -> Iterator[bytes]:
    sent = 0
    for piece in pieces:
        while sent > HELD_AFTER_BYTES and (_STATE / "hold").exists():
            time.sleep(0.1)
        yield piece
        sent += len(piece)


if __name__ == "__main__":
    main()
