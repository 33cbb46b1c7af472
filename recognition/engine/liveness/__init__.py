"""What tells a living person from a picture, a screen or an injected stream."""
