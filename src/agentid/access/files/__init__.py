"""Files and folders: of the standard library, and of `fsspec`."""
