"""Unpack what was deployed, so that what ships is what runs."""

import hashlib
import io
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

from local.emulator.function import Function


@dataclass(frozen=True)
class CodeLocation:
    """Where a function's code lies: Lambda's task root and the folders to import from, first one first."""

    task_root: Path
    import_folders: tuple[Path, ...]


class PackageStore:
    """Folders of unpacked zips, each kept under its content's hash."""

    def __init__(self, folder: Path, repo: Path) -> None:
        """Unpack below ``folder``; image functions run the code in ``repo``."""
        self._folder = folder
        self._repo = repo
        self._lock = threading.Lock()

    def locate(self, function: Function) -> CodeLocation:
        """Unpack the function's code and layers, or point at the repository for an image function."""
        if function.code_zip is None:
            return CodeLocation(self._repo, (self._repo,))
        task_root = self._unpacked(function.code_zip)
        layers = tuple(self._unpacked(layer) / "python" for layer in reversed(function.layer_zips))
        return CodeLocation(task_root, (task_root, *layers))

    def _unpacked(self, content: bytes) -> Path:
        target = self._folder / hashlib.sha256(content).hexdigest()[:20]
        with self._lock:
            if target.exists():
                return target
            partial = target.with_suffix(".partial")
            partial.mkdir(parents=True, exist_ok=True)
            if content:
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    archive.extractall(partial)
            partial.rename(target)
        return target
