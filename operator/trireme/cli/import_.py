"""`trireme import`: an existing model repository as an AgentDeployment that serves it unchanged."""

import re
from pathlib import Path
from typing import Annotated

import typer

from trireme.api import names
from trireme.api.fetch import FetchFailed
from trireme.cli.manifests import to_yaml
from trireme.edge.local_tree import LocalTree
from trireme.modelrepo.imported import Choices, Tree, commented, import_repository

_IMAGE = "nvcr.io/nvidia/tritonserver:26.08-py3"
_URI = re.compile(r"(s3|gs|az|https|hf|oci|pvc)://\S+")
_LISTED = re.compile(r"(s3|gs|az|hf)://\S+")
"""Places whose folders can be listed from here."""


def import_(
    repository: Annotated[
        str,
        typer.Argument(
            metavar="PATH|URI",
            help="The folder of a model repository, or of one model; or its URI: s3://, gs://, "
            "az:// or hf://.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="The agent's name; by default the folder's.")
    ] = None,
    image: Annotated[str, typer.Option("--image", help="The Triton image to serve it.")] = _IMAGE,
    location: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="URI",
            help="Where the pods will find the same files, such as s3://BUCKET/FOLDER/ or "
            "pvc://CLAIM/FOLDER/; https:// holds one file a version, and oci://REGISTRY/FOLDER/ "
            "the artefact MODEL:VERSION. By default the URI that is imported, and of a PATH, files "
            "that fit into ConfigMaps are put there.",
        ),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            help="Of a URI: a folder with a file for each key, as docs/sources.md names them; by "
            "default the keys are environment variables.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Of a URI: the address of an S3-compatible store or a hub.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Of a URI: the bucket's region.")] = None,
) -> None:
    """Print the AgentDeployment that serves a model repository.

    It is served unchanged: `trireme render --repository` writes the same configurations back, field
    for field; inputs and outputs that a configuration leaves out are filled in where a file is at
    hand that says them. Of a URI only configurations and small files are read. What a repository
    does not say is inferred, and told in a comment. Ends with 1 where there is a fault, and prints
    no manifest.
    """
    if location is not None and not _URI.fullmatch(location):
        raise typer.BadParameter(f"{location} is no URI of a source", param_hint="--at")
    is_remote = "://" in repository
    chosen = _agent_name(name, repository)
    try:
        tree = (
            _stored(repository, credentials, endpoint, region) if is_remote else _local(repository)
        )
        if location is not None or not is_remote:
            choices = Choices(chosen, image, _folder(location))
        else:
            reached = (endpoint, region) if repository.startswith("s3://") else (None, None)
            choices = Choices(chosen, image, _folder(repository), *reached)
        imported = import_repository(tree, choices)
    except FetchFailed as error:
        typer.echo(f"{error}. {error.reason.remedy}", err=True)
        raise typer.Exit(1) from error
    for fault in imported.faults:
        typer.echo(str(fault), err=True)
    if imported.faults:
        raise typer.Exit(1)
    for line in commented(imported.inferred, repository):
        typer.echo(f"# {line}")
    typer.echo(to_yaml(*imported.manifests), nl=False)


def _folder(location: str | None) -> str | None:
    return None if location is None else f"{location.rstrip('/')}/"


def _local(path: str) -> LocalTree:
    folder = Path(path)
    if not folder.is_dir():
        raise typer.BadParameter(f"{path} is no folder", param_hint="PATH")
    return LocalTree(folder)


def _stored(uri: str, credentials: Path | None, endpoint: str | None, region: str | None) -> Tree:
    """The files below a URI. Raises FetchFailed, whose text holds no secret."""
    if not _LISTED.fullmatch(uri):
        raise typer.BadParameter(
            f"{uri.partition('://')[0]}:// lists no folders: name s3://, gs://, az:// or hf://, or "
            "import a folder of this machine with --at",
            param_hint="URI",
        )
    from trireme.edge.stores.credentials import Credentials
    from trireme.edge.stores.open import open_store  # the stores: for those who ask for them
    from trireme.edge.stores.tree import StoredTree
    from trireme.edge.stores.types import Access

    keys = Credentials.read(credentials) if credentials else Credentials.of_environment()
    try:
        folder = f"{uri.rstrip('/')}/"
        return StoredTree(open_store(folder, Access(endpoint=endpoint, region=region), keys))
    except FetchFailed as error:
        raise FetchFailed(error.reason, keys.redact(error.message)) from error


def _agent_name(name: str | None, repository: str) -> str:
    if name is None:
        is_uri = "://" in repository
        last = (
            repository.rstrip("/").rpartition("/")[2] if is_uri else Path(repository).resolve().name
        )
        return names.agent_name_from(last)
    is_name = re.fullmatch(names.AGENT_NAME_PATTERN, name)
    if not is_name or len(name) > names.AGENT_NAME_MAX_LENGTH:
        raise typer.BadParameter(
            f"{name}: lower-case letters, digits and hyphens, beginning with a letter, at most "
            f"{names.AGENT_NAME_MAX_LENGTH}",
            param_hint="--name",
        )
    return name
