"""A simulated shop: items, users with latent tastes, and the log of what they do. Seeded, day by day, no I/O."""
