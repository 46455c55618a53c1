"""Labels a corpus: its photos, teachers, class config, the rules applied, and the run."""
