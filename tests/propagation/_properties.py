"""What the property tests share: a deterministic profile, and moments that some tensor can have."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from gradlint.propagation import particles as P

quick = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""The same examples in every run."""


def moments() -> st.SearchStrategy[P.Moments]:
    """Moments with no negative eigenvalue."""
    return st.tuples(*[st.floats(0.0, 4.0) for _ in range(4)]).map(lambda e: P.Moments.from_eigenvalues(*e))
