"""The demo: Trireme scales real Triton pods under load, live in the terminal.

`python -m demo` (from the repository's root, with tests/ on the path; `make demo` does it):

    manifests  the YAML files here and in examples/, fitted to the cluster   pure
    state      what is known at a moment                                     pure
    view       a moment as a live view, or as one line                       pure
    summary    the whole run: asked, served, lost, why each decision         pure
    cluster    the only code that talks to Kubernetes
    observe    gathers moments from the cluster and shows them
    steps      Prometheus, Trireme, the agent, the load
"""
