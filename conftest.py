"""What holds for every test of the repository."""

from hypothesis import settings

pytest_plugins = ["conformance_unskipped"]

# Hypothesis would fail an example that takes 0.2 s: where tests run side by side that is somebody else's work.
settings.register_profile("side by side", deadline=None)
settings.load_profile("side by side")
