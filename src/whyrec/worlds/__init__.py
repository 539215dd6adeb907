"""Worlds with exact truth, one a file: each draws a `World` from a seed. Together they are PlantedRec."""
