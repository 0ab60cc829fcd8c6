"""What happened when: recorded, judged and drawn."""

from rxorch.draw.timeline.critical import PathPart, critical_path
from rxorch.draw.timeline.picture import Waterfall, waterfall
from rxorch.draw.timeline.recording import Recording, record
from rxorch.draw.timeline.records import CallRecord, Segment, SegmentKind, Timeline

__all__ = [
    "CallRecord",
    "PathPart",
    "Recording",
    "Segment",
    "SegmentKind",
    "Timeline",
    "Waterfall",
    "critical_path",
    "record",
    "waterfall",
]
