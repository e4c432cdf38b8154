"""From a StreamingStack to every object that it needs. Pure, total and deterministic: no client, no clock, no kopf."""
