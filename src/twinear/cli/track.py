"""Runs that tracking did not take when they were made."""

from twinear.cli.app import AsJson, app, print_result


@app.command()
def track(as_json: AsJson = False) -> None:
    """Log to MLflow what stages could not log, because its server or database had failed."""
    from twinear.tracking.afterwards import log_waiting

    n = log_waiting()
    text = f"what {n} stages or commands could not log is in MLflow now" if n else "nothing waits"
    print_result({"logged": n}, text, as_json=as_json)
