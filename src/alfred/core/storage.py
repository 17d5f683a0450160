"""Whole or not at all: files and folders that appear only when they are complete."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a scratch folder that becomes `target` when the block ends without an error.

    An interrupted block leaves no `target`; its scratch folder is removed. Where another process has made the
    same `target` meanwhile, theirs stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    scratch.mkdir()
    try:
        yield scratch
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) so that readers see the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        scratch.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
