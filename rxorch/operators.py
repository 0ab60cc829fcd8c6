"""The public door to the operators: `from rxorch import operators as rxo`."""

import rxorch_operators
from rxorch_operators import *  # noqa: F403

__all__ = rxorch_operators.__all__
