"""Faults of where models' files come from. Pure.

A URI may hold a secret; then no fault says it.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from trireme.admission.places import models
from trireme.admission.words import shown_uri
from trireme.api.agent import AgentSpec
from trireme.api.fetch import MOST_FETCHES
from trireme.api.optimization import Destination
from trireme.api.sources import Source
from trireme.errors import Fault
from trireme.modelrepo.backends import file_of
from trireme.modelrepo.repository import Fetched
from trireme.modelrepo.sources import located_versions, mounted

_COMMIT = re.compile(r"[0-9a-f]{40}")
_OF_URIS = {
    "sha256": "sha256",
    "endpoint": "endpoint",
    "region": "region",
    "secret_ref": "secretRef",
}
_OF_S3 = ("endpoint", "region")
_SECRET_PARAMETERS = re.compile(
    r"(x-(amz|goog)-)?(signature|credential|security-token)|sig|token|access_token|key|api_?key"
    r"|awsaccesskeyid|googleaccessid",
    re.IGNORECASE,
)


def _of_models(spec: AgentSpec) -> Iterator[tuple[str, Source]]:
    for path, _, served in located_versions(spec):
        yield path, served.source


def _sources(spec: AgentSpec) -> Iterator[tuple[str, Source]]:
    """Of models, and of the samples that they are optimised by."""
    yield from _of_models(spec)
    if (asked := spec.optimization) is not None:
        for index, each in enumerate(asked.models):
            yield f"spec.optimization.models[{index}].samples", each.samples


def _places(spec: AgentSpec) -> Iterator[tuple[str, Source | Destination]]:
    """All that is named by a URI, to be read or to be written."""
    yield from _sources(spec)
    if spec.optimization is not None and spec.optimization.destination is not None:
        yield "spec.optimization.destination", spec.optimization.destination


def source_is_not_one(spec: AgentSpec) -> Iterator[Fault]:
    """Two sources for one version directory, or none."""
    for path, model in models(spec):
        if (model.source is None) == (not model.versions):
            yield Fault(
                f"{path}.source",
                None,
                "exactly one of source and versions must be set",
                "Say where the files of this model are, once",
            )
    for path, source in _sources(spec):
        if sum(each is not None for each in (source.uri, source.config_map, source.image)) != 1:
            yield Fault(
                path,
                None,
                "exactly one of uri, configMap and image must be set",
                "Say where the files are, once",
            )


def uri_leaves_its_folder(spec: AgentSpec) -> Iterator[Fault]:
    """The kubelet refuses to mount `..`, when the pods are there already; stores refuse it too."""
    for path, source in _places(spec):
        uri = source.uri or ""
        if {".", ".."} & set(uri.partition("://")[2].split("/")):
            yield Fault(
                f"{path}.uri",
                shown_uri(uri),
                "uri must not hold . or .. as a folder: write it from the root",
                "Write it such as pvc://models/encoder/",
            )


def image_path_leaves_its_image(spec: AgentSpec) -> Iterator[Fault]:
    """The kubelet refuses to mount `..` of an image too."""
    for path, source in _sources(spec):
        if source.image is not None and {".", ".."} & set(source.image.path.split("/")):
            yield Fault(
                f"{path}.image.path",
                source.image.path,
                "path must not hold . or .. as a folder",
                "Write it from the root of the image",
            )


def uri_holds_credentials(spec: AgentSpec) -> Iterator[Fault]:
    """A spec is read by many, and told in Events: a secret belongs into a Secret."""
    for path, source in _places(spec):
        for field in ("uri", "endpoint"):
            if "@" in _place(getattr(source, field) or ""):
                yield Fault(
                    f"{path}.{field}",
                    None,
                    f"{field} holds a user or a password",
                    "Put it into a Secret, name that in secretRef, and replace the password: "
                    "whoever reads the spec has seen it",
                )


def uri_holds_a_signature(spec: AgentSpec) -> Iterator[Fault]:
    """A signed address is a secret, and one that ends: a pod that starts later has none."""
    for path, source in _places(spec):
        for field in ("uri", "endpoint"):
            query = (getattr(source, field) or "").partition("?")[2]
            named = (name for name, _ in parse_qsl(query, keep_blank_values=True))
            secret = next(filter(_SECRET_PARAMETERS.fullmatch, named), None)
            if secret is not None:
                yield Fault(
                    f"{path}.{field}",
                    None,
                    f"{field} holds a secret in its parameter {secret}",
                    "Name the file without it, and put the credentials into a Secret: secretRef",
                )


def uri_names_nothing_in_a_bucket(spec: AgentSpec) -> Iterator[Fault]:
    """A whole bucket is no model, and a host no file."""
    for path, source in _places(spec):
        scheme, _, rest = (source.uri or "").partition("://")
        if scheme in ("s3", "gs", "az", "https") and not rest.partition("/")[2].strip("/"):
            place = "a host" if scheme == "https" else "a bucket"
            yield Fault(
                f"{path}.uri",
                shown_uri(source.uri or ""),
                f"uri names {place}, and nothing in it",
                f"Write the file or folder behind it: {scheme}://.../encoder/3/",
            )
        elif scheme == "hf" and not re.match(r"[^/@]+/[^/@]+", rest):
            yield Fault(
                f"{path}.uri",
                shown_uri(source.uri or ""),
                "uri names no repository of the hub",
                "Write hf://OWNER/REPOSITORY@COMMIT/PATH",
            )


def field_belongs_to_another_source(spec: AgentSpec) -> Iterator[Fault]:
    """It would have no effect."""
    for path, source in _places(spec):
        for attribute, field in _OF_URIS.items():
            value = getattr(source, attribute, None)
            if value is None:
                continue
            is_s3 = (source.uri or "").startswith("s3://")
            wanted = "an s3:// uri" if field in _OF_S3 else "a uri"
            if source.uri is None or (field in _OF_S3 and not is_s3):
                yield Fault(
                    f"{path}.{field}",
                    None,
                    f"{field} has no effect without {wanted}",
                    "Remove it, or correct the uri",
                )


def digest_of_a_folder(spec: AgentSpec) -> Iterator[Fault]:
    """Only a file or an archive has one."""
    for path, source in _sources(spec):
        if source.sha256 is not None and source.uri is not None and source.uri.endswith("/"):
            yield Fault(
                f"{path}.sha256",
                source.sha256,
                "a folder has no digest",
                "Name an archive or a file by the uri, or remove sha256",
            )


def too_many_are_fetched(spec: AgentSpec) -> Iterator[Fault]:
    """A pod's fetcher takes no longer plan."""
    count = sum(isinstance(mounted(source), Fetched) for _, source in _of_models(spec))
    if count > MOST_FETCHES:
        yield Fault(
            "spec.models",
            None,
            f"{count} versions of models are fetched, and a pod fetches {MOST_FETCHES}",
            "Serve fewer versions, or put them into folders of a claim: pvc://CLAIM/FOLDER/",
        )


