"""FlowPicture: a flow as a picture, in every form that a reader may want."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rxorch.draw.aftermath import with_results
from rxorch.draw.bundle import mime_bundle
from rxorch.draw.dot import dot_of
from rxorch.draw.masking import heading_text
from rxorch.draw.mermaid import mermaid_of
from rxorch.draw.saving import Forms, SavedPicture, forms_of
from rxorch.draw.scene import Scene, scene_of
from rxorch.draw.subject import Drawable, subject_of
from rxorch.draw.svg import svg_of
from rxorch.draw.text import NARROWEST, text_of
from rxorch.draw.timeline.reading import Ended, chronicle_of
from rxorch.errors import ApiConfigurationError

__all__ = ["FlowPicture", "flow_picture"]


class FlowPicture(SavedPicture):
    """A flow as a picture: as text, SVG, Mermaid or DOT; a notebook shows it by itself.

    Made by `flow_picture`. The same flow gives the same picture, to the byte. It holds no secret: urls are
    shown as templates, without the values of parameters that are secret by their name or look.

    >>> from rxorch import APIEndpoint, sequential
    >>> flow = sequential(
    ...     APIEndpoint(name="user", url="https://api.example.com/users/{id}", timeout=5),
    ...     APIEndpoint(name="posts", url="https://api.example.com/posts?by={user.name}"),
    ... )
    >>> flow_picture(flow)
    <FlowPicture of flow · 2 endpoints>
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def text(self, width: int | None = None, *, ascii: bool = False) -> str:
        """The flow as a tree of lines.

        Args:
            width: Columns, 40 or more, that no line exceeds; None: as long as they need.
            ascii: Whether to use no character beyond ASCII.

        Raises:
            ApiConfigurationError: `width` is too small.
        """
        if width is not None and width < NARROWEST:
            raise ApiConfigurationError(f"width: give {NARROWEST} columns or more, or None, not {width!r}")
        return text_of(self._scene, width, ascii=ascii)

    def svg(self) -> str:
        """The picture as SVG, self-contained; light or dark as the reader's system is."""
        return svg_of(self._scene)

    def mermaid(self) -> str:
        """The picture as a Mermaid flowchart."""
        return mermaid_of(self._scene)

    def dot(self) -> str:
        """The picture in the DOT language of Graphviz."""
        return dot_of(self._scene)

    def _forms(self) -> Forms:
        return {**forms_of(self._scene.title, self.svg, self.text), ".mmd": self.mermaid, ".dot": self.dot}

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        return mime_bundle(self._scene.title, self.text(), self.svg(), include, exclude)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<FlowPicture of {self._scene.title}>"


def flow_picture(
    what: Drawable, *, after: Ended | None = None, title: str | None = None, urls: bool = True
) -> FlowPicture:
    """The picture of a flow: what is called, in which order, under which conditions and policies.

    With `after` it says what has happened: how each call has ended, its attempts and time; of many calls how
    many there were, which share failed, and how long half and 95 % of them took at most. What leads to calls
    that were not made is faded.

    Args:
        what: A flow, an `APIEndpoint`, an `APIOrchestrationConfig` or an `APIOrchestrator`.
        after: The result of `execute`, a `Run` of a stream, a `Recording`, a `Timeline` or event records.
        title: What stands above it; default: "flow".
        urls: Whether it shows where the endpoints are.

    Raises:
        ApiConfigurationError: it is none of these, or a flow that cannot be planned; or `after` is none of
            those.

    >>> from rxorch import APIEndpoint, sequential
    >>> flow = sequential(
    ...     APIEndpoint(name="user", url="https://api.example.com/users/{id}", timeout=5),
    ...     APIEndpoint(
    ...         name="posts", url="https://api.example.com/posts?by={user.name}", depends_on=["user"]
    ...     ),
    ... )
    >>> print(flow_picture(flow, title="profile").text())
    profile · 2 endpoints · sequential · at most 10 at once · total timeout 300 s · breaker 5
    ├─ user   GET https://api.example.com/users/{id}   timeout 5 s
    └─ posts  GET https://api.example.com/posts?by={user.name}   ← user
    """
    heading = None if title is None else heading_text(title)
    scene = scene_of(subject_of(what), heading, urls=urls)
    return FlowPicture(scene if after is None else with_results(scene, chronicle_of(after)))
