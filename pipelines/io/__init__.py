"""Adapters: files, HTTP, Postgres, Redis, Feast, MLflow."""
