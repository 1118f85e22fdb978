"""The store that the end-to-end tests fetch models from: S3, and files over HTTPS."""

S3_PORT = 9000
HTTPS_PORT = 9443
BUCKET = "models"
HELD_AFTER_BYTES = 2_500_000
