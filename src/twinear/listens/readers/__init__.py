"""Files of listens as they come -> rows of one shape. This package does not judge what a row says.

`formats` finds the files, `opening` opens them as `rows`. Text is cut into fields by `text`, tables
with named columns are read by `tables`, logs with a time on every line by `events` and
`listenbrainz`; whatever is compressed goes through `unpacking`, streamed, and `scratch`.
"""
