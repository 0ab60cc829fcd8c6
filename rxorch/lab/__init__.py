"""Floor 5: the policy lab: what would have happened under another policy."""

from rxorch.lab.comparison import Comparison
from rxorch.lab.figures import Figures
from rxorch.lab.policy import Policy
from rxorch.lab.reading import tape_of
from rxorch.lab.tape import Tape, TapedAttempt, TapedCall
from rxorch.lab.whatif import whatif

__all__ = ["Comparison", "Figures", "Policy", "Tape", "TapedAttempt", "TapedCall", "tape_of", "whatif"]
