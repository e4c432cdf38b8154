"""The metrics adapter: the load of gateways and recognisers for whoever sizes them, the HPA or KEDA."""
