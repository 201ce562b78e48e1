"""Coverage-guided fuzzing of the codec: `make fuzz`; the corpus is replayed by the tests."""
