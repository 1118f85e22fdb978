"""A version directory that is there whole or not at all.

    <root>/<model>/<version>/...                 what Triton reads
    <root>/.fetch/<model>/<version>/             work: parts, journals, the tree in the making
    <root>/.fetch/<model>/<version>.json         what was published, written just before it is

The tree is made of hard links to the files that were fetched, so that making it again costs
nothing, and is renamed into place as the last step. A record without its directory, or one whose
files are others, counts for nothing.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from trireme.api.fetch import Fetch, ModelResult
from trireme.fetcher import disk

_WORK = ".fetch"


class Record(BaseModel):
    """What was published: of which plan, which files, and what was said of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str
    files: dict[str, int]
    result: ModelResult


@dataclass(frozen=True, slots=True)
class Place:
    """Where one version of one model is worked on and published."""

    root: Path
    fetch: Fetch

    @property
    def target(self) -> Path:
        """The version directory."""
        return self.root / self.fetch.model / str(self.fetch.version)

    @property
    def work(self) -> Path:
        """What may be thrown away at any time, and is fetched again then."""
        return self.root / _WORK / self.fetch.model / str(self.fetch.version)

    @property
    def _record(self) -> Path:
        return self.work.with_name(f"{self.fetch.version}.json")

    @property
    def _plan(self) -> str:
        return hashlib.sha256(self.fetch.model_dump_json().encode()).hexdigest()

    def published(self) -> ModelResult | None:
        """What an earlier run of the same plan published, if it is there whole."""
        try:
            record = Record.model_validate_json(self._record.read_text())
        except (OSError, ValidationError, UnicodeDecodeError):
            return None
        if record.plan != self._plan or record.files != _files(self.target):
            return None
        return record.result

    def publish(self, files: Mapping[str, Path], result: ModelResult) -> None:
        """Make the version directory of these files: path in it, to where its content is."""
        tree, old = self.work / "tree", self.work / "old"
        disk.remove(tree)
        tree.mkdir(parents=True)
        for path, file in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).hardlink_to(file.resolve())
            disk.sync_file(tree / path)
        for folder, _, _ in os.walk(tree, topdown=False):
            Path(folder).chmod(0o755)
            disk.sync_folder(Path(folder))
        self.target.parent.mkdir(parents=True, exist_ok=True)
        record = Record(plan=self._plan, files=_files(tree), result=result)
        disk.write_whole(self._record, record.model_dump_json())
        if self.target.exists():  # of another plan
            disk.remove(old)
            self.target.rename(old)
        tree.rename(self.target)
        disk.sync_folder(self.target.parent)

    def clean(self) -> None:
        """Remove the work; the published files stay."""
        disk.remove(self.work)


def _files(folder: Path) -> dict[str, int]:
    """Every file below a folder and its size."""
    return {
        (Path(at) / name).relative_to(folder).as_posix(): (Path(at) / name).stat().st_size
        for at, _, names in os.walk(folder)
        for name in names
    }
