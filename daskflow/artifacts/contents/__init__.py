"""What bytes are: digests, checksums, frames of buffers."""
