"""Clips from elsewhere: identity and preview services, a folder of music, a table of files.

Never part of a stage: what a service answers today it may not answer tomorrow. A source is one
module with a class that follows `source.Source`.
"""
