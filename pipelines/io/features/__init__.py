"""Feature files, the feature tables of Postgres, and the online store."""
