"""What processes write: taken out of their pipes, and the pipes of workers."""
