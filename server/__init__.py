"""The edge: HTTP, settings, metrics, and the command line."""
