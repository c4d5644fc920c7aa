"""Files of listens in any format -> rows of one shape; rules are not applied here.

`formats` finds the files, `dispatch` opens them as `rows`. `text` splits text into fields, `tables`
reads tables with named columns, `events` and `listenbrainz` read logs with a time on every line.
Compressed files are streamed through `decompression` and kept on disk by `rows`.
"""
