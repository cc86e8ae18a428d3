"""The supply chain and the sources, audited: what is installed, under which licence, with what."""
