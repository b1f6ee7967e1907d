"""GL002: the page of the finding that the engine itself reports."""

from collections.abc import Iterable

from gradlint.api import Finding, Rule, RuleContext


class UnusedIgnore(Rule):
    """A comment `# gradlint: ignore[…]`, or an override, silences nothing, or names a rule that does not exist.

    ## What it does
    The engine reports this itself once all models of a file have been checked: a comment that no finding needed, a
    blanket `# gradlint: ignore`, a code or name that is no rule's, a verb that is not understood. Comments for rules
    that did not run, and those of files in which a model could not be analysed, are left alone. So are the entries of
    `[[tool.gradlint.overrides]]`: one is reported that fits no finding, once every file that it means was checked.

    ## Why is this bad?
    A comment that outlives its reason hides the next defect on that line, and a misspelt one gives false comfort.

    ## Known limits
    A comment or an override for a rule that is off is not checked, nor is `per-file-ignores`.

    ## Example
    ```python
    self.act = nn.GELU()  # gradlint: ignore[GL101] was a sigmoid once
    ```

    ## Use instead
    Remove the comment, or name the rule that is meant: `# gradlint: ignore[GL101] why it is meant`. On the line of the
    forward pass, of the constructor or of the class it speaks for the statement it stands in; alone on a line for the
    statement below; `# gradlint: file-ignore[GL101] why` for the whole file. A comment that is to stay whether it is
    needed or not names GL002 too: `ignore[GL101, GL002]`.

    ## Options
    None; `--ignore GL002` switches it off.
    """

    code = "GL002"
    name = "unused-ignore"
    summary = "A comment or an override that silences nothing"

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """Nothing: the engine matches comments with findings."""
        return ()
