"""What is shown beside the results: logs of what a failed test has used, and figures."""

# Whatever has a `log_path` and a `log`, for as long as a test uses it.
parts = []
figures = []
