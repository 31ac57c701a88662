"""What is shown with the results: logs of the programs that a failed test has used, and measurements."""

# Objects with a `log_path` and a `log`, for as long as a test uses them.
parts = []
figures = []
