"""The order of fit and reconstruction, and the maps they fill."""
