"""Floor 5: pictures. `flow_picture` draws what a flow is going to do."""

from rxorch.draw.picture import FlowPicture, flow_picture

__all__ = ["FlowPicture", "flow_picture"]
