"""Floor 5: pictures. `flow_picture` draws what a flow is going to do, `marbles` what passed in a stream."""

from rxorch.draw.marble.picture import MarblePicture, marbles
from rxorch.draw.picture import FlowPicture, flow_picture

__all__ = ["FlowPicture", "MarblePicture", "flow_picture", "marbles"]
