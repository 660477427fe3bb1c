"""What goes through a gateway: proxied requests, live updates, the dashboard."""
