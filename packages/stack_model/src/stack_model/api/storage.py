"""Volumes that the stack claims."""

from pydantic import Field

from stack_model.api.base import SpecModel
from stack_model.api.text import ObjectName, Quantity


class Storage(SpecModel):
    """One volume."""

    size: Quantity = Field(default="1Gi", description="How much is asked for, such as 1Gi.")
    storage_class_name: ObjectName | None = Field(
        default=None, description="StorageClass; absent: the cluster's default one."
    )


class LargeStorage(Storage):
    """One volume for models."""

    size: Quantity = Field(default="20Gi", description="How much is asked for: the models' files twice.")
