"""What every test of this folder may ask for."""

from tests.peers import whole as whole

from .udp_field import udp_post as udp_post
