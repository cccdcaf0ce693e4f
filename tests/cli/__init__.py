"""Tests of the commands, through what a person types and reads."""
