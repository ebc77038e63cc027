"""The toy server, run and task for the tests of predicting."""

from tests import toy_server

run_, start, task = toy_server.run_, toy_server.start, toy_server.task  # fixtures
