"""The search for better params: the only part that imports Optuna.

A trial is a training with some values of params.yaml replaced; what counts is the NDCG@10 of
validation artists, never of test. A study is all trials of one space on one data.
"""
