"""API keys: what one is, where they are kept, and which of them is good now."""
