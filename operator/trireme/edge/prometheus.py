"""Prometheus over HTTP: the one place that asks it, through prometheus-api-client.

The client is synchronous and its session not safe to share, so its requests run one after the
other on a `Line`, which leaves behind what hangs. It is given a session that does what its
arguments cannot: no hidden retries (the next round is the retry), TLS files, and a bearer token
read anew for each request, since Kubernetes rotates it. It fails in many ways, some of which quote
a whole request or answer; all become SignalsUnavailable with one plain sentence, which holds no
header, no token and no password.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.auth import AuthBase
from urllib3.util.retry import Retry

from trireme.autoscaler.past_demand import Past
from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.samples import Round
from trireme.edge.answers import NotJson, Vectors, matrix, values
from trireme.edge.line import Line, TooManyHang
from trireme.errors import SignalsUnanswered, SignalsUnavailable
from trireme.settings import Settings

T = TypeVar("T")

_CONNECT_TIMEOUT_SECONDS = 1.0
_GRACE_SECONDS = 0.5  # beyond a limit: the client's own speaks first, and knows which query it was
_MOST_STEPS = 10_000  # of a range query at a time: Prometheus refuses more than 11,000 points
_UNUSABLE_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
_LONGEST_QUOTE = 200  # characters of an answer's text in a message


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach Prometheus, or what speaks its API (Thanos, Mimir, a managed service).

    `url` is the base that `/api/v1/query` is added to. `timeout_seconds` bounds a whole round.
    `headers` go with every request, such as X-Scope-OrgID.
    """

    url: str = field(repr=False)
    timeout_seconds: float
    token_file: Path | None = None
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    insecure_skip_verify: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Access":
        """What the operator's settings say of Prometheus."""
        return cls(
            url=settings.prometheus_url,
            timeout_seconds=settings.prometheus_timeout_seconds,
            token_file=settings.prometheus_token_file,
            ca_file=settings.prometheus_ca_file,
            client_cert_file=settings.prometheus_client_cert_file,
            client_key_file=settings.prometheus_client_key_file,
            insecure_skip_verify=settings.prometheus_insecure_skip_verify,
            headers=settings.prometheus_headers,
        )

    @property
    def name(self) -> str:
        """The URL for messages: without a user and password that may be in it."""
        before, at, host = self.url.rpartition("@")
        scheme, slashes, _ = before.partition("//")
        return f"{scheme}{slashes}{host}" if at and slashes else host


