"""The threats of SECURITY.md tried out on a running gateway, over loopback and within bounds."""
