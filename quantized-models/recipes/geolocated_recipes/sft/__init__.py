"""Fine-tuning of vision-language models to name the place of a picture, by low-rank adapters (LoRA)."""
