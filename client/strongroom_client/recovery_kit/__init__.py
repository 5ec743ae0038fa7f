"""The recovery kit's shell: files, words, and waiting for the others. What it judges and signs with is in the core."""
