"""Triton Inference Server: how a local one is started, and the engine that talks to one."""
