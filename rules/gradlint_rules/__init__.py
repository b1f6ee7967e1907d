"""The built-in rules of gradlint: one rule, one file, one class."""

from gradlint.api import Rule
from gradlint_rules.constant_init import ConstantInit
from gradlint_rules.dead_units import DeadUnits
from gradlint_rules.exploding_gradient import ExplodingGradient
from gradlint_rules.hard_to_train import HardToTrain
from gradlint_rules.init_gain_mismatch import InitGainMismatch
from gradlint_rules.init_scale import InitScale
from gradlint_rules.linear_chain import LinearChain
from gradlint_rules.missing_normalization import MissingNormalization
from gradlint_rules.missing_skip_connection import MissingSkipConnection
from gradlint_rules.partly_analysed import PartlyAnalysed
from gradlint_rules.recurrent_horizon import RecurrentHorizon
from gradlint_rules.saturating_stack import SaturatingStack
from gradlint_rules.shared_instance import SharedInstance
from gradlint_rules.sigmoid_before_bce_logits import SigmoidBeforeBCELogits
from gradlint_rules.signal_collapse import SignalCollapse
from gradlint_rules.softmax_before_cross_entropy import SoftmaxBeforeCrossEntropy
from gradlint_rules.stale_baseline import StaleBaseline
from gradlint_rules.unanalysable_model import UnanalysableModel
from gradlint_rules.unreachable_parameter import UnreachableParameter
from gradlint_rules.unregistered_module import UnregisteredModule
from gradlint_rules.unused_ignore import UnusedIgnore
from gradlint_rules.vanishing_gradient import VanishingGradient

API_VERSION = 1
RULES: tuple[type[Rule], ...] = (
    UnanalysableModel,
    UnusedIgnore,
    PartlyAnalysed,
    StaleBaseline,
    SaturatingStack,
    VanishingGradient,
    MissingSkipConnection,
    RecurrentHorizon,
    DeadUnits,
    SignalCollapse,
    HardToTrain,
    ExplodingGradient,
    ConstantInit,
    InitGainMismatch,
    InitScale,
    MissingNormalization,
    LinearChain,
    UnregisteredModule,
    UnreachableParameter,
    SoftmaxBeforeCrossEntropy,
    SigmoidBeforeBCELogits,
    SharedInstance,
)
