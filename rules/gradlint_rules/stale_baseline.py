"""GL004: the page of the finding that the engine itself reports."""

from collections.abc import Iterable

from gradlint.api import Finding, Rule, RuleContext


class StaleBaseline(Rule):
    """An entry of the baseline covers a finding that is no longer there.

    ## What it does
    The engine reports this itself where a baseline is used (`--baseline PATH`, or the key `baseline`): an entry whose
    model was analysed without that finding, whose model is gone from its file, whose file is gone from a checked
    directory, whose rule does not exist, or that counts more findings than there are. Entries of rules that did not
    run, of files that were not checked and of models that could not be analysed are left alone.

    ## Why is this bad?
    An entry that outlives its finding lets the same defect come back unseen.

    ## Known limits
    A model whose class or module was renamed, or whose blamed statement was rewritten, counts as another one: the old
    entry is stale and the finding is new.

    ## Use instead
    `gradlint baseline prune` takes such entries out; commit the file with the change that mended the model.

    ## Options
    None; `--ignore GL004` switches it off.
    """

    code = "GL004"
    name = "stale-baseline"
    summary = "An entry of the baseline that no finding matches"

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """Nothing: the engine matches entries with findings."""
        return ()
