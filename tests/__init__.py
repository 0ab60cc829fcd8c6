"""The tests of rxorch; the folders mirror the source."""
