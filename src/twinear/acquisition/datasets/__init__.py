"""Public data sets of listens: `known` lists them, `fetch` brings one into the data folder.

`download` gets the archive, resumably; `archive` takes the files of listens out of it, and nothing
else.
"""
