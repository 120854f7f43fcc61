"""Two published methods to compare with: CycleGAN and CUT, with this project's crops and this project's generator.

    python -m benchmarks.baselines --method=cut --content_dir=photos --style_dir=paintings --run_dir=runs/cut

What differs from gan_hd is the method alone: how G is taught. Both see whole crops [n, 2S, 2S, 3], no tiles, and their
generators are averaged and exported as gan_hd's are, so translate.py and gan_hd.cli.evaluate take the result.
"""
