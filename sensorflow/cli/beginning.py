"""The verb that makes a home."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from sensorflow.cli import output
from sensorflow.cli.common import CliError, Common, ExitCode


def init(
    common: Common,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where; made if need be. Default: the home.")
    ] = None,
) -> None:
    """Make a home that works at once: settings, a pipeline, its task, and a day's data."""
    from sensorflow.cli.first_home import DAY, FILES

    home = folder or common.home_dir
    try:
        _refuse_to_overwrite(home, list(FILES))
        for name, text in FILES.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            with (home / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise CliError(ExitCode.FAILED, f"{error.filename} cannot be written: {error.strerror}") from None
    where = "" if home.resolve() == Path.cwd() else f" --home {shlex.quote(str(home))}"
    following = [
        f"sensorflow serve{where}",
        f"sensorflow ready customers {DAY}{where}",
        f"sensorflow why sales {DAY}{where}",
    ]
    if common.json:
        output.document({"home": str(home), "files": list(FILES), "next": following})
        return
    for name in FILES:
        output.line(str(home / name))
    output.say(common, f"{home} is a home. Its pipeline sales waits for orders and customers of a day;")
    output.say(common, f"orders of {DAY} are there already. Go on with:")
    for command, words in zip(following, _WORDS, strict=True):
        output.say(common, f"  {command}   # {words}")


_WORDS = (
    "runs until Ctrl-C; the others in a second terminal",
    "the customers are there too, so the day's report is made",
    "says where the day stands",
)


def _refuse_to_overwrite(home: Path, names: list[str]) -> None:
    """Refuse a folder that is a home already.

    Raises:
        CliError: it has one of the files, or a pipeline of its own.
        OSError: it cannot be looked at, or is no folder.
    """
    if home.exists() and not home.is_dir():
        raise CliError(ExitCode.FAILED, f"{home} is a file: name a folder, or one that is to be made")
    there = [name for name in names if (home / name).exists()]
    there += [f"pipelines/{path.name}" for path in sorted((home / "pipelines").glob("*.y*ml"))]
    if there:
        found = ", ".join(dict.fromkeys(there))
        text = f"{home} is a home already: it has {found}; name another folder: sensorflow init DIR"
        raise CliError(ExitCode.FAILED, text)
