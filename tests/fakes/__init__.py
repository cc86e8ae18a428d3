"""Real stand-ins for what the tests cannot have: a model server, an embedder, a small library."""
