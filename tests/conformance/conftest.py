"""What every test of this folder may ask for."""

from tests.peers import whole as whole
