"""Programs of the operating system that some tests need."""

from __future__ import annotations

import os
import shutil

import pytest

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips a test where a program is missing; in continuous integration it runs, and fails, there."""
    missing = [program for program in programs if shutil.which(program, path=_PATH) is None]
    reason = (
        f"needs {', '.join(missing)}: apt-get install bubblewrap charliecloud-runtime iproute2 lammps squashfs-tools"
    )
    return pytest.mark.skipif(bool(missing) and not os.environ.get("CI"), reason=reason)
