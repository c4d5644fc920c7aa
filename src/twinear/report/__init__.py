"""The report: what the numbers of a run say, as prose, tables and figures.

`evidence` reads them, `arrangement` orders artists for the eye, `figures` draws, `tables` and
`prose` put into words, `page` writes Markdown and one self-contained page. Nothing here computes
a result: every number comes from an earlier stage.
"""
