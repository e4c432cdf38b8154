"""A pod's side of the model store: one model copied from it before the pod's own work begins."""
