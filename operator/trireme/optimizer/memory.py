"""The memory a model needs: the most that a fresh process has, which loads and runs it."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trireme.optimizer import memory_probe
from trireme.optimizer.candidates import Refused
from trireme.optimizer.forms import Artefact
from trireme.optimizer.samples import Samples

_LONGEST_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: what a process has before it loads the model, with its runtime, and at most after."""

    before: int
    peak: int

    @property
    def own(self) -> int:
        """What the model added."""
        return self.peak - self.before


def memory_of(artefact: Artefact, samples: Samples, batch: int, threads: int) -> Memory | Refused:
    """What an artefact needs with a batch; or why a fresh process cannot run it."""
    with tempfile.TemporaryDirectory() as folder:
        model, inputs = Path(folder) / artefact.file, Path(folder) / "inputs.npz"
        model.write_bytes(artefact.content)
        np.savez(inputs, allow_pickle=False, **samples.batch(batch))
        given = [str(model), str(inputs), str(threads)]
        command = [sys.executable, "-P", memory_probe.__file__, *given]
        try:
            answer = subprocess.run(  # noqa: S603  # this interpreter, a file of this package
                command, check=True, capture_output=True, text=True, timeout=_LONGEST_SECONDS
            )
        except subprocess.TimeoutExpired:
            return Refused("", f"a fresh process does not run it in {_LONGEST_SECONDS} s")
        except subprocess.CalledProcessError as error:
            said = (error.stderr.strip().splitlines() or [f"ended with {error.returncode}"])[-1]
            return Refused("", f"a fresh process cannot run it: {said[:200]}")
    return Memory(**json.loads(answer.stdout.splitlines()[-1]))
