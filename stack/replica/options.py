"""The replica's options that a stack's spec decides, as its command line takes them. Pure."""

from stack.spec import StackSpec


def replica_options(spec: StackSpec, name: str, *, threads: int) -> list[str]:
    """Return all options but where to listen."""
    replica = spec.replica
    return [
        f"--name={name}",
        f"--model={replica.model}",
        f"--device={replica.device}",
        f"--compute-type={replica.compute_type}",
        f"--threads={threads}",
        f"--max-sessions={replica.max_sessions}",
        f"--max-connection-time={replica.max_connection_time}",
        f"--min-chunk={replica.min_chunk}",
        *(["--final-pass"] if replica.final_pass else []),
    ]
