"""What holds for every test of the repository."""

from hypothesis import settings

pytest_plugins = ["conformance_unskipped"]

# How long an example takes is the machine's business: one that is busy fails no property.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
