"""Who is similar to whom, as listeners see it: among the most listened artists, and for all."""
