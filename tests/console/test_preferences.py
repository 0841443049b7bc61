"""The file with preferences, and what the command line says of it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import Command, Outcome

from console import preferences
from console.cli import main
from console.preferences import ConsoleTable, Preferences, speaks_unicode, understand


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "config"
    monkeypatch.setenv(preferences.VARIABLE, str(directory))
    directory.mkdir()
    return directory / "config.toml"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    def run_command(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run_command


def test_dotted_names_tables_and_lists_are_keys(config: Path) -> None:
    config.write_text(
        """
        [console]
        theme = "textual-light"
        ascii = true
        [keys]
        stack.up = "b"
        "stack.down" = ["x", "ctrl+x", ","]
        [keys.log]
        wrap = "W"
        """
    )
    read = preferences.read()
    assert read.problems == ()
    assert read.console == ConsoleTable(theme="textual-light", ascii=True)
    assert read.keys == {"stack.up": "b", "stack.down": "x,ctrl+x,comma", "log.wrap": "W"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[keys\n", "is no TOML"),
        ("[kyes]\na = 'b'", "There is no table or setting 'kyes'"),
        ("keys = 3", "keys is no table"),
        ("console = 3", "console is no table"),
        ("[keys]\nstack.up = 3", "keys.stack.up is 3"),
        ("[keys]\nstack.up = []", r"keys.stack.up is []"),
        ("[console]\ntheme = 3", "console.theme is 3; it should be"),
        ("[console]\nascii = 'yes'", "console.ascii is 'yes'"),
        ("[console]\ncolour = 'red'", "There is no setting 'console.colour'"),
        ("#" * 300_000, "is larger than"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_sentence(
    config: Path, run: Command, text: str, sentence: str
) -> None:
    config.write_text(text)
    (problem,) = preferences.read().problems
    assert sentence in problem
    assert problem.endswith(".")
    outcome = run("config", "check")
    assert outcome.code == 1
    assert sentence in outcome.out


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_the_tables_hold_is_understood(value: Any) -> None:
    understand({"keys": value, "console": value})


def test_the_file_may_be_missing_or_unreadable(config: Path, run: Command) -> None:
    assert preferences.read() == Preferences()
    assert "is not there" in run("config", "check").out
    config.mkdir()
    (problem,) = preferences.read().problems
    assert "can't be read" in problem


def test_the_command_line_lists_what_there_is(config: Path, run: Command) -> None:
    assert run("config", "path").out.strip() == str(config)
    config.write_text("[keys]\nstack.up = 'B'")
    assert run("config", "check").code == 0
    listed = run("config", "keys", "--toml").out
    assert 'stack.up = "B"' in listed
    config.write_text(listed)
    assert run("config", "check").code == 0  # what it prints is a file that it takes
    assert '"id": "stack.down"' in run("config", "keys", "--json").out


@pytest.mark.parametrize(
    ("environment", "unicode"),
    [
        ({}, True),
        ({"LANG": "en_GB.UTF-8"}, True),
        ({"LANG": "de_DE.utf8", "LC_ALL": ""}, True),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, True),
    ],
)
def test_the_locale_says_what_the_terminal_shows(
    environment: dict[str, str], unicode: bool
) -> None:
    assert speaks_unicode(environment) is unicode
