"""The licence and usage proxy: licence state, limits, usage delivery."""
