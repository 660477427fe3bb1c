"""Thumbnails of all PNG images of a folder, as one job."""
