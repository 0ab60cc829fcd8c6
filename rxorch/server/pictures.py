"""Pictures as answers. No url of an upstream and no text of an error is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aiohttp import web

from rxorch.orchestrator import APIOrchestrator
from rxorch.saga import RunRecord, Saga, StepRecord
from rxorch.server.run_book import KeptRun

__all__ = ["flow_run_picture", "orchestration_picture", "saga_run_picture", "svg_response"]

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Who opens a picture by itself runs no script in it and fetches nothing."""


def orchestration_picture(name: str, what: APIOrchestrator | Saga) -> str:
    """A flow or a saga as SVG."""
    from rxorch.draw import flow_picture  # only who asks for a picture loads what draws it

    if isinstance(what, Saga):
        from rxorch.saga.definition_svg import definition_svg

        return definition_svg(what.definition, name)
    return flow_picture(what, title=name, urls=False).svg()


def saga_run_picture(saga: Saga, run: RunRecord, steps: Sequence[StepRecord]) -> str:
    """A run of a saga as SVG."""
    from rxorch.saga import RunPicture

    bare_run = replace(run, error=_bare(run.error))
    bare_steps = [replace(step, error=_bare(step.error)) for step in steps]
    return RunPicture(bare_run, bare_steps, tuple(saga.definition.steps)).svg()


def flow_run_picture(run: KeptRun) -> str | None:
    """A run of a flow as SVG: what happened when; None if that is not written down."""
    if run.events is None:
        return None
    from rxorch.draw.timeline import Waterfall

    return Waterfall(run.events.timeline(), f"{run.flow} · {run.state}").svg()


def svg_response(svg: str) -> web.Response:
    """An answer of SVG."""
    return web.Response(text=svg, content_type="image/svg+xml", headers={"Content-Security-Policy": _POLICY})


def _bare(error: dict[str, str] | None) -> dict[str, str] | None:
    return None if error is None else {key: error[key] for key in ("step", "type") if key in error}
