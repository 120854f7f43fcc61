"""Recipes that make or fetch data."""
