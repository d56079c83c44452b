"""The questions that are answered with numbers, each as a ratio inside one run."""
