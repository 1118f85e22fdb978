"""What the pods of a node class run by: the server's fields, some in the class's words. Pure."""

from trireme.api.server import NodeClass, Placement, Server


def of_class(server: Server, node_class: NodeClass) -> Server:
    """The server of the pods of one class. Its labels of nodes and its tolerations come on top."""
    placement: Placement = server.placement
    return server.model_copy(
        update={
            "node_classes": [],
            "gpus": server.gpus.model_copy(update=_said(node_class.gpus)),
            "resources": server.resources.model_copy(update=_said(node_class.resources)),
            "placement": placement.model_copy(
                update={
                    "node_selector": {
                        **placement.node_selector,
                        **node_class.placement.node_selector,
                    },
                    "tolerations": [*placement.tolerations, *node_class.placement.tolerations],
                }
            ),
        }
    )


def by_class(server: Server) -> dict[str, Server]:
    """The servers of all classes by name; of a server without classes it is itself, by ""."""
    if not server.node_classes:
        return {"": server}
    return {each.name: of_class(server, each) for each in server.node_classes}


def with_terms(server: Server, told: Server) -> Server:
    """The server, its classes at the prices and within the bounds that another tells of them."""
    terms = {e.name: {"price": e.price, "min": e.min, "max": e.max} for e in told.node_classes}
    classes = [each.model_copy(update=terms.get(each.name, {})) for each in server.node_classes]
    return server.model_copy(update={"node_classes": classes}) if classes else server


def _said(fields: object) -> dict[str, object]:
    """The fields that a class sets."""
    return {name: value for name, value in dict(fields).items() if value is not None}  # type: ignore[call-overload]
