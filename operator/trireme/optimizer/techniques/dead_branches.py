"""What does not bear on the answer goes: constants are folded, branches whose condition is constant
are replaced by the one taken, nodes and weights that nothing reads are dropped.
"""

from dataclasses import dataclass

import onnx
import onnxscript.optimizer

from trireme.optimizer.forms import Form, Graph, quiet
from trireme.optimizer.technique import Stage, Workbench
from trireme.optimizer.techniques.onnx_export import stable


@dataclass(frozen=True, slots=True)
class DeadBranches:
    """The graph without its dead parts."""

    name: str = "dead-branches"
    stage: Stage = Stage.CLEANING

    def unfit(self, form: Form) -> str | None:
        """It needs an ONNX graph."""
        return None if isinstance(form, Graph) else "needs an ONNX graph"

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Fold and drop, by onnxscript's optimiser."""
        assert isinstance(form, Graph)  # noqa: S101  # what unfit says
        with quiet():
            model = onnxscript.optimizer.optimize(onnx.load_from_string(form.content))
        return Graph(stable(model.SerializeToString()))
