"""A web application that gives long work to the cluster."""
