"""The operator: a StreamingStack in, its children and its status out."""
