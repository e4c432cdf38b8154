"""The load tool and the scripted recogniser."""
