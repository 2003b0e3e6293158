"""Tests; a package so that they share `golden`."""