# ------------------------------------------------------------------------------------- warnings


def revision_is_not_pinned(spec: AgentSpec) -> Iterator[Fault]:
    """A branch or tag moves: pods that start later would serve another model."""
    for path, source in _of_models(spec):
        uri = source.uri or ""
        if not uri.startswith("hf://"):
            continue
        repository = uri.partition("://")[2].split("/")[1:2]
        revision = repository[0].partition("@")[2] if repository else ""
        if not _COMMIT.fullmatch(revision):
            yield Fault(
                f"{path}.uri",
                shown_uri(uri),
                f"{revision or 'the main branch'} may move, so that pods that start later serve "
                "other files",
                "Name a commit: hf://OWNER/REPOSITORY@COMMIT/PATH, of 40 hexadecimal digits",
            )


def folder_is_taken_for_a_file(spec: AgentSpec) -> Iterator[Fault]:
    """Files of models have endings, and folders are written with a slash."""
    for path, source in _sources(spec):
        file = file_of(source)
        if file and "." not in file:
            yield Fault(
                f"{path}.uri",
                shown_uri(source.uri or ""),
                f"{file} is taken for a file, since the uri does not end in /",
                "Write / at its end if it is a folder",
            )


def _place(uri: str) -> str:
    """The host or bucket of a URI, with what is before it."""
    scheme, _, rest = uri.partition("://")
    if scheme == "hf":  # its @ is the revision's
        return rest.partition("/")[0]
    try:
        return urlsplit(uri).netloc
    except ValueError:
        return rest.partition("/")[0]
