"""Photos in, labelled dataset out: a corpus is crawled, teachers label it, rules settle what they said."""
