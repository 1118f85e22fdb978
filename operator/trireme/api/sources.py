"""Where a model's files are, and which of its versions are served."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from trireme.api.fields import FilePath, Version
from trireme.api.schema import LARGEST_INT, ApiModel, cel, one_of


class SecretRef(ApiModel):
    """A Secret in the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")


class ImagePullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class ImageSource(ApiModel):
    """Model files in an OCI image, mounted by the kubelet (Kubernetes' image volumes)."""

    reference: str = Field(
        min_length=1, max_length=1024, description="The image, such as example.com/encoder:3."
    )
    path: str = Field(
        "",
        max_length=1024,
        pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$",
        description="Folder in the image that holds the files; empty is its root.",
    )
    pull_policy: ImagePullPolicy = Field(
        ImagePullPolicy.IF_NOT_PRESENT, description="When the kubelet pulls the image."
    )


class Source(ApiModel):
    """Where the files of one version of a model come from: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            one_of("uri", "configMap", "image"),
            (
                "!has(self.uri) || !self.uri.matches('/[.][.]?(/|$)')",
                "uri must not hold . or .. as a folder: write it from the root",
            ),
        )
    )

    uri: str | None = Field(
        None,
        max_length=2048,
        pattern=r"^(s3|gs|az|https|hf|oci|pvc)://[^\s/][^\s]*$",
        description="s3://BUCKET/KEY, gs://, az://, https://, hf://OWNER/REPOSITORY@REVISION/PATH, "
        "oci:// or pvc://CLAIM/FOLDER: a file, a folder (it ends in /), or an archive (.zip, .tar, "
        ".tar.gz). A folder of a claim is mounted as it is, all else is copied into the pod.",
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        max_length=64,
        description="The digest the file or archive must have.",
    )
    endpoint: str | None = Field(
        None,
        max_length=2048,
        pattern=r"^https?://[^\s/]+[^\s]*$",
        description="The address of an object store that speaks S3, such as "
        "https://minio.example.com.",
    )
    region: str | None = Field(
        None, max_length=64, pattern=r"^[a-z0-9-]+$", description="The bucket's region."
    )
    secret_ref: SecretRef | None = Field(
        None,
        description="A Secret with the credentials; absent, the pod's workload identity or none.",
    )
    config_map: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="A ConfigMap in the same namespace; each key is a file of the model's version "
        "directory (model.py, model.onnx, ...). At most 1 MiB; a change to it is rolled out.",
    )
    image: ImageSource | None = Field(
        None, description="An OCI image that the kubelet mounts (Kubernetes 1.33 or later)."
    )


class ModelVersion(ApiModel):
    """One of several versions of a model that are served at once."""

    version: Version = Field(description="The version.")
    source: Source = Field(description="Where its files come from.")


class ModelFile(ApiModel):
    """A small file of the model's directory, beside its versions: labels, warm-up data."""

    path: FilePath = Field(description="Where it is, below the model's directory.")
    config_map: str = Field(
        min_length=1, max_length=253, description="A ConfigMap in the same namespace."
    )
    key: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="The key of the ConfigMap that holds it.",
    )


class VersionPolicy(ApiModel):
    """Which versions are served: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=cel(one_of("latest", "specific", "all")))

    latest: int | None = Field(
        None, ge=1, le=LARGEST_INT, description="So many of the highest versions."
    )
    specific: list[Version] | None = Field(None, max_length=64, description="These versions.")
    all: bool | None = Field(None, description="true: every version.")
