"""The streamingstack command."""
