"""Shadowsocks, whole and modern, in pure Python."""
