"""What a network may be asked for, and the random numbers it may draw."""

from typing import Literal

# What a network is asked for: to learn, the prediction that is trained; as a target, that which trains it; to act, for
# behaviour; to exploit, for evaluation. Heads that draw random numbers differ in how many they draw, or whether at all.
Mode = Literal["learn", "target", "act", "exploit"]
SAMPLES = "samples"  # the name of the random stream of such heads
