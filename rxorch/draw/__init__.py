"""Floor 5: pictures. `flow_picture` draws what a flow is going to do, `waterfall` what a run has done."""

from rxorch.draw.picture import FlowPicture, flow_picture
from rxorch.draw.timeline import (
    CallRecord,
    PathPart,
    Recording,
    Segment,
    SegmentKind,
    Timeline,
    Waterfall,
    critical_path,
    record,
    waterfall,
)

__all__ = [
    "CallRecord",
    "FlowPicture",
    "PathPart",
    "Recording",
    "Segment",
    "SegmentKind",
    "Timeline",
    "Waterfall",
    "critical_path",
    "flow_picture",
    "record",
    "waterfall",
]
