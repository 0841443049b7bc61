"""Load on a WhisperLive server: plans, clients, measurements, run files, comparison."""
