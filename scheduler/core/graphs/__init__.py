"""What is known of the tasks that belong to a job, and when one may start."""
