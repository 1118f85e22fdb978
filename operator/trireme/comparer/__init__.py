"""`trireme compare`: mirrored requests are asked of both tracks, and the answers compared."""
