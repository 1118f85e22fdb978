"""Every label, annotation, port and child name, made here and nowhere else.

A child's name is derived from its agent's name, which has at most 45 characters, so that the
longest suffix still fits into the 63 of a DNS label.
"""

import hashlib
import re

GROUP = "trireme.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "AgentDeployment"
PLURAL = "agentdeployments"
SHORT_NAME = "agd"

AGENT_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
AGENT_NAME_MAX_LENGTH = 45
NODE_CLASS_PATTERN = AGENT_NAME_PATTERN
NODE_CLASS_MAX_LENGTH = 15
RESERVED_CLASSES = frozenset({"canary", "comparer", "gateway"})
MODEL_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

# Labels on every child; `AGENT` alone selects all pods of an agent, of every track.
AGENT = f"{GROUP}/agent"
TRACK = f"{GROUP}/track"
TRACK_STABLE = "stable"
TRACK_CANARY = "canary"
NODE_CLASS = f"{GROUP}/node-class"  # on the pods of an agent that has some, and their Deployment
COMPONENT = "app.kubernetes.io/component"
COMPONENT_SERVER = "server"
COMPONENT_GATEWAY = "gateway"
COMPONENT_INSPECTION = "inspection"
COMPONENT_COMPARER = "comparer"  # of pods that compare mirrored answers
CANDIDATE = f"{GROUP}/candidate"  # on a canary's pods: of which spec they are
COMPONENT_OPTIMIZATION = "optimization"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "trireme"
GATEWAY = f"{GROUP}/gateway"  # on gateway pods instead of AGENT, which selects servers only
OWNER = f"{GROUP}/owner"  # the agent's name, on every child of whatever kind
INSPECTION = f"{GROUP}/inspection"  # on pods that inspect a model's files: what they inspect
OPTIMIZATION = f"{GROUP}/optimization"  # on pods that optimise a model: what they were asked

# Annotations.
REPOSITORY_DIGEST = f"{GROUP}/repository-digest"  # on the pod template and on config maps
LIVE_DIGEST = f"{GROUP}/live-digest"  # on the config map of what changes in place
CONFIG_DIGEST = f"{GROUP}/config-digest"  # on the gateway's pod template
INSPECTION_PLAN = f"{GROUP}/inspection-plan"  # on pods that inspect: what they are told
SHARE = f"{GROUP}/canary-share"  # on the config map of the routes: what the canary gets
LOWERED = f"{GROUP}/canary-share-lowered"  # there too: when it last became less
ROLLED_BACK = f"{GROUP}/rolled-back"  # on the record: the digest of what is not tried again
FETCH_PLAN = f"{GROUP}/fetch-plan"  # on pods that optimise: what their containers are told
OPTIMIZE_PLAN = f"{GROUP}/optimize-plan"
DELIVERY_PLAN = f"{GROUP}/delivery-plan"
COMMAND = f"{GROUP}/command"  # on the resource: what a person told a running agent
RESUME = "resume"  # that command's value: take the Deployment's size back from a foreign writer
PROMOTE = "promote"  # end the canary's analysis: its pods become the stable ones
ABORT = "abort"  # take the canary back

# Field managers of server-side apply.
TEMPLATE_MANAGER = "trireme"  # everything but the number of replicas
SCALE_MANAGER = "trireme-scale"  # the number of replicas, and nothing else
STATUS_MANAGER = "trireme-status"  # the reconciler's part of the status
SCALE_STATUS_MANAGER = "trireme-scale-status"  # the autoscaler's part of the status
ROLLOUT_STATUS_MANAGER = "trireme-rollout-status"  # the canary's part of the status
OPTIMIZATION_STATUS_MANAGER = "trireme-optimization-status"  # what came of spec.optimization
ADOPTION_STATUS_MANAGER = "trireme-adoption-status"  # what is set in the user's place

# Container names and ports.
SERVER_CONTAINER = "triton"
FETCH_CONTAINER = "fetch"  # an init container
GATEWAY_CONTAINER = "envoy"
INSPECTION_CONTAINER = "inspect"
COMPARER_CONTAINER = "compare"
OPTIMIZE_CONTAINER = "optimize"  # an init container, after `fetch`
DELIVERY_CONTAINER = "deliver"
DESTINATION_CONTAINER = "check-destination"  # the first, so that no search is in vain
HTTP_PORT = 8000
GRPC_PORT = 8001
METRICS_PORT = 8002
GATEWAY_METRICS_PORT = 9902
FETCH_PROGRESS_PORT = 8003  # of the init container that brings the models' files
COMPARER_METRICS_PORT = 8004
DECISIONS_PATH = "/decisions"  # of the operator, on its pod's loopback

# The key of a server's control interface, from its Secret to the request that shows it.
CONTROL_ENTRY = "key"  # of the Secret
CONTROL_VARIABLE = "TRIREME_CONTROL_KEY"  # of the server's container
CONTROL_HEADER = "trireme-control-key"

NODE_CACHE_ENTRY = "token"  # of the Secret with a namespace's token for the caches of the nodes


