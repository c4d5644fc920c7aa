"""Where a report comes from: the data and the scorer by their hashes, the commit and the run.

Equal inputs give a report of equal bytes, on which `dvc status` and the comparison with the
committed results rely. So the report itself names what its inputs decide, the two hashes. The
commit cannot be known before the report is in it, and each run has another id: these two are named
in the copy that goes to MLflow, and in the report stands how to find them.
"""

from dataclasses import dataclass

from twinear.base.text import markdown_table

FIND_COMMIT = "the one that holds this file: `git log -1 reports/report.md`"
FIND_RUN = (
    "in MLflow (`make ui`) that with this `scorer`; the report there names its run and commit"
)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The hashes of what a report is of.

    Attributes
    ----------
    data
        DVC's hash of the data folder; `unknown` where nothing pins it.
    scorer
        SHA-256 of the scorer's file.
    """

    data: str
    scorer: str

    def __str__(self) -> str:
        """Name both briefly, in one line of Markdown."""
        return f"Data `{self.data[:10]}`, scorer `{self.scorer[:10]}`."

    @property
    def table(self) -> str:
        """Name both in full, and say how to find commit and run."""
        rows = [
            ["data", f"`{self.data}`, DVC's hash of the folder in `data.dvc`"],
            ["scorer", f"`{self.scorer}`, SHA-256 of `artifacts/training/scorer.safetensors`"],
            ["commit", FIND_COMMIT],
            ["run", FIND_RUN],
        ]
        return markdown_table(["", ""], rows, left=2)


def with_run(source: str, commit: str, run: str) -> str:
    r"""Name commit and run in the Markdown of a report.

    Examples
    --------
    >>> source = Origin(data="c1a1", scorer="739c").table
    >>> print(with_run(source, "a47845b", "0f3d").partition("\n| commit")[2])
     | `a47845b` |
    | run | `0f3d` |
    """
    return source.replace(FIND_COMMIT, f"`{commit}`").replace(FIND_RUN, f"`{run}`")
