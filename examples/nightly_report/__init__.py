"""A report every night, by a schedule: `deploy.py` brings it to the cluster, `report.py` is run."""
