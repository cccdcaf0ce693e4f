"""Tests of the scripts under `tools/` and of the Makefile that calls them."""
