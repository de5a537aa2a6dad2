"""Comparators: vision-language models as three graphs, written straight from weights in Hugging Face's layout."""
