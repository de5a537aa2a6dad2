"""Recipes that turn an image encoder in Hugging Face's layout into a model folder that geolocated runs."""
