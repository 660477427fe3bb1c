"""Certificates, and channels and servers that use them."""
