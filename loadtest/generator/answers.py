"""What a server's messages mean for a session, segments aside. Pure."""

from loadtest.generator.opening import SessionFailedError
from loadtest.runfile import Failure
from stack.protocol import (
    Disconnect,
    Problem,
    ProtocolError,
    ServerMessage,
    Wait,
    parse_server_message,
)


def parse_answer(raw: bytes, uid: str) -> ServerMessage:
    """Parse a message of the session ``uid``; raises SessionFailedError for anything else."""
    try:
        message = parse_server_message(raw)
    except ProtocolError as error:
        raise SessionFailedError(Failure.PROTOCOL, str(error)) from None
    if message.uid != uid:
        raise SessionFailedError(
            Failure.PROTOCOL, "The server sent a message for another session's uid."
        )
    return message


def warning_of(message: ServerMessage) -> str | None:
    """Return a warning as a sentence, None of what needs no note.

    Raises SessionFailedError for messages that end a session badly.
    """
    match message:
        case Wait(minutes=minutes):
            raise SessionFailedError(
                Failure.WAIT, f"The server is full: WAIT, {minutes:.1f} minutes."
            )
        case Problem(status="ERROR", text=text):
            raise SessionFailedError(Failure.SERVER_ERROR, f"The server said: {text}")
        case Problem(text=text):
            return f"Warning of the server: {text}"
        case Disconnect():
            raise SessionFailedError(
                Failure.DISCONNECTED, "The server ended the session: its time was over."
            )
    return None
