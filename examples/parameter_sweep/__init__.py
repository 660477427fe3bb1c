"""A program run once for each row of a CSV file, as one job."""
