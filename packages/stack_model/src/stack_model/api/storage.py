"""Volumes that the stack claims."""

from pydantic import Field

from stack_model.api.base import SpecModel
from stack_model.api.text import ObjectName, Quantity


class Storage(SpecModel):
    """One volume."""

    size: Quantity = Field(description="How much is asked for, such as 1Gi.")
    storage_class_name: ObjectName | None = Field(
        default=None, description="StorageClass; absent: the cluster's default one."
    )
