"""Examples + a server → predictions → scores."""
