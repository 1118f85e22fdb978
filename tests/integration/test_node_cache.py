"""The cache of a node, by its real server on loopback: shared within a namespace, closed to others,
bounded whatever clients do, and never needed.
"""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest
from typer.testing import CliRunner

from integration.fetching import NodeAccess, Pod, noise, sha256, until
from integration.file_server import FileServer, file_server
from integration.trireme_process import TriremeProcess
from ports import free_port
from trireme.api.fetch import Fetch, FetchNodeCache, FetchPlan, FetchSource, ModelResult
from trireme.api.node_cache import NodeCacheKey, Sort
from trireme.cli import app
from trireme.fetcher import node_cache
from trireme.fetcher.folder_shelf import FolderShelf
from trireme.fetcher.node_cache import NodeCacheServer
from trireme.fetcher.program import Mounts, run

KEY = NodeCacheKey(b"thirty-two bytes that are random")
MODEL = noise(3_000_000)
DIGEST = sha256(MODEL)


@dataclass(frozen=True)
class Node:
    """A node's cache that serves, and the folder that it keeps its files in."""

    folder: Path
    port: int

    def access(self, namespace: str, port: int | None = None) -> NodeAccess:
        """How a pod of a namespace reaches it."""
        token_file = self.folder.parent / f"{namespace}-token"
        token_file.write_text(KEY.token(namespace))
        return NodeAccess(f"http://127.0.0.1:{port or self.port}/v1/{namespace}", token_file)

    def pod(self, name: str, namespace: str = "team") -> Pod:
        """A pod on this node."""
        return Pod(self.folder.parent / name, node=self.access(namespace), stall_seconds=30)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and content of a request, by the token of `team` unless another is given."""
        given = {"Authorization": f"Bearer {KEY.token('team')}", **headers}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer.status, answer.read()

    @property
    def kept(self) -> dict[str, bytes]:
        """All it keeps, by the names that the files have."""
        return {file.name: file.read_bytes() for file in (self.folder / Sort.BLOB).iterdir()}

    def file_of(self, content: bytes) -> Path:
        """The one file that holds this."""
        (name,) = [name for name, kept in self.kept.items() if kept == content]
        return self.folder / Sort.BLOB / name

    @property
    def unfinished(self) -> list[Path]:
        return list((self.folder / "temporary").iterdir())


@contextmanager
def serving(folder: Path, limit_bytes: int = 10**9, least_bytes: int = 0) -> Iterator[Node]:
    shelf = FolderShelf(folder, limit_bytes, least_bytes)
    shelf.prepare()
    with NodeCacheServer(shelf, KEY, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Node(folder, server.server_port)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with serving(tmp_path / "node") as running:
        yield running


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server({"/m.onnx": MODEL}) as running:
        yield running


def blob(digest: str, namespace: str = "team") -> str:
    return f"/v1/{namespace}/blobs/{digest}"


# ------------------------------------------------------------------------------ within a namespace


def test_a_second_pod_starts_without_the_network(node: Node) -> None:
    with file_server({"/m.onnx": MODEL}) as server:
        uri = f"{server.url}/m.onnx"
        assert node.pod("one").fetch(uri).source is FetchSource.NETWORK
    two, three = node.pod("two"), node.pod("three")
    unpinned = two.fetch(uri)
    assert unpinned.source is FetchSource.CACHE
    assert str(unpinned.note).startswith("the cached copy is used, unchecked for age")
    pinned = three.fetch("s3://elsewhere/m.onnx", sha256=DIGEST)
    assert (pinned.source, pinned.note) == (FetchSource.CACHE, None)
    assert two.files() == three.files() == {"m.onnx": MODEL}


def test_a_folder_is_found_again_by_its_manifest(node: Node, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for name in ("a", "b"):
        (tmp_path / "source" / name).write_bytes(name.encode() * 9)
    lines = [f"{sha256(name.encode() * 9)}  {name}\n" for name in ("a", "b")]
    whole = sha256("".join(lines).encode())
    node.pod("one").fetch(f"file://{tmp_path}/source", sha256=whole)
    two = node.pod("two")
    assert two.fetch("s3://elsewhere/folder/", sha256=whole).source is FetchSource.CACHE
    assert two.files() == {"a": b"a" * 9, "b": b"b" * 9}


def test_two_pods_that_start_at_once_fetch_it_once(node: Node, server: FileServer) -> None:
    pods = [node.pod("one"), node.pod("two")]
    server.behave = lambda r: setattr(
        r, "hold_after", None if r.headers["Range"] == "bytes=0-0" else 1000
    )
    with ThreadPoolExecutor(2) as threads:
        results = [threads.submit(pod.fetch, f"{server.url}/m.onnx") for pod in pods]
        assert server.held.wait(30)
        until("both asked what is there", lambda: len(server.requests) - 1 == 2)
        server.released.set()
        sources = sorted(str(result.result(30).source) for result in results)
    assert sources == ["cache", "network"]
    assert [pod.files() for pod in pods] == [{"m.onnx": MODEL}] * 2
    assert len(server.bytes_requests) == 1


def test_one_of_two_pods_dies_and_the_other_fetches_it(node: Node, server: FileServer) -> None:
    one, two = node.pod("one"), node.pod("two")
    one.folder.mkdir()
    server.behave = lambda r: setattr(
        r, "hold_after", None if len(server.bytes_requests) > 1 else 1000
    )
    process = one.process(f"{server.url}/m.onnx")
    assert server.held.wait(30)
    with ThreadPoolExecutor(1) as threads:
        result = threads.submit(two.fetch, f"{server.url}/m.onnx")
        until("the other asked what is there", lambda: len(server.requests) == 3)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert result.result(30).note is None
    assert two.files() == {"m.onnx": MODEL}


@pytest.mark.parametrize("damage", [b"evil" * 750_000, b"short", b""])
def test_a_copy_that_the_nodes_disk_damaged_is_replaced_and_told(
    node: Node, server: FileServer, damage: bytes
) -> None:
    node.pod("one").fetch(f"{server.url}/m.onnx", sha256=DIGEST)
    file = node.file_of(MODEL)
    file.write_bytes(damage)
    two = node.pod("two")
    result = two.fetch(f"{server.url}/m.onnx", sha256=DIGEST)
    assert (result.source, result.note) == (
        FetchSource.NETWORK,
        "the cached copy of m.onnx was damaged: fetched again",
    )
    assert two.files() == {"m.onnx": MODEL}
    assert file.read_bytes() == MODEL


# ----------------------------------------------------------------------------- between namespaces


def test_another_namespace_fetches_by_itself_whatever_digest_it_knows(
    node: Node, server: FileServer
) -> None:
    node.pod("one").fetch(f"{server.url}/m.onnx", sha256=DIGEST)
    other = node.pod("two", namespace="others")
    assert other.fetch(f"{server.url}/m.onnx", sha256=DIGEST).source is FetchSource.NETWORK
    assert list(node.kept.values()).count(MODEL) == 2


TOKEN = {"team": KEY.token("team"), "others": KEY.token("others")}


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("", id="no token"),
        pytest.param("Bearer ", id="an empty one"),
        pytest.param(f"Bearer {TOKEN['others']}", id="another namespace's"),
        pytest.param(f"Bearer {TOKEN['team'][:-1]}", id="one that is cut off"),
        pytest.param(f"Basic {TOKEN['team']}", id="another scheme"),
        pytest.param("Bearer t\xf6ken", id="other letters than a token has"),
        pytest.param(f"Bearer {NodeCacheKey(bytes(32)).token('team')}", id="one of an earlier key"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
def test_nobody_else_is_answered(node: Node, method: str, authorization: str) -> None:
    assert node.ask("PUT", blob(DIGEST), MODEL) == (204, b"")
    path = f"/v1/team/leases/{DIGEST}" if method == "POST" else blob(DIGEST)
    body = b"evil" if method == "PUT" else None
    assert node.ask(method, path, body, Authorization=authorization) == (401, b"")
    assert list(node.kept.values()) == [MODEL]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/", id="the root"),
        pytest.param(f"/v1/team/blobs/../{DIGEST}", id="a way up"),
        pytest.param(f"/v1/team/../others/blobs/{DIGEST}", id="a way to another namespace"),
        pytest.param(f"/v1/team/blobs/{DIGEST}/", id="a slash at the end"),
        pytest.param(f"/v1/team/blobs/{DIGEST}?as=others", id="a query"),
        pytest.param(f"/v1/team/blobs/{DIGEST.upper()}", id="a digest in capitals"),
        pytest.param(f"/v1/team/blobs/{DIGEST[:-1]}", id="a short digest"),
        pytest.param(f"/v1/team/locks/{DIGEST}", id="a sort there is not"),
        pytest.param(f"/v1/{'n' * 64}/blobs/{DIGEST}", id="a namespace of 64 characters"),
        pytest.param("/v1/team/blobs/%2e%2e%2fkey", id="a way up in disguise"),
        pytest.param(f"http://127.0.0.1/v1/team/blobs/{DIGEST}", id="a whole URL"),
    ],
)
def test_a_path_that_is_none_is_refused(node: Node, path: str) -> None:
    assert node.ask("GET", path)[0] == 400
    assert node.ask("PUT", path, b"evil")[0] == 400
    assert node.kept == {}


# --------------------------------------------------------------------------- whatever clients send


@pytest.mark.parametrize(
    ("sort", "body", "headers", "status"),
    [
        pytest.param("blobs", b"evil", {}, 422, id="a file of another digest"),
        pytest.param("manifests", b"evil", {}, 422, id="a manifest of another digest"),
        pytest.param("memos", b"m" * 4097, {}, 413, id="a memo that is too large"),
        pytest.param("manifests", b"", {"Content-Length": str(2**25)}, 413, id="a large manifest"),
        pytest.param("blobs", b"", {"Content-Length": str(10**10)}, 507, id="more than the limit"),
        pytest.param("blobs", b"", {"Content-Length": "-1"}, 411, id="a negative length"),
        pytest.param("blobs", b"", {"Content-Length": "9" * 19}, 411, id="a length of no file"),
        pytest.param("blobs", b"", {"Transfer-Encoding": "chunked"}, 411, id="no length"),
        pytest.param("leases", b"", {}, 405, id="a lease"),
    ],
)
def test_what_is_not_to_be_kept_is_not(
    node: Node, sort: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert node.ask("PUT", f"/v1/team/{sort}/{DIGEST}", body, **headers)[0] == status
    until("the request is over", lambda: not node.unfinished)
    assert node.kept == {}


def test_a_writer_that_dies_leaves_nothing_behind(tmp_path: Path) -> None:
    with serving(tmp_path / "node", limit_bytes=len(MODEL)) as node:
        with socket.create_connection(("127.0.0.1", node.port)) as writer:
            head = f"PUT {blob(DIGEST)} HTTP/1.1\r\nAuthorization: Bearer {TOKEN['team']}\r\n"
            writer.sendall(f"{head}Content-Length: {len(MODEL)}\r\n\r\n".encode() + MODEL[:-1])
            until("it is being written", lambda: len(node.unfinished) == 1)
            assert node.ask("PUT", blob(sha256(b"more")), b"more")[0] == 507  # its room is its own
        until("it is cleared away", lambda: not node.unfinished)
        until("its room is free", lambda: node.ask("PUT", blob(DIGEST), MODEL)[0] == 204)
        assert list(node.kept.values()) == [MODEL]


def test_a_writer_that_stops_is_given_up_and_what_it_was_to_need_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_cache, "_HEAD_SECONDS", 2.0)
    monkeypatch.setattr(node_cache, "_SLOWEST_BYTES_PER_SECOND", 10**9)
    with (
        serving(tmp_path / "node", limit_bytes=10**15) as node,
        socket.create_connection(("127.0.0.1", node.port)) as writer,
    ):
        head = f"PUT {blob(DIGEST)} HTTP/1.1\r\nAuthorization: Bearer {TOKEN['team']}\r\n"
        writer.sendall(f"{head}Content-Length: {10**15}\r\n\r\n".encode() + MODEL)
        until("it is being written", lambda: len(node.unfinished) == 1)
        until("it is given up", lambda: not node.unfinished)
        monkeypatch.undo()
        until("its room is free", lambda: node.ask("PUT", blob(DIGEST), MODEL)[0] == 204)


def test_what_a_server_that_died_left_behind_is_cleared_away(tmp_path: Path) -> None:
    FolderShelf(tmp_path / "node", 1).prepare()
    (tmp_path / "node/temporary/left").write_bytes(b"half a file")
    with serving(tmp_path / "node") as node:
        assert not node.unfinished


def test_a_client_that_sends_a_byte_now_and_then_gains_no_time(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_cache, "_HEAD_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", node.port)) as slow:
        slow.settimeout(0.05)
        slow.sendall(b"GET / HTTP/1.1\r\n")

        def ended() -> bool:
            try:
                slow.sendall(b"a")
                return slow.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        until("the connection is ended", ended)


def test_a_reader_that_reads_nothing_is_not_waited_for(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = noise(20_000_000)  # more than sockets hold
    node.ask("PUT", blob(sha256(large)), large)
    monkeypatch.setattr(node_cache, "_HEAD_SECONDS", 0.5)  # a head that comes at once is in time
    monkeypatch.setattr(node_cache, "_SLOWEST_BYTES_PER_SECOND", 10**9)
    limited = FolderShelf(node.folder, 1)
    with socket.create_connection(("127.0.0.1", node.port)) as slow:
        head = f"GET {blob(sha256(large))} HTTP/1.1\r\nAuthorization: Bearer {TOKEN['team']}\r\n"
        slow.sendall(f"{head}\r\n".encode())
        slow.recv(1)
        # What is being read is not removed, so it can be removed once the reader was given up.
        until("it is given up", lambda: limited.make_room(0, set()))


def test_a_namespace_has_a_part_of_the_connections(node: Node) -> None:
    with ExitStack() as held:
        for number in range(node_cache._MOST_OF_A_NAMESPACE):
            lease = held.enter_context(closing(HTTPConnection("127.0.0.1", node.port)))
            path = f"/v1/team/leases/{sha256(str(number).encode())}"
            lease.request("POST", path, headers={"Authorization": f"Bearer {TOKEN['team']}"})
            held.enter_context(closing(lease.getresponse()))
        assert node.ask("GET", "/v1/team")[0] == 503
        others = {"Authorization": f"Bearer {TOKEN['others']}"}
        assert node.ask("GET", "/v1/others", **others) == (200, b"1000000000")
    until("they are free again", lambda: node.ask("GET", "/v1/team")[0] == 200)


def test_a_connection_too_many_is_closed_and_the_rest_goes_on(node: Node) -> None:
    with ExitStack() as held:
        for _ in range(node_cache._MOST_CONNECTIONS):
            held.enter_context(socket.create_connection(("127.0.0.1", node.port)))
        with socket.create_connection(("127.0.0.1", node.port), timeout=10) as late:
            assert late.recv(1) == b""
    until("it answers again", lambda: _answers(node))


def _answers(node: Node) -> bool:
    try:
        return node.ask("GET", "/healthz") == (200, b"")
    except ConnectionError:
        return False


# --------------------------------------------------------------------------------------- the limit


def test_the_limit_is_that_of_all_namespaces_and_what_was_used_longest_ago_goes(
    tmp_path: Path,
) -> None:
    contents = [noise(1000, seed=n) for n in range(4)]
    digests = [sha256(content) for content in contents]
    with serving(tmp_path / "node", limit_bytes=3500) as node:
        others = {"Authorization": f"Bearer {TOKEN['others']}"}
        node.ask("PUT", blob(digests[0], "others"), contents[0], **others)
        for n in (1, 2):
            node.ask("PUT", blob(digests[n]), contents[n])
        for n in range(3):  # in this order, however quickly one followed the other
            os.utime(node.file_of(contents[n]), (1000 + n, 1000 + n))
        assert node.ask("GET", blob(digests[0], "others"), **others) == (200, contents[0])
        node.ask("PUT", blob(digests[3]), contents[3])
        assert sorted(node.kept.values()) == sorted([contents[0], contents[2], contents[3]])


def test_small_files_count_for_more_than_they_are(tmp_path: Path) -> None:
    with serving(tmp_path / "node", limit_bytes=300, least_bytes=100) as node:
        for n in range(9):
            assert node.ask("PUT", f"/v1/team/memos/{sha256(bytes([n]))}", b"{}")[0] == 204
        assert len(node.kept) <= 3


def test_what_is_larger_than_the_cache_is_fetched_and_not_kept(
    tmp_path: Path, server: FileServer
) -> None:
    with serving(tmp_path / "node", limit_bytes=1000) as node:
        pod = node.pod("one")
        result = pod.fetch(f"{server.url}/m.onnx")
        assert result.note == "not kept in the cache: it does not fit within its limit"
        assert pod.files() == {"m.onnx": MODEL}
        assert node.kept == {}


# ------------------------------------------------------------------------------ where it fails


def started(pod: Pod, uri: str) -> ModelResult:
    """What became of a start of the pod, in this process."""
    assert pod.node
    plan = FetchPlan(
        fetches=[Fetch(model="m", version=1, uri=uri)], cache=FetchNodeCache(url=pod.node.url)
    )
    none = pod.folder / "none"
    mounts = Mounts(pod.root, none, none, None, pod.node.token_file, pod.folder / "result")
    (result,) = run(plan, mounts, 0).models
    return result


def test_where_the_node_has_none_the_source_is_asked_and_that_is_said(
    tmp_path: Path, server: FileServer
) -> None:
    pod = Node(tmp_path / "node", free_port()).pod("one")
    model = started(pod, f"{server.url}/m.onnx")
    assert model.source is FetchSource.NETWORK
    assert pod.files() == {"m.onnx": MODEL}
    assert model.note == (
        "the cache cannot be used: the node's does not do its part (Connection refused)"
    )


@pytest.mark.parametrize(
    ("token", "words"),
    [
        pytest.param(None, "No such file or directory", id="none"),
        pytest.param("", "its token is none", id="an empty one"),
        pytest.param("s3cr3t\r\nX: y", "its token is none", id="one of two lines"),
        pytest.param("é" * 64, "its token is none", id="one of other letters"),
        pytest.param(
            TOKEN["others"],
            "the node's does not do its part (401 Unauthorized)",
            id="another namespace's",
        ),
    ],
)
def test_a_token_of_no_use_costs_the_cache_and_is_not_told(
    node: Node,
    server: FileServer,
    caplog: pytest.LogCaptureFixture,
    token: str | None,
    words: str,
) -> None:
    pod = node.pod("one")
    assert pod.node
    if token is None:
        pod.node.token_file.unlink()
    else:
        pod.node.token_file.write_text(token)
    model = started(pod, f"{server.url}/m.onnx")
    assert model.note == f"the cache cannot be used: {words}"
    assert pod.files() == {"m.onnx": MODEL}
    assert not token or token not in f"{(pod.folder / 'result').read_text()} {caplog.text}"


_LAST = b"no more\r\n\r\n"


@contextmanager
def cutting(target: int, after: int) -> Iterator[tuple[int, list[int]]]:
    """A port that leads to another one, until so many bytes came from there: then it cuts all. With
    what was left of them at each connection.
    """
    taken: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def lead() -> None:
        left = after
        while True:
            near, _ = listener.accept()
            with near, socket.create_connection(("127.0.0.1", target)) as far:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += near.recv(65536)
                if request == _LAST:
                    return
                taken.append(left)
                far.sendall(request)
                while left and (piece := far.recv(min(left, 65536))):
                    near.sendall(piece)
                    left -= len(piece)

    with ThreadPoolExecutor(1) as threads, listener:
        ended = threads.submit(lead)
        try:
            yield listener.getsockname()[1], taken
        finally:
            with socket.create_connection(listener.getsockname()) as last:
                last.sendall(_LAST)
            ended.result(30)


def test_a_cache_that_goes_half_way_costs_what_came_from_it_and_nothing_else(
    node: Node, server: FileServer
) -> None:
    node.pod("one").fetch(f"{server.url}/m.onnx", sha256=DIGEST)
    with cutting(node.port, after=len(MODEL) // 2) as (port, taken):
        pod = Pod(node.folder.parent / "two", node=node.access("team", port))
        result = pod.fetch(f"{server.url}/m.onnx", sha256=DIGEST)
    assert taken[-1] > len(MODEL) // 3  # and after that it was left alone
    assert result.source is FetchSource.NETWORK
    assert result.note == (
        "the cache cannot be used: the node's does not do its part (the connection ended early)"
    )
    assert pod.files() == {"m.onnx": MODEL}


# ---------------------------------------------------------------------------------- the program


def test_the_program_keeps_what_its_size_allows_and_ends_when_told(
    tmp_path: Path,
) -> None:
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY.secret)
    node = Node(tmp_path / "node", free_port())
    command = ["node-cache", f"--folder={node.folder}", f"--key-file={key_file}"]
    for size, before in (("1Gi", 404), ("1Gi", 200), ("2Mi", 404)):
        options = (f"--size={size}", f"--port={node.port}")
        process = TriremeProcess(*command, *options, environment=os.environ)
        try:
            until("it answers", lambda: _answers(node))
            assert node.ask("GET", blob(DIGEST))[0] == before
            if size == "1Gi":
                assert node.ask("PUT", blob(DIGEST), MODEL)[0] == 204
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("size", "key", "status", "words"),
    [
        pytest.param("1Gi", b"short", 1, "holds 5 bytes, and a key has 32 or more", id="no key"),
        pytest.param("much", bytes(32), 2, "much", id="no size"),
    ],
)
def test_what_it_cannot_serve_by_is_told(
    tmp_path: Path, size: str, key: bytes, status: int, words: str
) -> None:
    (tmp_path / "key").write_bytes(key)
    command = ["node-cache", f"--folder={tmp_path}/node", f"--size={size}"]
    ended = CliRunner().invoke(app, [*command, f"--key-file={tmp_path}/key"])
    assert ended.exit_code == status
    assert words in ended.output
