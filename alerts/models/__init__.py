"""The rows of alerts, one module a thing."""
