"""The example: an archive of small-angle scattering data, and what a scientist does with it."""
