"""What the service takes and keeps while it runs: events, sessions, recommendations, keys, erasures."""
