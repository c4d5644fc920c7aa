"""How well a system ranks artists: metrics, baselines, intervals, hubness."""
