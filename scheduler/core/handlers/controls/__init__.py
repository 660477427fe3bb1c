"""What happens to a running attempt beside its end."""
