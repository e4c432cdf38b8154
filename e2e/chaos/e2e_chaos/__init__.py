"""A chaos run on a cluster: live sessions while everything but gateway and ingress is killed, frozen and cut off."""
