"""Tarballs of images become directories: of a root filesystem, or of layers as Docker and Podman save them."""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from daskflow.commands.containers.shelf import remove
from daskflow.errors import ArchiveRefused, ContainerError

ENVIRONMENT = "ch/environment"
"""Where a directory notes the environment of its image: Charliecloud's place, whose builder writes it too."""
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class _Layers(NamedTuple):
    """What an archive that Docker or Podman saved holds."""

    config: str
    """Name of the member with the configuration."""
    layers: list[str]
    """Names of the members with the layers, the lowest first."""


def is_rootfs(archive: Path) -> bool:
    """Whether a tarball holds a root filesystem, and not the layers of an image.

    Raises
    ------
    ContainerError
        It cannot be read.
    """
    with _opened(archive) as tar:
        return _layers(tar) is None


def unpack(archive: Path, target: Path) -> None:
    """Make a directory of a tarball.

    Parameters
    ----------
    archive
        The root filesystem itself, as `podman export` writes it, or layers, as `docker save` does.
    target
        The directory; it must not be there.

    Raises
    ------
    ArchiveRefused
        Something in it would be written outside of the directory.
    ContainerError
        It cannot be read.

    Notes
    -----
    Devices, owners and setuid bits are left out; the owner may read and write everything. Links that lead out of the
    directory are kept, for in the container they lead elsewhere, but nothing is written through them.

    References
    ----------
    https://github.com/opencontainers/image-spec/blob/main/layer.md
    """
    target.mkdir(parents=True)
    with _opened(archive) as tar:
        found = _layers(tar)
        if found is None:
            _extract(tar, target)
            return
        for layer in found.layers:
            with tarfile.open(fileobj=_member(tar, layer)) as inner:
                _extract(inner, target)
        _keep_environment(json.load(_member(tar, found.config)), target)


def environment(rootfs: Path) -> dict[str, str]:
    """The environment that the image of a directory asks for; empty where nothing is noted."""
    try:
        lines = (rootfs / ENVIRONMENT).read_text("utf-8").splitlines()
    except OSError:
        return {}
    return {name: value for name, sign, value in (line.partition("=") for line in lines) if sign}


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except tarfile.FilterError as error:
        raise ArchiveRefused(f"The image {archive} is refused: {error}.") from error
    except (tarfile.TarError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
        raise ContainerError(f"The image {archive} cannot be unpacked: {error}") from error


def _layers(tar: tarfile.TarFile) -> _Layers | None:
    """The layers; None where the archive is a root filesystem itself."""
    names = {posixpath.normpath(name) for name in tar.getnames()}
    if "manifest.json" in names:
        first = json.load(_member(tar, "manifest.json"))[0]
        return _Layers(first["Config"], first["Layers"])
    if {"oci-layout", "index.json"} <= names:
        index = json.load(_member(tar, "index.json"))
        manifest = json.load(_member(tar, _blob(index["manifests"][0])))
        return _Layers(_blob(manifest["config"]), [_blob(layer) for layer in manifest["layers"]])
    return None


def _blob(descriptor: Any) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _member(tar: tarfile.TarFile, name: str) -> Any:
    for spelling in (name, f"./{name}"):
        with contextlib.suppress(KeyError):
            return tar.extractfile(spelling)
    raise ValueError(f"it has no {name}")


def _extract(tar: tarfile.TarFile, target: Path) -> None:
    for member in tar:
        place = _place(member, target)
        if place.name.startswith(_WHITEOUT):
            _white_out(place)
        elif not member.isdev() and place != target:
            _make_room(place, member)
            tar.extract(_filtered(member, target), target, filter="fully_trusted")


def _place(member: tarfile.TarInfo, target: Path) -> Path:
    """Where a member is written."""
    name = posixpath.normpath(member.name.lstrip("/"))
    place = target / name
    # Not the name itself: it may be a link of a lower layer, which the member replaces.
    leads_out = ".." in name.split("/") or not place.parent.resolve().is_relative_to(target.resolve())
    if leads_out and place != target:
        raise tarfile.OutsideDestinationError(member, str(place))
    return place


def _filtered(member: tarfile.TarInfo, target: Path) -> tarfile.TarInfo:
    if member.islnk():
        member = member.replace(linkname=member.linkname.lstrip("/"), deep=False)
        tarfile.tar_filter(member.replace(name=member.linkname, deep=False), str(target))
    fitting = tarfile.tar_filter(member, str(target))
    mode = fitting.mode | (0o700 if member.isdir() else 0o600)
    return fitting.replace(mode=mode, uid=os.getuid(), gid=os.getgid(), uname="", gname="", deep=False)


def _make_room(place: Path, member: tarfile.TarInfo) -> None:
    """Remove what a lower layer has in the place of a member; a directory over a directory stays."""
    if place.is_symlink() or not (place.is_dir() and member.isdir()):
        remove(place)


def _white_out(place: Path) -> None:
    """Remove what lower layers have under a name, or in a directory."""
    if place.name != _OPAQUE:
        remove(place.with_name(place.name.removeprefix(_WHITEOUT)))
    elif place.parent.is_dir():
        for entry in list(place.parent.iterdir()):
            remove(entry)


def _keep_environment(config: Any, target: Path) -> None:
    variables = (config.get("config") or {}).get("Env") or []
    kept = target / ENVIRONMENT
    # What the image has there may be a link.
    remove(kept.parent)
    kept.parent.mkdir()
    kept.write_text("".join(f"{variable}\n" for variable in variables if "\n" not in variable), "utf-8")
