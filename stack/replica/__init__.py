"""The replica: a WhisperLive server that is warm at start and flushes at the end of audio.

``python -m stack.replica`` runs it; ``stack.replica.server.Replica`` is the same inside a process.
"""
