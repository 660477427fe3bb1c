"""Lists of the management API: filters, orders and pages of bounded cost."""
