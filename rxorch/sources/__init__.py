"""Where the inputs of streams come from."""

from rxorch.sources.bad_input import BadInput

__all__ = ["BadInput"]
