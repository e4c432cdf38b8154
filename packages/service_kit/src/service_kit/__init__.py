"""What every service shares: settings, structured logs, metrics, health, drain."""
