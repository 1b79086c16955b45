"""Path templates, as `landing/flights/{partition:%Y/%m/%d}/*.csv`: which paths fit and what they capture."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from sensorflow.core.formats import as_iso, check_format, format_regex

_PLACEHOLDERS = ("partition", "part")
_TOKEN = re.compile(
    r"\{(?P<name>[^{}:]*)(?::(?P<format>[^{}]*))?\}|(?P<stars>\*+)|(?P<text>[^{}*]+)|(?P<other>.)"
)
#: Names that are ignored: hidden ones, and those of files that are still being written.
_HIDDEN = r"(?!\.)"
_UNFINISHED = r"(?![^/]*\.(?:tmp|part)(?:/|\Z))"
_ANY_LEVELS = rf"(?:{_HIDDEN}{_UNFINISHED}[^/]+/)*"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of one level: its regex, and whether its length is open."""

    regex: str
    is_open: bool = False
    #: As it stands in the template; what is literal stands for itself.
    text: str = ""
    is_literal: bool = False
    is_capture: bool = False


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A template, read. Make it with `PathTemplate.parse`."""

    text: str
    #: The folder above the first level that is not literal; empty is the home itself.
    root: str
    #: How many levels below the root a path that fits can have at most; None is any number.
    depth: int | None
    #: What it captures, of `partition` and `part`.
    captures: tuple[str, ...]
    _regex: re.Pattern[str]
    #: What the folders on the way fit, by their level; behind the last, if it is open, any do.
    _folder_regexes: tuple[re.Pattern[str], ...]
    #: The format of `{partition}`; empty where the captured text is the partition.
    _format: str

    @classmethod
    def parse(cls, text: str) -> "PathTemplate":
        """Read a template.

        Raises:
            ValueError: what is wrong with it and what was expected.
        """
        _check_path(text)
        formats = _formats(text)
        seen: dict[str, int] = {}
        levels = list(_levels(text, seen))
        _check_levels(text, levels)
        literal = 0
        while (
            literal < len(levels) - 1
            and levels[literal]
            and all(piece.is_literal for piece in levels[literal])
        ):
            literal += 1
        names = text.split("/")
        regexes = list(_level_regexes(levels, is_reused=max(seen.values(), default=0) > 1))
        return cls(
            text=text,
            root="/".join(names[:literal]),
            depth=None if [] in levels else len(levels) - literal,
            captures=tuple(name for name in _PLACEHOLDERS if name in formats),
            _regex=re.compile("".join(regexes)),
            _folder_regexes=tuple(_folder_regexes(levels, regexes)),
            _format=formats.get("partition", ""),
        )

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return what a path (relative to the home) captures, None where it does not fit.

        A partition with a format is given as ISO text: `2013-03-10`, or `2013-03-10T05` where the format
        has hours. One that is no date is given as it stands in the path.
        """
        found = self._regex.fullmatch(path)
        if found is None:
            return None
        captured: dict[str, str] = {}
        for name in self.captures:
            stretches = [found[group] for group in self._regex.groupindex if group.startswith(f"{name}_")]
            captured[name] = "/".join(stretches)
        if self._format:
            captured["partition"] = _as_iso(captured["partition"], self._format)
        return captured

    def may_hold(self, folder: str) -> bool:
        """Say whether a path that fits can be in a folder (relative to the home)."""
        level = folder.count("/")
        if level < len(self._folder_regexes):
            return self._folder_regexes[level].fullmatch(f"{folder}/") is not None
        return self.depth is None and self._folder_regexes[-1].fullmatch(f"{folder}/") is not None


def _check_path(text: str) -> None:
    if not text:
        raise ValueError("expected a path relative to the home, found nothing")
    if text.startswith("/"):
        raise ValueError(f"expected a path relative to the home, found the absolute path {text!r}")
    if "\0" in text:
        raise ValueError(f"expected a path, found one that holds a NUL: {text!r}")
    if any(level in ("", ".", "..") for level in text.split("/")):
        raise ValueError(f"expected a path below the home without empty levels, '.' and '..', found {text!r}")


def _formats(text: str) -> dict[str, str]:
    """Return the format of each placeholder that the template uses."""
    formats: dict[str, str] = {}
    for token in _TOKEN.finditer(text):
        if token["other"]:
            raise ValueError(
                f"expected {{partition}} or {{part}}, found {token['other']!r} alone in {text!r}"
            )
        name = token["name"]
        if name is None:
            continue
        if name not in _PLACEHOLDERS:
            raise ValueError(f"expected {{partition}} or {{part}}, found {token[0]!r} in {text!r}")
        layout = token["format"] or ""
        if name == "part" and token["format"] is not None:
            raise ValueError(f"expected {{part}} without a format, found {token[0]!r} in {text!r}")
        if token["format"] is not None:
            check_format(layout, token[0])
        if formats.setdefault(name, layout) != layout:
            raise ValueError(f"expected one spelling of {{{name}}}, found two different ones in {text!r}")
    return formats


