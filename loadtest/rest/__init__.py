"""The REST suite: how many files a second ``POST /v1/audio/transcriptions`` transcribes."""
