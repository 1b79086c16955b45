"""`${NAME}`: values from the environment, put in after parsing and never shown again."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sensorflow.config.yaml import Document, Finding, Path, value_at
from sensorflow.core.vocabulary import JsonValue

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
#: So many characters of a secret in a row give away too much of it.
_TELLING = 4
#: What a name stands for where its value may not be known: good as a secret, and in a URL.
STAND_IN = "standin0"


class StandIns(Mapping[str, str]):
    """An environment in which every name is set, to something that tells nothing."""

    def __getitem__(self, name: str) -> str:
        return STAND_IN

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass
class Environment:
    """Replaces names by their values, and hides the values in what is told about it."""

    variables: Mapping[str, str]
    #: Values that were put in, by name.
    used: dict[str, str] = field(default_factory=dict)

    def replaced(self, document: Document, path: Path, findings: list[Finding]) -> JsonValue:
        """Return what stands at a path with every `${NAME}` in its texts replaced."""
        return self._replace(document, path, value_at(document.tree, path), findings)

    def hide(self, message: str) -> str:
        """Return a message in which the values that were put in cannot be read."""
        for name, value in sorted(self.used.items(), key=lambda item: -len(item[1])):
            for spelling in {value, repr(value)[1:-1], json.dumps(value)[1:-1]} - {""}:
                message = message.replace(spelling, "${" + name + "}")
        # A checker may have taken a secret apart before it complained about a piece.
        if any(piece in message for value in self.used.values() for piece in _pieces(value)):
            return "expected another value (the reason is not shown, it quotes a value from the environment)"
        return message

    def _replace(
        self, document: Document, path: Path, value: JsonValue, findings: list[Finding]
    ) -> JsonValue:
        if isinstance(value, dict):
            return {key: self._replace(document, (*path, key), v, findings) for key, v in value.items()}
        if isinstance(value, list):
            return [self._replace(document, (*path, n), v, findings) for n, v in enumerate(value)]
        if not isinstance(value, str):
            return value

        def found(reference: re.Match[str]) -> str:
            if reference[0] == "$${":
                return "${"
            name = reference[1]
            if name is None:
                message = 'expected "${NAME}", found "${" without a name (write "$${" for the characters)'
                findings.append(document.finding(path, message))
            elif name not in self.variables:
                message = f"expected the environment variable {name} to be set, found it unset"
                findings.append(document.finding(path, message))
            else:
                self.used[name] = self.variables[name]
                return self.variables[name]
            return reference[0]

        return _REFERENCE.sub(found, value)


def _pieces(value: str) -> Iterator[str]:
    return (value[start : start + _TELLING] for start in range(len(value) - _TELLING + 1))
