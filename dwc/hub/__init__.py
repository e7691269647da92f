"""Models on the Hugging Face Hub: a commit found, its files fetched and checked, one published."""
