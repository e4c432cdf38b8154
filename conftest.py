"""What holds for every test of the repository."""

pytest_plugins = ["conformance_unskipped"]
