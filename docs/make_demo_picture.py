"""Makes docs/demo.svg: runs the demo in a copy of this home and draws how its terminal ends.

Say `.venv/bin/python docs/make_demo_picture.py` after a change of what the demo shows.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from sensorflow.config.settings import load_settings
from sensorflow.demo import all_runs, not_succeeded, run_table
from sensorflow.home import load_home
from sensorflow.sensors import SENSORS
from sensorflow.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "demo.svg"
COLUMNS = 116

#: Rich's own format names fonts of another host; a picture should ask nobody.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


def main() -> None:
    """Run the demo to its end and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for part in ("pipelines", "sensors"):
            shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, "-m", "sensorflow", "--home", folder, "demo", "--once", "--port", "0"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        draw(home)


def draw(home: Path) -> None:
    """Draw where the runs of a home stand, and why those that have not succeeded have not."""
    console = Console(
        record=True, width=COLUMNS, highlight=False, file=io.StringIO(), color_system="truecolor"
    )
    settings = load_settings(home, os.environ)
    definitions = load_home(home, os.environ, SENSORS).definitions
    store = SqliteStore(home / settings.store)
    try:
        runs = all_runs(store)
        console.print("$ make demo")
        console.print(run_table(definitions, store, runs, feeding=False))
        for line in not_succeeded(definitions, store, runs, settings.workers):
            console.print(line)
    finally:
        store.close()
    console.save_svg(str(PICTURE), title="sensorflow", code_format=FORMAT, unique_id="demo")


if __name__ == "__main__":
    main()
