"""NTP servers by turns under the same load: what scripts/compare and scripts/load-test share.

`places` is where a server and the harness run, `servers` how each server is started, `figures` what
their figures come to, `machine` what all of that hangs on, `course` the rounds, `arguments` the command
line.
"""
