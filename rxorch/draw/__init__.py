"""Floor 5: pictures. `flow_picture` draws what a flow is going to do, `waterfall` what a run has done.

`marbles` draws what passed in a stream; `report` makes a page about a run or a stream of them.
"""

from rxorch.draw.marble.picture import MarblePicture, marbles
from rxorch.draw.picture import FlowPicture, flow_picture
from rxorch.draw.reporting import Report, report
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
    "MarblePicture",
    "PathPart",
    "Recording",
    "Report",
    "Segment",
    "SegmentKind",
    "Timeline",
    "Waterfall",
    "critical_path",
    "flow_picture",
    "marbles",
    "record",
    "report",
    "waterfall",
]
