"""Every threshold of the built-in rules. Provisional: `benchmarks/truth.py` fits them to what really trained.

`docs/thresholds.md` shows the same table; a test keeps the two equal.
"""

from typing import Final

SATURATED: Final = 3.0
"""decades by which bounded functions may starve a layer before SGD crawls (GL101)"""

STARVED: Final = 3.5
"""decades by which a layer's update ratio may lie below a healthy one (GL102, GL103, GL302, GL401)"""

STARVED_ADAM: Final = 6.0
"""decades: the same where Adam is known to be used, which lifts small gradients (GL102, GL103, GL302, GL401)"""

EFFORT_STOPS_SGD: Final = 3.0
"""decades of effort from which SGD gets nowhere: an error instead of a warning (all rules about the flow)"""

EFFORT_STOPS_ADAM: Final = 4.0
"""decades of effort from which Adam gets nowhere: an error instead of a warning (all rules about the flow)"""

EFFORT_HANDICAPS_SGD: Final = 1.4
"""decades of effort from which SGD needs several times a healthy model's steps (GL108)"""

EFFORT_HANDICAPS_ADAM: Final = 1.65
"""decades of effort from which Adam needs several times a healthy model's steps (GL108)"""

UNEVEN: Final = 2.0
"""decades by which a later layer's update ratio may exceed an earlier one's in a healthy model (GL101, GL102, GL302)"""

TINY: Final = 0.1
"""share of the ordinary scale 1/√inputs below which weights count as started next to zero on purpose (GL103, GL201)"""

EXPLODED: Final = 3.0
"""decades: a layer's update ratio lies this far above a healthy one (GL103, GL201, GL302, GL401)"""

DIVERGES: Final = 6.0
"""decades of growth that no learning rate in use survives: an error whatever the optimiser"""

MAJORITY: Final = 0.5
"""share of the decades that a cause must account for before it is named as the cause (GL101, GL102, GL201, GL302)"""

SATURATING_RUN: Final = 3
"""count of bounded functions in a row that make a stack (GL101)"""

NESTED_RUN: Final = 5
"""count of layers that a side branch must have in a row before it is judged like the main path"""

UNSKIPPED: Final = 12
"""count of layers on the shortest way through the model from which a skip connection is missed (GL103)"""

REMEDY: Final = 0.5
"""share of the decades that a remedy must win back, as predicted, to count as the cure (GL103, GL302, GL401)"""

GAIN_RUN: Final = 4
"""count of layers without normalisation between them that make an initial gain matter (GL302)"""

SCALE: Final = 5.0
"""factor by which a layer's initial weights may enlarge the RMS of its input (GL303)"""

DRIFT: Final = 2.0
"""decades by which activations and gradients of a path without normalisation may drift (GL401); starvation that counts
where bounded functions alone cost more than SATURATED (GL101)"""

TIME_LOSS: Final = 3.0
"""decades that the gradient loses from the last time step to the first (GL104)"""

GATE_CLOSED: Final = 0.6
"""decades per time step that a gated cell loses where its gates start closed; default gates lose less (GL104)"""

COLLAPSED: Final = 1e-4
"""1 − correlation of two samples from which a model cannot tell its inputs apart (GL107)"""

COLLAPSED_FOR_ALL: Final = 1e-7
"""1 − correlation at which a norm behind it only amplifies rounding: the path is judged up to there (GL107, GL201)"""

COLLAPSED_IN_FLOAT: Final = 1e-16
"""1 − correlation that leaves float32 nothing to tell inputs apart by (differences of 1e-8): an error whatever the
optimiser (all rules about the flow)"""

COLLAPSE_DRIFT: Final = 2.0
"""decades by which 1 − correlation must fall along the path: what the input lacks is not the model's fault (GL107)"""
