"""Large data read where they are: files by ranges, datasets, trees as Zarr stores."""
