"""Clips from the outside: identity and preview services, a folder of music, a table of files.

The only part of the project that talks to the network, and never a stage: what a service answers
today it may not answer tomorrow. A source is one file that does what `source.Source` says.
"""
