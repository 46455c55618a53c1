"""From photos to a labelled dataset: crawls a corpus, labels it with a teacher and rules, exports the labels."""
