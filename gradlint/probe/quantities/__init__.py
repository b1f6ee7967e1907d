"""The quantities that a claim can name, by their kind: each measures one number."""

from collections.abc import Callable, Mapping

from gradlint.core.finding import Claim
from gradlint.probe.laboratory import Laboratory
from gradlint.probe.quantities.activations import affine_product, correlation, dead_fraction, saturated_fraction
from gradlint.probe.quantities.efforts import effort
from gradlint.probe.quantities.gradients import (
    activation_growth,
    attenuation,
    growth,
    no_time_gradient,
    time_growth,
    time_loss,
    with_remedy,
)
from gradlint.probe.quantities.losses import bce_range, loss_gradient_shrunk
from gradlint.probe.quantities.measured import Measured
from gradlint.probe.quantities.parameters import equal_rows, no_gradient, shared_instance, unregistered

Quantity = Callable[[Laboratory, Claim], Measured]

QUANTITIES: Mapping[str, Quantity] = {
    "attenuation": attenuation,
    "growth": growth,
    "activation-growth": activation_growth,
    "time-loss": time_loss,
    "time-growth": time_growth,
    "no-time-gradient": no_time_gradient,
    "with-remedy": with_remedy,
    "sample-correlation": correlation,
    "saturated-fraction": saturated_fraction,
    "dead-fraction": dead_fraction,
    "affine-product": affine_product,
    "effort-sgd": effort("sgd"),
    "effort-adam": effort("adam"),
    "no-gradient": no_gradient,
    "equal-rows": equal_rows,
    "shared-instance": shared_instance,
    "unregistered": unregistered,
    "loss-gradient-shrunk": loss_gradient_shrunk,
    "bce-range": bce_range,
}

__all__ = ["QUANTITIES", "Measured", "Quantity"]
