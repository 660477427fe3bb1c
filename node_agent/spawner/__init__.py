"""The process that starts and ends the processes of attempts."""
