"""Sign-in with an OpenID Connect provider: browsers get a cookie, schedulers the ID token."""
