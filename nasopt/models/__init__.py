"""A finished network out of the house and back."""
