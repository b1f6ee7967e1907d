"""GL001: the page of the finding that the engine itself reports."""

from collections.abc import Iterable

from gradlint.api import Finding, Rule, RuleContext


class UnanalysableModel(Rule):
    """A model was found, but it could not be built, fed or traced, so nothing can be said about its gradients.

    ## What it does
    The engine reports this itself whenever a stage fails: loading the file, constructing the model, finding inputs
    that its forward runs on, or following the forward pass. The message says which stage, why, and on which line;
    the help line is the one line of configuration that would solve it.

    ## Why is this bad?
    A model that was not analysed is not a healthy model. Passing over it in silence would make a green run mean
    nothing.

    ## Known limits
    Code that needs files, weights from the network or a GPU to be constructed cannot be built here.

    ## Use instead
    Say in `pyproject.toml` what cannot be guessed:

    ```toml
    [[tool.gradlint.targets]]
    target = "model.py:Net"
    kwargs = { channels = 3 }
    inputs = [[4, 3, 32, 32]]
    ```

    or, where the file is no model of yours, `exclude` it.

    ## Options
    None; `--ignore GL001` switches it off.
    """

    code = "GL001"
    name = "unanalysable-model"
    summary = "A model that cannot be built, fed or traced"

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """Nothing: whoever reaches the rules has been analysed."""
        return ()