def _levels(text: str, seen: dict[str, int]) -> Iterator[list[_Piece]]:
    """Yield the pieces of each level; a level of any number of levels (`**`) has none."""
    level: list[_Piece] = []
    for token in _TOKEN.finditer(text):
        if token["stars"] is not None:
            level.append(_star(token["stars"]))
            continue
        if token["text"] is not None:
            parts = [[_literal(part)] if part else [] for part in token["text"].split("/")]
        else:
            parts = _placeholder(token["name"], token["format"], seen)
        level += parts[0]
        for part in parts[1:]:
            yield _whole(level, text)
            level = part
    yield _whole(level, text)


def _whole(level: list[_Piece], text: str) -> list[_Piece]:
    if not any(piece.text == "**" for piece in level):
        return level
    if len(level) > 1:
        raise ValueError(f"expected ** alone between two slashes, found it beside other text in {text!r}")
    return []


def _literal(text: str) -> _Piece:
    return _Piece(re.escape(text), text=text, is_literal=True)


def _star(stars: str) -> _Piece:
    if len(stars) > 2:
        raise ValueError(f"expected * or **, found {stars!r}")
    return _Piece("[^/]*", is_open=True, text=stars)


def _placeholder(name: str, layout: str | None, seen: dict[str, int]) -> list[list[_Piece]]:
    """Return the levels that a placeholder spreads over, each with a group of its own."""
    stretches = ["[^/]+"] if layout is None else [format_regex(part) for part in layout.split("/")]
    is_again = name in seen
    seen[name] = seen.get(name, 0) + 1
    return [
        [
            _Piece(
                f"(?P={name}_{place})" if is_again else f"(?P<{name}_{place}>{regex})",
                is_open=layout is None and not is_again,
                is_capture=not is_again,
            )
        ]
        for place, regex in enumerate(stretches)
    ]


def _check_levels(text: str, levels: list[list[_Piece]]) -> None:
    """Refuse what could be read in several ways, or would take long to read."""
    if not levels[-1]:
        raise ValueError(f"expected a file's name behind **, found {text!r}")
    if levels.count([]) > 2:
        raise ValueError(f"expected at most two **, found more in {text!r}")
    for level in levels:
        if any(first.is_open and second.is_open for first, second in pairwise(level)):
            raise ValueError(f"expected text between two placeholders or stars, found none in {text!r}")
        stars = sum(piece.text == "*" for piece in level)
        if stars > 1 and any(piece.is_capture for piece in level):
            raise ValueError(
                f"expected at most one * beside a placeholder in one level, found {stars} in {text!r}"
            )


def _level_regexes(levels: list[list[_Piece]], *, is_reused: bool) -> Iterator[str]:
    for number, level in enumerate(levels):
        end = "/" if number < len(levels) - 1 else ""
        if not level:
            yield _ANY_LEVELS
            continue
        regex = _ignored(level) + "(?=[^/])" + _pieces_regex(level)
        # A level that was read is not read in another way, so that levels do not multiply the ways. Only
        # what must come again further on may have to be captured in another way.
        may_vary = is_reused and any(piece.is_capture for piece in level)
        yield regex + end if may_vary else f"(?>{regex}(?=/|\\Z)){end}"


def _folder_regexes(levels: list[list[_Piece]], regexes: list[str]) -> Iterator[re.Pattern[str]]:
    """Yield what a folder of each level has to fit; from a `**` on any may do."""
    for number, level in enumerate(levels[:-1]):
        before = "".join(regexes[:number])
        if not level:
            yield re.compile(f"{before}(?:[^/]+/)*")
            return
        yield re.compile(before + regexes[number])


def _ignored(level: list[_Piece]) -> str:
    """Return what keeps ignored names out, unless the template itself names them."""
    first, last = level[0], level[-1]
    names_hidden = first.is_literal and first.text.startswith(".")
    names_unfinished = last.is_literal and last.text.endswith((".tmp", ".part"))
    return ("" if names_hidden else _HIDDEN) + ("" if names_unfinished else _UNFINISHED)


def _pieces_regex(level: list[_Piece]) -> str:
    """Join the pieces; between stars the first fit is as good as any other, so it is never undone."""
    if any(piece.is_capture for piece in level):
        return "".join(piece.regex for piece in level)
    stretches = [""]
    for piece in level:
        if piece.text == "*":
            stretches.append("")
        else:
            stretches[-1] += piece.regex
    if len(stretches) == 1:
        return stretches[0]
    first, *between, last = stretches
    return first + "".join(f"(?>[^/]*?{each})" for each in between) + f"[^/]*{last}"


def _as_iso(text: str, layout: str) -> str:
    try:
        return as_iso(text, layout)
    except ValueError:
        return text
