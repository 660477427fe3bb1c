"""Whose request it is: credentials are taken from requests and passed on; schedulers decide."""
