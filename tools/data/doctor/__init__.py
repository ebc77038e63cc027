"""The data doctor's parts: what it looks for, how it measures, mends and draws. `tools.data.doctor.examine` is the command."""
