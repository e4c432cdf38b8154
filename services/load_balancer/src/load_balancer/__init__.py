"""The gRPC load balancer: nginx routing by X-Model-Version."""