def _digest8(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _sanitised(name: str, length: int) -> str:
    """A DNS label's worth of `name`: `Enc.v2_A` becomes `enc-v2-a`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:length].strip("-") or "m"


def server(agent: str) -> str:
    """The Deployment of an agent's stable track, and its PodDisruptionBudget."""
    return agent


def _class_server(agent: str, node_class: str) -> str:
    """The Deployment of an agent's pods of one node class: agent at most 45, a class 15, a hyphen:
    61 characters.
    """
    return f"{agent}-{node_class}"


def server_set(agent: str, node_class: str) -> str:
    """The Deployment of one set of an agent's server pods: of a class, or where it has none, ""."""
    return _class_server(agent, node_class) if node_class else server(agent)


def canary(agent: str) -> str:
    """The Deployment of an agent's canary, and the headless Service over its pods."""
    return f"{agent}-canary"


def service(agent: str) -> str:
    """The Service that clients use: the gateway, or the servers where there is no gateway."""
    return agent


def pods_service(agent: str) -> str:
    """The headless Service over the server pods: what the gateway resolves."""
    return f"{agent}-pods"


def gateway(agent: str) -> str:
    """The gateway's Deployment, PodDisruptionBudget and ServiceAccount."""
    return f"{agent}-gateway"


def comparer(agent: str) -> str:
    """What compares mirrored answers: its Deployment, headless Service and ServiceAccount."""
    return f"{agent}-comparer"


def gateway_config(agent: str, digest: str) -> str:
    """The immutable ConfigMap of one generation of the gateway's configuration."""
    return f"{agent}-gateway-{digest[:8]}"


def candidate_label(digest: str) -> str:
    """What the pods of a candidate are found by: 16 digits of the digest."""
    return digest[:16]


def gateway_routes(agent: str) -> str:
    """The ConfigMap of the gateway's routes, which change without a rollout of its pods."""
    return f"{agent}-routes"


def live_config(agent: str, repository_digest: str) -> str:
    """The ConfigMap of one repository: each model's config.pbtxt.

    Named by what makes a pod template, and not by the fields that change in place: these change
    in it, and pods of another template never see them.
    """
    return f"{agent}-live-{repository_digest[:8]}"


def canary_live_config(agent: str, live_digest: str) -> str:
    """The same of a canary, named by what changes in place, too: it may be what is tried."""
    return f"{canary(agent)}-live-{live_digest[:8]}"


def accepted_record(agent: str) -> str:
    """The ConfigMap of what the agent last ran by."""
    return f"{agent}-accepted"


def candidate_record(agent: str) -> str:
    """The ConfigMap of what the agent's canary runs by."""
    return f"{agent}-candidate"


def model_files(agent: str, model: str, files_digest: str) -> str:
    """The immutable ConfigMap that holds one model's small files.

    Agent at most 45, 8 of the model's name, 8 of the digest and two hyphens: 63 characters.
    """
    return f"{agent}-{_sanitised(model, 8)}-{files_digest[:8]}"


def control_secret(agent: str, uid: str) -> str:
    """The immutable Secret with the key of an agent's control interface.

    An agent made again by the same name has another uid, so it never meets the former one's
    Secret, which may still be there. Agent at most 45, 9 and 8: 62 characters.
    """
    return f"{agent}-control-{_digest8(uid)}"


def volume(model: str) -> str:
    """The pod volume of one model's directory: a sanitised prefix and 8 digits of a digest."""
    return f"model-{_sanitised(model, 40)}-{_digest8(model)}"


LIVE_VOLUME = "live"
"""The pod volume of the live ConfigMap."""


def claim_volume(claim: str) -> str:
    """The pod volume of a PersistentVolumeClaim, made as a model's volume is."""
    return f"claim-{_sanitised(claim, 40)}-{_digest8(claim)}"


def image_volume(reference: str) -> str:
    """The pod volume of an OCI image, made as a model's volume is."""
    return f"image-{_sanitised(reference.rpartition('/')[2], 40)}-{_digest8(reference)}"


def imported_config_map(agent: str, part: str) -> str:
    """The ConfigMap that an import puts files of a model into: any name will do that tells them."""
    return f"{agent}-{_sanitised(part, 40)}-{_digest8(part)}"


def agent_name_from(text: str) -> str:
    """An agent's name out of any other: `Model_Repo.v2` becomes `model-repo-v2`."""
    plain = re.sub(r"^[^a-z]+", "", _sanitised(text, AGENT_NAME_MAX_LENGTH))
    return plain or "agent"


def fetch_plan(agent: str, digest: str) -> str:
    """The immutable ConfigMap that tells the fetcher what to bring."""
    return f"{agent}-fetch-{digest[:8]}"


def inspection_job(agent: str, digest: str) -> str:
    """The Job that inspects one version's files: agent at most 45, 9 and 8: 62 characters."""
    return f"{agent}-inspect-{digest[:8]}"


def optimization_job(agent: str, digest: str) -> str:
    """The Job that optimises one model: agent at most 45, 10 and 8: 63 characters."""
    return f"{agent}-optimize-{digest[:8]}"


def optimization_policy(agent: str) -> str:
    """The NetworkPolicy of the pods that optimise an agent's models."""
    return f"{agent}-optimize"


def job_label(digest: str) -> str:
    """What a Job's pod is found by: 16 digits of the digest of what it was asked."""
    return digest[:16]


def inspected_record(agent: str) -> str:
    """The ConfigMap of what inspections told."""
    return f"{agent}-inspected"


def cache_claim(agent: str) -> str:
    """The PersistentVolumeClaim made for an agent's cache."""
    return f"{agent}-cache"


def node_cache_secret(agent: str, uid: str) -> str:
    """The immutable Secret with the token for the caches of the nodes, named as `control_secret`.

    Agent at most 45, 7 and 8: 60 characters.
    """
    return f"{agent}-cache-{_digest8(uid)}"


def secret_volume(secret: str) -> str:
    """The pod volume of a Secret with credentials, made as a model's volume is."""
    return f"secret-{_sanitised(secret, 40)}-{_digest8(secret)}"


def live_key(model: str) -> str:
    """The key of one model's config.pbtxt in the live ConfigMap (model names are valid keys)."""
    return f"{model}.pbtxt"
