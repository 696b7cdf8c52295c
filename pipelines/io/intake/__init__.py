"""A shop's files and catalogue on their way into the raw lake."""
