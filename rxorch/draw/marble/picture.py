"""MarblePicture: a recorded stream as marbles, in every form that a reader may want."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rxorch.draw.bundle import mime_bundle
from rxorch.draw.marble.scene import Scene, scene_of
from rxorch.draw.marble.svg import svg_of
from rxorch.draw.marble.table import table_of
from rxorch.draw.marble.text import NARROWEST, text_of
from rxorch.draw.saving import Forms, SavedPicture, forms_of
from rxorch.draw.theme import Scheme
from rxorch.errors import ApiConfigurationError
from rxorch_operators import Recording

__all__ = ["MarblePicture", "marbles"]


class MarblePicture(SavedPicture):
    """A recorded stream as marbles: as text or SVG; a notebook shows it by itself.

    Made by `marbles`. The same recording gives the same picture, to the byte. Secrets are replaced where they
    are told by their name or look.

    >>> import reactivex as rx
    >>> from rxorch import operators as rxo
    >>> recording = rxo.Recording()
    >>> rx.of("a", "b").pipe(rxo.record(recording, "letters")).subscribe() and None
    >>> marbles(recording)
    <MarblePicture of marbles · 4 events>
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def text(self, width: int | None = None, *, ascii: bool = False) -> str:
        """The marbles as lines of text.

        Args:
            width: Columns, 40 or more, that no line exceeds; None: 100.
            ascii: Whether to use no character beyond ASCII.

        Raises:
            ApiConfigurationError: `width` is too small.
        """
        if width is not None and width < NARROWEST:
            raise ApiConfigurationError(f"width: give {NARROWEST} columns or more, or None, not {width!r}")
        return text_of(self._scene, width, ascii=ascii)

    def svg(self, *, scheme: Scheme | None = None) -> str:
        """The picture as SVG, self-contained.

        Args:
            scheme: "light" or "dark"; None: as the reader's system is.
        """
        return svg_of(self._scene, scheme)

    def _forms(self) -> Forms:
        return forms_of(self._scene.title, self.svg, self.text)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        scene = self._scene
        return mime_bundle(scene.title, self.text(), self.svg(), include, exclude, details=table_of(scene))

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<MarblePicture of {' · '.join([self._scene.title, *self._scene.notes])}>"


def marbles(recording: Recording, *, title: str | None = None, caption: str | None = None) -> MarblePicture:
    """The picture of a recorded stream: what passed at each place, when, and how it ended.

    An element has one colour wherever it is seen, and what an inner stream emits has that of the element it
    was made for. Elements too near to each other are one marble, which tells how many they are.

    Args:
        recording: What `record` and `Recording.inner` have filled, at any time: it may go on.
        title: What stands above it; default: "marbles".
        caption: What stands below the title; default: how many events there are.

    Raises:
        ApiConfigurationError: it is no recording.

    >>> import asyncio
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from rxorch import operators as rxo
    >>> recording, time = rxo.Recording(), VirtualTimeScheduler()
    >>> rxo.from_iterable("abc").pipe(
    ...     rxo.record(recording, "letters"),
    ...     rxo.throttle(1, window=2),
    ...     rxo.record(recording, "paced", by="throttle(1, window=2)"),
    ... ).subscribe(scheduler=time) and None
    >>> time.start()
    >>> print(marbles(recording, title="throttle").text(width=50))
    throttle · 10 events
    letters  (ab)------------c----------------|
      room   .................................
             [ throttle(1, window=2) ]
    paced    a---------------b----------------c|
             0               2 s              4 s
    | completed   ^ room   . none
    """
    if not isinstance(recording, Recording):
        raise ApiConfigurationError(
            f"recording: give one that the operator record() has filled, not {_kind(recording)}; "
            "calls that rxorch.draw.record() has heard are drawn by waterfall()"
        )
    return MarblePicture(scene_of(recording, title, caption))


def _kind(what: object) -> str:
    return f"{type(what).__module__}.{type(what).__qualname__}"
