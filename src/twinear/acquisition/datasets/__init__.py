"""Public data sets of listens: `registry` lists them, `fetch` brings one into the data folder.

`archive` extracts the files of listens from the downloaded archive, and nothing else.
"""
