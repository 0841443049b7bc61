"""What ``whisperctl load`` reads from its command line."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from console.cli.common import UserError
from loadtest.address import HOW_TO_WRITE, read_url
from loadtest.plan import LoadPlan
from stack.validation import first_problem


def parse_clients(text: str, option: str = "--clients") -> tuple[int, ...]:
    """Read ``5,10,20`` as counts; raises UserError (exit 2) for anything else."""
    try:
        counts = tuple(int(part) for part in text.replace(" ", "").split(","))
    except ValueError:
        raise UserError(
            f"{option} '{text}' is not a list of numbers; write it like 5,10,20.", exit_code=2
        ) from None
    if any(count < 1 for count in counts):
        raise UserError(f"{option} must all be at least 1.", exit_code=2)
    return counts


def make_plan(**values: Any) -> LoadPlan:
    """Build a plan from command-line values; raises UserError (exit 2) that names the bad one."""
    try:
        return LoadPlan(**values)
    except ValidationError as error:
        where, what = first_problem(error)
        if not where:
            raise UserError(f"Such a load is not possible: {what}.", exit_code=2) from None
        option = where.partition(".")[0].replace("_", "-")
        raise UserError(f"--{option} is not usable: {what}.", exit_code=2) from None


def read_address(
    url: str | None, host: str, port: int, *, ca_file: Path | None, insecure: bool
) -> dict[str, Any]:
    """Read where the server listens; raises UserError (exit 2) for an address of no use."""
    secure: dict[str, Any] = {}
    if url is not None:
        found = read_url(url)
        if found is None:
            raise UserError(f"--url '{url}' is not usable; {HOW_TO_WRITE}.", exit_code=2)
        secure = found
    if (ca_file is not None or insecure) and not secure.get("tls"):
        raise UserError("--ca-file and --insecure are for --url wss://….", exit_code=2)
    if ca_file is not None and not ca_file.is_file():
        raise UserError(f"--ca-file {ca_file} is no file.", exit_code=2)
    return {"host": host, "port": port, "ca_file": ca_file, "verify": not insecure} | secure


def read_counts(
    num_clients: int | None, clients: str | None, *, find_capacity: bool
) -> tuple[int, ...]:
    """Read the client counts of the steps, or that which a search begins with."""
    if find_capacity:
        if clients is not None:
            raise UserError(
                "--find-capacity chooses its steps itself; leave --clients away, and name where to "
                "begin with --num-clients.",
                exit_code=2,
            )
        return (num_clients or 1,)
    if (num_clients is None) == (clients is None):
        raise UserError(
            "Give either --num-clients N, --clients N,N,… or --find-capacity.", exit_code=2
        )
    return (num_clients,) if num_clients is not None else parse_clients(clients or "")
