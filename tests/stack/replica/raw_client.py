"""A whole WhisperLive client in twenty lines: ``python raw_client.py URL FILE.wav``."""

import json
import sys
import wave

from websockets.sync.client import connect

url, path = sys.argv[1:]
with wave.open(path) as file:
    audio = file.readframes(file.getnframes())
completed = {}
with connect(url) as server:
    server.send(json.dumps({"uid": "raw", "language": "en", "audio_format": "int16"}))
    assert json.loads(server.recv())["message"] == "SERVER_READY"
    for first in range(0, len(audio), 3200):
        server.send(audio[first : first + 3200])
    server.send(b"END_OF_AUDIO")
    for message in map(json.loads, server):
        for segment in message.get("segments", []):
            completed[segment["start"]] = segment["text"] if segment["completed"] else ""
print("".join(completed.values()).strip())
