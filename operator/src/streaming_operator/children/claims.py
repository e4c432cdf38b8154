"""Volumes that outlive pods. Pure."""

from lightkube.models.core_v1 import PersistentVolumeClaimSpec, VolumeResourceRequirements
from stack_model.api import Storage


def claim_spec(storage: Storage, access: str) -> PersistentVolumeClaimSpec:
    """A claim of the wanted size, from the wanted class or the cluster's default one."""
    return PersistentVolumeClaimSpec(
        accessModes=[access],
        storageClassName=storage.storage_class_name,
        resources=VolumeResourceRequirements(requests={"storage": storage.size}),
    )
