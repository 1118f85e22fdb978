"""URIs, mounted Secrets and mounted folders as sources."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.open import open_store
from trireme.edge.stores.reader import Reader
from trireme.edge.stores.types import Access, Named
from trireme.edge.stores.uri import SCHEMES, parse, parse_hub, shown
from trireme.edge.stores.writing import open_writer


@pytest.mark.parametrize(
    ("uri", "place", "path", "folder"),
    [
        ("s3://bucket/a/b.onnx", "bucket", "a/b.onnx", False),
        ("S3://bucket/a/", "bucket", "a", True),
        ("gs://bucket", "bucket", "", True),
        ("s3://bucket/a?b#c", "bucket", "a?b#c", False),
        ("https://user:secret@host:8443/a%20b.onnx?sig=x", "host:8443", "a b.onnx", False),
        ("pvc://claim/m/1", "claim", "m/1", False),
        ("file:///models/m", "", "models/m", False),
        ("oci://host:5000/acme/m:v1", "host:5000", "acme/m:v1", False),
    ],
)
def test_a_uri_is_taken_apart(uri: str, place: str, path: str, folder: bool) -> None:
    location = parse(uri)
    assert (location.place, location.path, location.folder) == (place, path, folder)
    assert "secret" not in location.name


@pytest.mark.parametrize(
    ("location", "name", "file_name"),
    [
        pytest.param(parse("s3://b/a/m.onnx"), "s3://b/a/m.onnx", "m.onnx", id="an object"),
        pytest.param(parse("s3://b/a/1/"), "s3://b/a/1/", "1", id="a folder"),
        pytest.param(parse("s3://b"), "s3://b/", "", id="a bucket"),
        pytest.param(parse("https://u:p@h/m.pt?s=x"), "https://h/m.pt", "m.pt", id="a signed URL"),
        pytest.param(parse("oci://h/a/m:v1"), "oci://h/a/m:v1", "", id="an artefact"),
        pytest.param(
            parse_hub("hf://a/m@v1/x/m.onnx"), "hf://a/m@v1/x/m.onnx", "m.onnx", id="a hub's file"
        ),
        pytest.param(parse_hub("hf://a/m"), "hf://a/m@main", "", id="a hub's repository"),
    ],
)
def test_a_location_says_how_it_is_named_and_what_file(
    location: Named, name: str, file_name: str
) -> None:
    assert (location.name, location.file_name) == (name, file_name)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("models/encoder", "the URI has no scheme: models/encoder"),
        ("ftp://host/a", "the scheme ftp:// is unknown"),
        ("s3:///a", "names no place"),
        ("https://host:port/a", "no URI"),
        ("https://[host/a", "no URI"),
    ],
)
def test_what_is_no_source_is_told(uri: str, words: str) -> None:
    with pytest.raises(FetchFailed) as failed:
        parse(uri)
    assert failed.value.reason is FetchReason.UNSUPPORTED
    assert words in failed.value.message


@given(st.text())
def test_any_text_is_a_uri_or_none(uri: str) -> None:
    with suppress(FetchFailed):
        assert parse(uri).scheme in SCHEMES


def test_nothing_secret_of_a_uri_is_shown() -> None:
    assert shown("ftp://user:pw@host/a?sig=x#y") == "ftp://host/a"


@pytest.mark.parametrize(
    ("uri", "repository", "revision", "path", "pinned"),
    [
        ("hf://acme/enc", "acme/enc", "main", "", False),
        ("hf://acme/enc@v1/onnx/model.onnx", "acme/enc", "v1", "onnx/model.onnx", False),
        ("hf://acme/enc@refs%2Fpr%2F3", "acme/enc", "refs/pr/3", "", False),
        (f"hf://acme/enc@{'a' * 40}/m", "acme/enc", "a" * 40, "m", True),
    ],
)
def test_a_hubs_uri_is_taken_apart(
    uri: str, repository: str, revision: str, path: str, pinned: bool
) -> None:
    found = parse_hub(uri)
    assert (found.repository, found.revision, found.path) == (repository, revision, path)
    assert found.pinned is pinned


# ------------------------------------------------------------------------------- credentials


def secret(folder: Path, **values: str) -> Credentials:
    """As the kubelet mounts it: links into a folder that is swapped as a whole."""
    (folder / "..2026").mkdir()
    (folder / "..data").symlink_to("..2026")
    for key, value in values.items():
        (folder / "..2026" / key).write_text(value)
        (folder / key).symlink_to(f"..data/{key}")
    return Credentials.read(folder)


def test_a_mounted_secret_is_read_and_never_shown(tmp_path: Path) -> None:
    found = secret(tmp_path, token="s3cr3t\n", AWS_REGION="eu", empty="\n")  # noqa: S106
    assert found.get("token") == "s3cr3t"
    assert (found.get("empty"), found.get("none")) == (None, None)
    assert set(found.values) == {"token", "AWS_REGION", "empty"}
    assert "s3cr3t" not in repr(found)
    assert found.redact("key s3cr3t in eu") == "key *** in eu"


def test_a_secret_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="the Secret none cannot be read") as failed:
        Credentials.read(tmp_path / "none")
    assert failed.value.reason is FetchReason.CREDENTIALS_INVALID


AUTH = base64.b64encode(b"robot:s3cr3t").decode()


@pytest.mark.parametrize(
    ("values", "login"),
    [
        pytest.param({"username": "u", "password": "p"}, ("u", "p"), id="a pair"),
        pytest.param(
            {".dockerconfigjson": json.dumps({"auths": {"host": {"auth": AUTH}}})},
            ("robot", "s3cr3t"),
            id="docker's",
        ),
        pytest.param(
            {".dockerconfigjson": json.dumps({"auths": {"https://host": {
                "username": "u", "password": "p"}}})},
            ("u", "p"),
            id="docker's in two fields",
        ),
        pytest.param({".dockerconfigjson": '{"auths": {}}'}, None, id="of another host"),
        pytest.param({}, None, id="none"),
    ],
)  # fmt: skip
def test_a_registrys_login(values: dict[str, str], login: tuple[str, str] | None) -> None:
    assert Credentials(values).registry_login("host") == login


@pytest.mark.parametrize("text", ["rubbish", "[]", '{"auths": {"host": {"auth": "%"}}}', "{}"])
def test_a_docker_config_that_is_none_is_told(text: str) -> None:
    with pytest.raises(FetchFailed) as failed:
        Credentials({".dockerconfigjson": text}).registry_login("host")
    assert failed.value.reason is FetchReason.CREDENTIALS_INVALID


# ------------------------------------------------------------------------------- folders


def claim(folder: Path) -> Access:
    (folder / "models" / "enc" / "deep").mkdir(parents=True)
    (folder / "models" / "enc" / "model.onnx").write_bytes(b"graph")
    (folder / "models" / "enc" / "deep" / "w").write_bytes(b"weights")
    return Access(claims=folder)


def test_a_folder_of_a_claim(tmp_path: Path) -> None:
    store = open_store("pvc://models/enc", claim(tmp_path), Credentials())
    listing = store.list()
    assert [(o.path, o.size) for o in listing.objects] == [("deep/w", 7), ("model.onnx", 5)]
    assert Reader(store, listing.objects[0]).read(2, 3) == b"igh"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        pytest.param("pvc://models/none", FetchReason.NOT_FOUND, id="no such folder"),
        pytest.param("pvc://other/enc", FetchReason.NOT_FOUND, id="no such claim"),
        pytest.param("pvc://models/../secret", FetchReason.UNSAFE_PATH, id="leads out"),
        pytest.param("pvc://models/out", FetchReason.UNSAFE_PATH, id="a link leads out"),
        pytest.param("pvc://models/pipes", FetchReason.UNSAFE_PATH, id="a pipe"),
    ],
)
def test_what_is_no_folder_of_the_claim(tmp_path: Path, uri: str, reason: FetchReason) -> None:
    access = claim(tmp_path)
    (tmp_path / "secret").write_text("s3cr3t")
    (tmp_path / "models" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "models" / "pipes").mkdir()
    os.mkfifo(tmp_path / "models" / "pipes" / "p")
    with pytest.raises(FetchFailed) as failed:
        open_store(uri, access, Credentials()).list()
    assert failed.value.reason is reason


@contextmanager
def refused(folder: Path) -> Iterator[None]:
    """A folder that this process may not use: nobody may, and root is nobody meanwhile."""
    user = os.geteuid()
    folder.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


def test_a_volume_that_refuses_is_told_for_what_it_is_and_not_for_keys(tmp_path: Path) -> None:
    access = claim(tmp_path)
    store = open_store("pvc://models/enc/model.onnx", access, Credentials())
    writer = open_writer("pvc://models/enc/optimised/", access, Credentials())
    with refused(tmp_path / "models" / "enc"):
        with pytest.raises(FetchFailed) as unread:
            store.list()
        with pytest.raises(FetchFailed) as unwritten:
            writer.write("model.onnx", BytesIO(b"graph"))
    assert unread.value.reason is unwritten.value.reason is FetchReason.VOLUME_REFUSED
    assert "fsGroup" in FetchReason.VOLUME_REFUSED.remedy


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    store = open_store("pvc://models/enc", claim(tmp_path), Credentials())
    item = store.list().objects[1]
    (tmp_path / "models/enc/model.onnx").write_bytes(b"another graph")
    with pytest.raises(FetchFailed) as failed:
        Reader(store, item).read(0, 5)
    assert failed.value.reason is FetchReason.CHANGED
