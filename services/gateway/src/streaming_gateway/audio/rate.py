"""What recognisers take."""

RECOGNISER_RATE = 16_000
