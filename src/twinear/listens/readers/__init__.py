"""Files of listens in any format -> rows of one shape; rules are not applied here.

`sources` finds files, also in archives, `recognition` decides what they are, and `dispatch` opens
them as `rows`. `text_files` brings text to UTF-8, `text` splits it into fields, `tables` reads
tables with named columns; `registry` lists the other formats, each in a module of its own.
"""
