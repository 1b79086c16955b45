"""Which texts a store keeps."""

from sensorflow.core.errors import shown


def refuse_what_utf8_cannot_hold(*texts: str | None) -> None:
    """Pass if all texts can be stored.

    Raises:
        ValueError: one holds half of a surrogate pair, as JSON and names of files may.
    """
    for text in texts:
        if text is not None and not text.isascii():
            _encode(text)


def _encode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expected text that can be stored, found half of a surrogate pair in {shown(text)}"
        ) from error
