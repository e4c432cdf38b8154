"""`POST /transcribe`: a whole recording in, its words out, on the pools of the live sessions and never in their way."""
