"""What all verbs share: their options, their exit codes, and the one way to fail."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    INVALID_DEFINITIONS = 4
    UNREACHABLE = 5


class CliError(Exception):
    """A verb ends here; the text says what happened and, where there is one, the next step."""

    def __init__(self, code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options that may stand before or after the verb."""

    home: Path | None = None
    url: str | None = None
    token: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_input: bool = False

    @property
    def home_dir(self) -> Path:
        """The home; where none is named, the folder one stands in."""
        return self.home or Path()

    def merged(self, later: "Common") -> "Common":
        """Return these options with those behind the verb, which win."""
        return Common(
            home=later.home or self.home,
            url=later.url or self.url,
            token=later.token or self.token,
            json=later.json or self.json,
            quiet=later.quiet or self.quiet,
            verbose=later.verbose or self.verbose,
            no_input=later.no_input or self.no_input,
        )


_TEXTS = {
    "home": (Path, "DIR", "The home. [env: SENSORFLOW_HOME; default: .]"),
    "url": (str, "URL", "The service to ask. [env: SENSORFLOW_URL]"),
    "token": (str, "TOKEN", "Shown to the service. [env: SENSORFLOW_TOKEN]"),
}
_FLAGS = {
    "json": (("--json",), "One JSON document on stdout."),
    "quiet": (("--quiet", "-q"), "Say nothing beside the answer."),
    "verbose": (("--verbose", "-v"), "Say more."),
    "no_input": (("--no-input",), "Never ask; no verb here does."),
}
_NAMES = (*_TEXTS, *_FLAGS)

#: A verb takes the common options as one argument, and then its own.
Verb = Callable[..., None]


def common_parameters(*, environment: bool) -> list[inspect.Parameter]:
    """Return the common options as parameters of a function.

    Args:
        environment: They are also read from it. So it is before the verb: what stands behind wins.
    """
    found = []
    for name, (kind, metavar, words) in _TEXTS.items():
        variable = f"SENSORFLOW_{name.upper()}" if environment else None
        option = typer.Option(f"--{name}", metavar=metavar, help=words, envvar=variable, show_envvar=False)
        found.append(_keyword(name, Annotated[kind | None, option], None))
    for name, (spellings, words) in _FLAGS.items():
        found.append(_keyword(name, Annotated[bool, typer.Option(*spellings, help=words)], False))
    return found


def before_the_verb(context: typer.Context, **values: Any) -> None:
    """Keep the options that stand before the verb."""
    context.obj = Common(**{name: values[name] for name in _NAMES})


def with_common(verb: Verb) -> Verb:
    """Return the verb as typer is to see it: its own parameters, and the common options."""

    @functools.wraps(verb)
    def command(context: typer.Context, **values: Any) -> None:
        own = Common(**{name: values.pop(name) for name in _NAMES})
        verb(context.obj.merged(own), **values)

    own = list(inspect.signature(verb).parameters.values())[1:]
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    return shaped(command, [*keywords, *common_parameters(environment=False)])


def shaped(function: Verb, parameters: Sequence[inspect.Parameter]) -> Verb:
    """Give a function the parameters that typer is to see, behind its context."""
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    everything = [context, *parameters]
    function.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}
    return function


def _keyword(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
