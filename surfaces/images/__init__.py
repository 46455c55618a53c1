"""Decodes untrusted photos to upright sRGB arrays, and encodes arrays as JPEG and PNG."""