class Prometheus:
    """A connection to Prometheus; close it with `close`, or use it in an `async with`.

    Of an answer no more than `largest_answer_bytes` are read, where they are given.
    """

    def __init__(self, access: Access, largest_answer_bytes: int | None = None) -> None:
        self._access = access
        self._line = Line(lambda: _Connection(access, largest_answer_bytes))

    async def __aenter__(self) -> "Prometheus":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection back, after the request under way."""
        await self._line.close()

    async def round(self, queries: Mapping[Query, str], labels: Labels, now: datetime) -> Round:
        """Answer every query as of `now`, or none: half a round would be a wrong one. The answers
        are told apart by their `labels`.

        One evaluation time for all makes their answers fit each other, and ages mean the same in
        each. It is the caller's clock: where that runs ahead of Prometheus', samples look older
        than they are, and `signals` refuses them once that exceeds its limit; where it runs behind,
        the round sees the past by as much.

        Raises SignalsUnavailable where Prometheus does not answer every query usefully, all of them
        within the timeout.
        """
        return await self._within(
            self._access.timeout_seconds,
            "every query",
            lambda connection: self._round(connection, queries, labels, now),
        )

    async def ask(self, query: str, now: datetime, deadline: float) -> tuple[float, ...]:
        """Answer a user's own query as of `now`, with the values of two series of many, or of a
        scalar. The whole of it ends at `deadline`, by the event loop's clock, the monotonic one.

        Raises SignalsUnavailable as `round` does.
        """
        name = _shortened(" ".join(query.split()))
        left = deadline - time.monotonic()
        if left <= 0:
            limit = self._access.timeout_seconds
            raise self._unavailable(f"did not come to the query {name} within {limit:g} s")
        # Enough to know that there are several. Not every Prometheus knows the parameter.
        params = self._params(now) | {"limit": "2"}
        return await self._within(
            left,
            f"the query {name}",
            lambda connection: self._instant(connection, name, query, params, deadline, values),
        )

    async def _within(self, seconds: float, what: str, work: "Callable[[_Connection], T]") -> T:
        """The answer to `what` is asked, in so many seconds: the client's own limits leave out the
        name that is looked up, and an answer that comes slowly.
        """
        try:
            return await self._line.call(work, seconds + _GRACE_SECONDS)
        except TimeoutError:
            problem = self._late(what)
        except TooManyHang as error:
            problem = SignalsUnanswered(self._words(f"is not asked: {error}"))
        raise problem

    def _params(self, now: datetime) -> dict[str, str]:
        return {
            "time": f"{now.timestamp():.3f}",
            "timeout": f"{self._access.timeout_seconds:g}s",
            "partial_response": "false",  # Thanos: an error instead of half an answer
        }

    def _round(
        self,
        connection: "_Connection",
        queries: Mapping[Query, str],
        labels: Labels,
        now: datetime,
    ) -> Round:
        params = self._params(now)
        vectors = connection.vectors.setdefault(labels, Vectors(labels))
        deadline = time.monotonic() + self._access.timeout_seconds
        answers = {}
        for name, query in queries.items():
            if time.monotonic() >= deadline:
                raise self._late("every query")
            read = partial(vectors.read, name)
            answers[name] = self._instant(connection, name, query, params, deadline, read)
        vectors.keep(most=sum(map(len, answers.values())))
        return answers

    def _instant(
        self,
        connection: "_Connection",
        name: str,
        query: str,
        params: Mapping[str, str],
        deadline: float,
        read: Callable[[bytes], T],
    ) -> T:
        left = max(deadline - time.monotonic(), 1e-3)  # 0 is none to the client
        timeout = (min(_CONNECT_TIMEOUT_SECONDS, left), left)

        def ask() -> T:
            answer = connection.client.custom_query(query, params=dict(params), timeout=timeout)
            if time.monotonic() > deadline:
                raise self._late(f"the query {name}")
            return read(answer)

        return self._told(name, "an instant vector", ask)

    async def past(
        self, name: Query, query: str, begin: datetime, end: datetime, step: timedelta
    ) -> tuple[Past, ...]:
        """Answer one query at each step from `begin` to `end`, in as many parts as it takes.

        Pre: all three are whole seconds. Raises SignalsUnavailable as `round` does; the timeout is
        that of each part.
        """
        found: dict[frozenset[tuple[str, str]], dict[int, float]] = {}
        while begin <= end:
            until = min(begin + (_MOST_STEPS - 1) * step, end)

            def part(
                connection: _Connection, begin: datetime = begin, until: datetime = until
            ) -> list[Past]:
                return self._part(connection, name, query, begin, until, step)

            limit = self._access.timeout_seconds
            for series in await self._within(limit, f"the query {name}", part):
                found.setdefault(frozenset(series.labels.items()), {}).update(series.values)
            begin = until + step
        return tuple(Past(dict(labels), rates) for labels, rates in found.items())

    def _part(
        self,
        connection: "_Connection",
        name: Query,
        query: str,
        begin: datetime,
        until: datetime,
        step: timedelta,
    ) -> list[Past]:
        limit = self._access.timeout_seconds

        def ask() -> list[Past]:
            answer = connection.client.custom_query_range(
                query,
                begin,
                until,
                f"{step.total_seconds():g}",
                params={"timeout": f"{limit:g}s", "partial_response": "false"},
                timeout=(_CONNECT_TIMEOUT_SECONDS, limit),
            )
            return matrix(answer)

        return self._told(name, "a matrix", ask)

    def _told(self, name: str, kind: str, ask: Callable[[], T]) -> T:
        """What was asked; raises SignalsUnavailable, in one sentence, where it is no `kind`."""
        try:
            return ask()
        except _TooLarge as error:
            problem = (
                f"answered the query {name} with more than {error.most_bytes} bytes, and one value "
                "is needed: put sum(...) around it"
            )
        except NotJson:
            problem = "answered something other than JSON: a login page, or another server?"
        except requests.exceptions.InvalidHeader:
            problem = "was not asked: the token or a header holds characters no header may have"
        except _UNUSABLE_URL:
            problem = "was not asked: this is no http:// or https:// URL"
        except requests.exceptions.SSLError as error:
            problem = f"has no TLS that is trusted: {_shortened(str(_root_cause(error)))}"
        except requests.exceptions.RequestException as error:
            cause = _root_cause(error)
            if isinstance(cause, TimeoutError):
                raise self._late(f"the query {name}") from None
            words = self._words(f"does not answer: {_shortened(str(cause))}")
            raise SignalsUnanswered(words) from None
        except PrometheusApiClientException as error:
            problem = f"refused the query {name}: {_shortened(str(error))}"
        except OSError as error:
            problem = f"was not asked: {_shortened(str(error))}"
        except (msgspec.ValidationError, ValueError):
            problem = f"answered the query {name} with something other than {kind}"
        raise self._unavailable(problem)

    def _late(self, what: str) -> SignalsUnanswered:
        limit = self._access.timeout_seconds
        return SignalsUnanswered(self._words(f"did not answer {what} within {limit:g} s"))

    def _unavailable(self, problem: str) -> SignalsUnavailable:
        return SignalsUnavailable(self._words(problem))

    def _words(self, problem: str) -> str:
        return f"Prometheus at {self._access.name} {problem}"


class _Connection:
    """A client with a session of its own; one thread at a time has it."""

    def __init__(self, access: Access, largest_answer_bytes: int | None) -> None:
        self._reading: urllib3.BaseHTTPResponse | None = None
        self.vectors: dict[Labels, Vectors] = {}

        def as_answer(response: requests.Response, **_: object) -> None:
            self._reading = response.raw
            response.__class__ = _Answer
            response.raw = _Body(response.raw, largest_answer_bytes)

        session = _session(access)
        session.hooks["response"].append(as_answer)
        self.client = PrometheusConnect(
            access.url.rstrip("/"),
            headers=dict(access.headers),
            auth=_BearerToken(access.token_file) if access.token_file else None,
            session=session,
            retry=Retry(total=0),
        )

    def give_up(self) -> None:
        """End the answer that is being read, if one is."""
        if self._reading is not None:
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # it is read by now
                self._reading.shutdown()

    def close(self) -> None:
        """Give the connection back."""
        self.client.close()


class _BearerToken(AuthBase):
    """Adds the token of a file that is read for each request."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._file.read_text().strip()}"
        return request


