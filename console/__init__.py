"""What a person sees: the ``whisperctl`` command line and the Textual console."""
