"""Stage 2: listens -> similarity of artists by co-listening, for some artists and for all."""
