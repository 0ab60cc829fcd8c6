"""Marbles: a recorded stream as a picture."""
