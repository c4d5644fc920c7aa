"""The search for better params: the only part that imports Optuna.

A trial is a training with some values of params.yaml replaced. Its value is the NDCG@10 of
validation artists, never of test artists. A study is all trials of one search space on one data
set.
"""
