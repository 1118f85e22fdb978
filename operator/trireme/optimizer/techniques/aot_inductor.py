"""torch.export compiled ahead of time by AOTInductor, for this machine's kind of processor."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from trireme.optimizer.forms import Compiled, Exported, Form, Module, quiet, written
from trireme.optimizer.technique import Stage, Workbench
from trireme.optimizer.techniques import aot_compile


@dataclass(frozen=True, slots=True)
class AotInductor:
    """The model as a compiled archive. It needs a C++ compiler, and minutes on a small machine."""

    name: str = "aot-inductor"
    stage: Stage = Stage.EXPORT

    def unfit(self, form: Form) -> str | None:
        """It needs a module, or what torch.export made of one."""
        return None if isinstance(form, Module | Exported) else "is no module of torch"

    def apply(self, form: Form, bench: Workbench) -> Form:
        """Export, and compile in a process of its own."""
        batch = {0: torch.export.Dim.DYNAMIC}
        example = bench.example()
        with quiet(), torch.no_grad():
            if isinstance(form, Exported):
                program = form.program
            else:
                assert isinstance(form, Module)  # noqa: S101  # what unfit says
                program = torch.export.export(
                    form.module, example, dynamic_shapes=tuple(batch for _ in example)
                )
            exported = bench.scratch / "exported.pt2"
            torch.export.save(program, exported)
        try:
            return Compiled(
                written(bench.scratch, "compiled.pt2", lambda file: _compile(exported, file, bench))
            )
        finally:
            exported.unlink()


def _compile(exported: Path, compiled: Path, bench: Workbench) -> None:
    """Run `aot_compile`. What the compiler keeps goes with the scratch folder."""
    kept = bench.scratch / "inductor"
    kept.mkdir(exist_ok=True)
    command = [sys.executable, "-P", aot_compile.__file__, str(exported), str(compiled)]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(kept), "TMPDIR": str(kept)}
    process = subprocess.Popen(  # noqa: S603  # this interpreter, a file of this package
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, told = process.communicate(timeout=bench.compile_seconds)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)  # the C++ compiler it started, too
        process.communicate()
        raise TimeoutError(
            f"not compiled in {bench.compile_seconds:.0f} s, its share of the budget"
        ) from error
    if process.returncode != 0:
        raise RuntimeError((told.strip().splitlines() or ["the compiler gave up"])[-1])
