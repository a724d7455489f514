"""What the tests of the draw side share."""

from tests.clock import clock as clock
