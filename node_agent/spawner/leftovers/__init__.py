"""What attempts leave behind: orphan processes, and cgroups in which something dies."""
