"""Measures of a translation: no training, no networks to download."""
