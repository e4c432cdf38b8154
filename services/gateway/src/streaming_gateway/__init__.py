"""The WebSocket gateway: wire protocol, turns, admission, failover."""
