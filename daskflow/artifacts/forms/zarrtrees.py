"""xarray objects that dask holds as trees: each chunk of Zarr an object of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daskflow.artifacts.forms.skeletons import is_lazy, is_xarray, take_apart
from daskflow.artifacts.forms.zarrs import open_zarr, with_text, write_zarr

if TYPE_CHECKING:
    from daskflow.artifacts.store import ObjectStore

LARGE = 1 << 16
"""From this size [bytes] on: a smaller one is one zip file, not dozens of objects."""


class ZarrTree:
    """Datasets and DataArrays of which dask holds a part, computed and written chunk by chunk.

    Notes
    -----
    Each chunk goes to the object store when it is computed: nothing is gathered, and nothing of it is kept on the
    node. In memory are as many chunks as are computed at a time, and what they are computed from. The digest of
    the tree depends on the chunks and not on the order in which they came. Chunks that are equal are one object;
    so a result that was made half before its worker died is not written twice.
    """

    name = "zarr-tree"

    def matches(self, value: Any) -> bool:
        """Whether it is just a Dataset or DataArray, large, and with dask."""
        return is_xarray(value) and value.nbytes >= LARGE and is_lazy(value)

    def dump_tree(self, value: Any, store: ObjectStore, cores: int = 1) -> tuple[str, int] | None:
        """Compute and write; digest and size [bytes] of the manifest. None where Zarr would not be exact."""
        # Late, for it imports Zarr.
        from daskflow.artifacts.reading.treestore import TreeStore  # noqa: PLC0415, it imports zarr

        plain = take_apart(with_text(value))
        if plain is None:
            return None
        tree = TreeStore(store)
        write_zarr(plain, tree, cores)
        digest = tree.commit()
        return digest, store.size(digest)

    def load_tree(self, store: ObjectStore, digest: str) -> Any:
        """The value, held by dask, in the chunks of the tree; they are read when they are asked for."""
        from daskflow.artifacts.reading.treestore import TreeStore  # noqa: PLC0415, it imports zarr

        return open_zarr(TreeStore(store, digest))
