"""Every child of an agent, but for a canary's, in the order they are applied. Pure.

What a pod mounts or resolves comes before the pod: configurations, accounts, Services,
disruption budgets, the network's policies, then the Deployments, then what observes them, and the
record of it all.
"""

from collections.abc import Mapping
from typing import Any

from trireme.api.agent import AgentDeployment
from trireme.modelrepo.repository import Repository
from trireme.resources import (
    config_maps,
    disruption,
    fetch,
    gateway,
    monitoring,
    optimization,
    record,
    routes,
    server,
    service_accounts,
    services,
)
from trireme.resources.envoy import configuration_text
from trireme.resources.gateway_canary import has_routes_of_its_own
from trireme.resources.options import ResourceOptions
from trireme.resources.pod_sets import pod_sets
from trireme.resources.routes import Share


def desired_objects(
    agent: AgentDeployment,
    repository: Repository,
    options: ResourceOptions,
    *,
    initial_replicas: Mapping[str, int],
    through_gateway: bool = True,
    share: Share = Share(),  # noqa: B008  # frozen
    rolled_back: str = "",
) -> tuple[dict[str, Any], ...]:
    """All objects of an accepted agent, for server-side apply by one field manager.

    `initial_replicas` holds, by name, the sizes of the server Deployments that are about to be
    created. Of others the number belongs to another field manager, and the field is left out.
    `through_gateway` is False while a gateway that is wanted cannot answer yet and clients are
    still led to the servers. `share` is what a canary gets of the requests, and `rolled_back` the
    digest of the candidate that is not tried again.
    """
    enabled = agent.spec.gateway.enabled
    envoy = configuration_text(agent, options) if enabled else None
    return (
        *config_maps.config_maps(agent, repository),
        *fetch.fetch_objects(agent, repository, options),
        *([gateway.config_map(agent, envoy)] if envoy else []),
        *([routes.config_map(agent, share)] if has_routes_of_its_own(agent.spec) else []),
        *service_accounts.service_accounts(agent),
        *services.services(agent, through_gateway=enabled and through_gateway),
        *disruption.disruption_budgets(agent),
        *optimization.optimization_policies(agent),
        *(
            server.deployment(
                pods, repository, options, initial_replicas=initial_replicas.get(pods.name)
            )
            for pods in pod_sets(agent)
        ),
        *([gateway.deployment(agent, options, envoy)] if envoy else []),
        *monitoring.pod_monitors(agent, options),
        *record.accepted_record(agent, repository, rolled_back),
    )
