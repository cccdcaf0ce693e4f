"""Faces of the proxy: each turns an accepted socket into a request."""
