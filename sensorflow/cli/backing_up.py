"""The verb that copies the store."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sensorflow.cli import output
from sensorflow.cli.common import CliError, Common, ExitCode


def backup(
    common: Common,
    file: Annotated[Path, typer.Argument(help="Where to; it must not exist yet.")],
) -> None:
    """Copy the store to a file, also while the service serves; the copy is checked."""
    from sensorflow.cli.doctor.finding import size
    from sensorflow.cli.doctor.serving import holder
    from sensorflow.config.settings import load_settings
    from sensorflow.store.sqlite_file import back_up

    service = holder(common.home_dir)
    # The service may have been started with settings that this shell does not have.
    store = service.store if service else common.home_dir / load_settings(common.home_dir, os.environ).store
    if not store.exists():
        text = f"there is no store {store}: is {common.home_dir} the home? name it with --home"
        raise CliError(ExitCode.NOT_FOUND, text)
    try:
        with output.progress(common, "copying") as copied:
            report = back_up(store, file, copied)
    except FileExistsError:
        text = f"{file} is there already and is left as it is; name another file"
        raise CliError(ExitCode.FAILED, text) from None
    if common.json:
        output.document(
            {"file": str(file), "bytes": report.size, "newest_event": report.newest_seq, "integrity": "ok"}
        )
        return
    output.line(f"{file}: {size(report.size)}, whole, up to event {report.newest_seq}")
    output.say(common, "how to restore it: see the how-to, Back up and restore")
