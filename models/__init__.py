"""Talking to language models and embedders: protocols, clients, the embedded engine, fakes."""
