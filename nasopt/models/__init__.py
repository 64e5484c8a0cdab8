"""A finished network out of the house and back: saving, loading, the card, prediction."""
