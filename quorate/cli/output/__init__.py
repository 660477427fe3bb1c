"""How commands print: tables, progress, sentences about tasks."""
