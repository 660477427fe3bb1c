"""What is asked of tasks that run, and what runs around them."""
