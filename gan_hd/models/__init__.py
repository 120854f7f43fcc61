"""The networks: generator, discriminator and the Combo that joins G's tiles for D."""
