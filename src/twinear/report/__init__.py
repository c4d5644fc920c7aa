"""The report: the numbers of a run as text, tables and figures.

`inputs` reads them, `ordering` places artists in figures, `figures` draws, `tables` and `wording`
write, `page` makes Markdown and one self-contained page. No result is computed here: every number
comes from an earlier stage.
"""
