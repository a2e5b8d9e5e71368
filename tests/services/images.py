"""Small images of this machine's own programs, for tests; `python -m tests.services.images DIR` makes one with LAMMPS.

Copying programs with their libraries takes a moment; a whole system (debootstrap) takes minutes and the network.
"""

from __future__ import annotations

import glob
import gzip
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

PROGRAMS = ("sh", "cat", "cp", "echo", "env", "grep", "id", "ln", "ls", "mkdir", "pwd", "sleep", "touch")
_MPI = ("/etc/openmpi", "/usr/lib/*/openmpi", "/usr/lib/*/pmix2", "/usr/share/openmpi", "/usr/share/pmix2")
"""What Debian's Open MPI, without which its LAMMPS does not start, loads when it runs."""
_OCI = "application/vnd.oci.image"
_FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp")
_LIBRARY = re.compile(r"(/\S+) \(0x")


def make_rootfs(target: Path, programs: Iterable[str] = PROGRAMS, folders: Iterable[str] = ()) -> Path:
    """Make a root filesystem with some programs of this machine, and directories, as patterns, that they need."""
    for folder in _FOLDERS:
        (target / folder).mkdir(parents=True, exist_ok=True)
    for program in programs:
        found = shutil.which(program, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if found is None:
            raise FileNotFoundError(f"this machine has no {program}")
        _copy(found, target, f"/usr/bin/{program}")
    for folder in [found for pattern in folders for found in glob.glob(pattern)]:
        shutil.copytree(folder, target / folder.lstrip("/"), dirs_exist_ok=True)
        _copy_libraries(target, *glob.glob(f"{folder}/**/*.so", recursive=True))
    shell = target / "bin/sh"
    if not shell.exists():
        shell.symlink_to("../usr/bin/sh")
    (target / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (target / "etc/group").write_text("root:x:0:\n")
    (target / "etc/image").write_text("a small image\n")
    return target


def make_lammps(target: Path) -> Path:
    """Make a root filesystem in which `lmp` runs."""
    make_rootfs(target, [*PROGRAMS, "lmp", "orted"], _MPI)
    with open(target / "etc/openmpi/openmpi-mca-params.conf", "a") as file:
        # It starts nothing elsewhere, but looks for the program by which it would.
        file.write("\nplm_rsh_agent = sh\n")
    return target


def save(rootfs: Path, archive: Path) -> Path:
    """Write a root filesystem as a tarball."""
    with tarfile.open(archive, "w:gz" if archive.suffix in (".gz", ".tgz") else "w") as tar:
        tar.add(rootfs, ".")
    return archive


def docker_archive(path: Path, layers: Iterable[Mapping[str, str | None]], env: Iterable[str] = ()) -> Path:
    """Write layers as `docker save` does; of each layer a dict from names to contents, None for directories."""
    blobs = {f"layer{number}.tar": _layer(layer) for number, layer in enumerate(layers)}
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["small:1"], "Layers": list(blobs)}]).encode()
    _write(path, {"config.json": _config(blobs.values(), env), "manifest.json": manifest, **blobs})
    return path


def oci_archive(path: Path, layers: Iterable[Mapping[str, str | None]], env: Iterable[str] = ()) -> Path:
    """Write layers as an OCI layout in a tarball."""
    blobs: dict[str, bytes] = {}

    def keep(data: bytes, kind: str) -> dict[str, str | int]:
        digest = sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"{_OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    plain = [_layer(layer) for layer in layers]
    config = keep(_config(plain, env), "config.v1+json")
    packed = [keep(gzip.compress(layer), "layer.v1.tar+gzip") for layer in plain]
    kind = {"schemaVersion": 2, "mediaType": f"{_OCI}.manifest.v1+json"}
    manifest = keep(json.dumps({**kind, "config": config, "layers": packed}).encode(), "manifest.v1+json")
    index = json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()
    _write(path, {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index, **blobs})
    return path


def _config(layers: Iterable[bytes], env: Iterable[str]) -> bytes:
    digests = [f"sha256:{sha256(layer).hexdigest()}" for layer in layers]
    system = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": digests}}
    return json.dumps({**system, "config": {"Env": list(env)}}).encode()


def _layer(entries: Mapping[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            if content is None:
                member.type = tarfile.DIRTYPE
            elif content.startswith("-> "):
                member.type, member.linkname = tarfile.SYMTYPE, content[3:]
            data = b"" if content is None or content.startswith("-> ") else content.encode()
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _write(path: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _copy(source: str, target: Path, name: str) -> None:
    place = target / name.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(Path(source).resolve(), place)
    _copy_libraries(target, source)


def _copy_libraries(target: Path, *programs: str) -> None:
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout if programs else ""
    for library in set(_LIBRARY.findall(said)):
        place = target / library.lstrip("/")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path(library).resolve(), place)


if __name__ == "__main__":
    make_lammps(Path(sys.argv[1]))
