"""The beginning of a session: the connection, and why there is none."""

import json
import ssl

from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from loadtest.generator.connection import Connection
from loadtest.plan import StepOrder
from loadtest.runfile import Failure


class SessionFailedError(Exception):
    """The session failed for one of the fixed reasons."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


def security_of(order: StepOrder) -> ssl.SSLContext | None:
    """Return the TLS settings of an order; None for a plain connection.

    Raises OSError when the certificates to trust can't be read.
    """
    if not order.url.startswith("wss:"):
        return None
    context = ssl.create_default_context(cafile=order.ca_file)
    if not order.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def connect(order: StepOrder, uid: str, security: ssl.SSLContext | None) -> Connection:
    """Open a session's connection; raises SessionFailedError that says why there is none."""
    headers = {"Authorization": f"Bearer {order.api_key}"} if order.api_key else {}
    try:
        return await Connection.open(
            # For balancers that keep a session's uid to one replica: they see no message.
            f"{order.url}?uid={uid}",
            timeout=order.connect_timeout,
            headers=headers,
            security=security,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        body = bytes(error.response.body or b"")[:200].decode("utf-8", "replace")
        reason = Failure.REFUSED if status == 503 else Failure.HANDSHAKE
        raise SessionFailedError(reason, f"HTTP {status} in the handshake. {body}") from None
    except (InvalidHandshake, InvalidURI) as error:
        raise SessionFailedError(Failure.HANDSHAKE, f"The handshake failed: {error}.") from None
    except TimeoutError:
        raise SessionFailedError(
            Failure.TIMEOUT, f"No handshake within {order.connect_timeout:g} s."
        ) from None
    except ssl.SSLError as error:
        reason_text = getattr(error, "verify_message", "") or error.reason or str(error)
        raise SessionFailedError(
            Failure.HANDSHAKE, f"The TLS handshake failed: {reason_text}."
        ) from None
    except ConnectionResetError as error:
        raise SessionFailedError(
            Failure.HANDSHAKE, f"The connection ended in the handshake: {error}."
        ) from None
    except (OSError, UnicodeError) as error:
        raise SessionFailedError(Failure.REFUSED, f"No connection: {error}.") from None


def options_message(order: StepOrder, uid: str) -> str:
    """Return the first message of a session, the options that upstream's client sends."""
    options = {
        "uid": uid,
        "language": order.language,
        "task": "transcribe",
        "model": "small",
        "use_vad": order.use_vad,
        "send_last_n_segments": 10,
        "no_speech_thresh": 0.45,
        "clip_audio": False,
        "same_output_threshold": 10,
    }
    if order.audio_format != "float32":
        options["audio_format"] = order.audio_format.value
    return json.dumps(options)
