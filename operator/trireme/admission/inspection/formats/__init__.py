"""One module a file format: bytes in, a ModelFile out. Pure."""
