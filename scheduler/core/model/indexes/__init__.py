"""What is kept up to date beside the rows, so that nobody has to look through all of them. Pure."""
