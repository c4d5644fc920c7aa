"""How well several systems rank artists: scores, baselines, means with intervals, hubness."""
