"""Volumes that are never made: their StorageClass is not there. Pure."""

from stack_model.api import Storage

from streaming_operator.checks.finding import View, listed


def class_missing(view: View, storage: Storage, where: str) -> str | None:
    """What is wrong with the class of `storage`, the field `where`, and the remedy; None: nothing is known to be."""
    classes, name, field = view.inputs.storage_classes, storage.storage_class_name, f"{where}.storageClassName"
    if classes is None or name in classes or (name is None and any(classes.values())):
        return None
    if name is None:
        return f"the cluster has no default StorageClass; mark one as the default, or name one in {field}"
    return (
        f"the cluster has no StorageClass {name} ({field}; it has {listed(sorted(classes)) or 'none'}); make one of "
        "that name, or delete the stack and the claims that wait, and make it anew with another"
    )
