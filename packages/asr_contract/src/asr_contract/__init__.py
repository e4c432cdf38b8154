"""The contract between gateway and recogniser."""
