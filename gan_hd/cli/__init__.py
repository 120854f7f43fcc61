"""Command-line verbs beyond train.py and translate.py: ``python -m gan_hd.cli.<verb>``."""
