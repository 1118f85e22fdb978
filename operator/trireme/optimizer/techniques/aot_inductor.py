"""torch.export compiled ahead of time by AOTInductor, for this machine's kind of processor."""

from dataclasses import dataclass
from pathlib import Path

import torch

from trireme.optimizer.forms import Compiled, Exported, Form, Module, quiet, written
from trireme.optimizer.technique import Stage, Workbench

_EXAMPLE = 3  # samples


@dataclass(frozen=True, slots=True)
class AotInductor:
    """The model as a compiled archive. It needs a C++ compiler, and minutes on a small machine."""

    name: str = "aot-inductor"
    stage: Stage = Stage.EXPORT

    def unfit(self, form: Form) -> str | None:
        """It needs a module, or what torch.export made of one."""
        return None if isinstance(form, Module | Exported) else "is no module of torch"

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Export and compile."""
        batch = {0: torch.export.Dim.DYNAMIC}
        example = bench.tensors(_EXAMPLE)

        def package(file: Path) -> None:
            if isinstance(form, Exported):
                program = form.program
            else:
                assert isinstance(form, Module)  # noqa: S101  # what unfit says
                program = torch.export.export(
                    form.module, example, dynamic_shapes=tuple(batch for _ in example)
                )
            torch._inductor.aoti_compile_and_package(program, package_path=str(file))

        with quiet(), torch.no_grad():
            return Compiled(written(bench.scratch, "compiled.pt2", package))
