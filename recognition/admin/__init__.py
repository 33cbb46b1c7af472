"""The desk's pages about faces, by subject."""

from recognition.admin import cohort, faces, registrations, thresholds

__all__ = ["cohort", "faces", "registrations", "thresholds"]
