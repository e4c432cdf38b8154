"""What would stop or weaken a stack on this cluster, each with the remedy."""