class _Answer(requests.Response):
    """A response whose JSON is read by `answers`. The client would have its own read it, and take
    these two parts of it: what it finds there is the whole.
    """

    def json(self, **_: object) -> dict[str, dict[str, bytes]]:
        return {"data": {"result": self.content}}


class _TooLarge(Exception):
    """An answer that is larger than is read of it."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"more than {most_bytes} bytes")
        self.most_bytes = most_bytes


class _Body:
    """What a response is read from: up to `most_bytes`, and the next one raises _TooLarge. Without
    a bound all is read at once, since requests' pieces of 10 KiB cost more than reading JSON.
    """

    def __init__(self, raw: urllib3.BaseHTTPResponse, most_bytes: int | None) -> None:
        self._raw = raw
        self._most_bytes = most_bytes

    def stream(self, amount: int, decode_content: bool) -> Iterator[bytes]:
        most = self._most_bytes
        if most is None:
            yield self._raw.read(decode_content=decode_content)
            return
        left = most
        for chunk in self._raw.stream(amount, decode_content):
            left -= len(chunk)
            if left < 0:
                self.close()  # the rest of it is not waited for
                raise _TooLarge(most)
            yield chunk

    def close(self) -> None:
        self._raw.close()

    def release_conn(self) -> None:
        self._raw.release_conn()


def _session(access: Access) -> requests.Session:
    session = requests.Session()
    if access.insecure_skip_verify:
        # Asked for: a warning with every request would say nothing new.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    session.verify = str(access.ca_file) if access.ca_file else not access.insecure_skip_verify
    if access.client_cert_file and access.client_key_file:
        session.cert = (str(access.client_cert_file), str(access.client_key_file))
    return session


def _root_cause(error: BaseException) -> BaseException:
    """The innermost error: `[Errno 111] Connection refused`, or a TimeoutError.

    The outer ones quote the request's address with the whole query in it, and name a time-out
    now ReadTimeout, now ConnectionError.
    """
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
