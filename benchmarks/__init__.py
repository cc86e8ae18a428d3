"""Measurements: over HTTP, or of the libraries directly; nothing of the product imports them."""
