"""Ranking metrics, bootstrap intervals, hubness, popularity correction: numbers in, numbers out."""
